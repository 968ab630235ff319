"""What the page on production patterns says of requests is what the charts ask for."""

from __future__ import annotations

import pytest
from tests.support.charts import render
from tests.support.documents import text_of

from bailie.api.quantity import parse_quantity

SETUP = render("setup")
MEBIBYTE = 1024**2
PATTERNS = {"3 and 2": (("operator",), ("runtime",)), "1": ((), ("operator", "runtime"))}
PATTERNS["0"] = (("operator", "seldon-scheduler"), ("seldon-envoy",))


def pods():
    for manifest in SETUP.manifests:
        if manifest["kind"] == "SeldonConfig":
            yield from ((each["name"], each["podSpec"]) for each in manifest["spec"]["components"])
        elif manifest["kind"] == "ServerConfig":
            yield manifest["metadata"]["name"], manifest["spec"]["podSpec"]
        elif manifest["kind"] == "Deployment":
            yield "operator", manifest["spec"]["template"]["spec"]


def requests():
    """Returns thousandths of a processor and mebibytes by pod."""
    found = {}
    for name, pod in pods():
        asked = [container["resources"]["requests"] for container in pod["containers"]]
        processor = sum(int(each["cpu"].removesuffix("m")) for each in asked)
        found[name] = processor, sum(parse_quantity(each["memory"]) for each in asked) // MEBIBYTE
    scheduler, envoy = found["seldon-scheduler"], found["seldon-envoy"]
    return found | {"runtime": (scheduler[0] + envoy[0], scheduler[1] + envoy[1])}


def total(names, times=1):
    asked = requests()
    return sum(asked[name][0] for name in names) * times, sum(asked[name][1] for name in names) * times


def said(processor, memory):
    return f"{processor}m, {memory}Mi" if processor else "nothing"


@pytest.mark.parametrize("pattern", PATTERNS)
def test_requests_of_a_pattern(pattern):
    once, each = (total(names) for names in PATTERNS[pattern])
    ten = (once[0] + 10 * each[0], once[1] + 10 * each[1])
    row = f"| {pattern} | {said(*once)} | {said(*each)} | {said(*ten)} |"
    assert row in text_of("docs/production-patterns.md")


@pytest.mark.parametrize("server", ["mlserver", "triton"])
def test_requests_of_a_server(server):
    processor, memory = requests()[server]
    assert f"{processor}m and {memory}Mi for each replica" in text_of("docs/production-patterns.md")
