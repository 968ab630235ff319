"""`bailie migrate`: the move of a namespace to a scheduler of its own. Put together by `app`."""

from __future__ import annotations

import typer

from bailie.cli import moves, plans

app = typer.Typer(name="migrate", help="Move a namespace to a scheduler of its own.")
for command in (plans.plan, moves.apply, moves.verify, moves.rollback, moves.finish):
    app.command()(command)
