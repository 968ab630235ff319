"""`bailie pipeline`: look into pipelines. Put together by `app`."""

from __future__ import annotations

import typer

from bailie.cli import pipeline_inspection, pipeline_runs, pipeline_traces, pipelines

app = typer.Typer(name="pipeline", help="Draw, try and trace pipelines.", no_args_is_help=True)
app.command("show")(pipelines.show)
app.command("run")(pipeline_runs.run_dry)
app.command("trace")(pipeline_traces.trace)
app.command("inspect")(pipeline_inspection.inspect)
