"""The process of a gateway: which ports it opens."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import httpx2
from tests.pipelinegateway.client import settings_of
from tests.pipelinegateway.models import Models
from tests.support.ports import free_port
from tests.support.waiting import until_true

from bailie.pipelinegateway.run import serve


async def test_traces_have_a_port_of_their_own(tmp_path):
    traces, health = free_port(), free_port()
    settings = settings_of(
        tmp_path,
        Models(),
        health_port=health,
        trace_port=traces,
        scheduler_host="127.0.0.1",
        scheduler_port=9,
    )
    async with asyncio.TaskGroup() as group, httpx2.AsyncClient(trust_env=False) as client:
        process = group.create_task(serve(settings))

        async def answered():
            try:
                return (await client.get(f"http://127.0.0.1:{traces}/traces")).json() == {"requests": []}
            except httpx2.TransportError:
                return False

        await until_true(answered)
        assert (await client.get(f"http://127.0.0.1:{traces}/data/p")).json() == {"records": []}
        assert (await client.get(f"http://127.0.0.1:{health}/traces")).status_code == 404
        metrics = (await client.get(f"http://127.0.0.1:{health}/metrics")).text
        process.cancel()
    assert "# TYPE seldon_pipeline_infer_total counter" in metrics
    assert "# TYPE bailie_pipeline_step_calls_total counter" in metrics


LARGE = {"confluent_kafka", "httpx", "numpy", "opentelemetry", "rich", "typer", "yaml"}
"""Packages of which one alone takes a gateway a megabyte or more."""


def test_the_process_imports_none_of_the_large_packages_that_it_has_no_use_for():
    command = [sys.executable, "-X", "importtime", "-m", "bailie", "pipelinegateway"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env={})
    lines = ended.stderr.splitlines()
    imported = {line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")}
    assert any(line.startswith("error: ") for line in lines), "without settings it ends, behind its imports"
    assert "bailie.pipelinegateway.run" in imported
    assert {package for package, dot, _ in (each.partition(".") for each in imported) if dot} & LARGE == set()
