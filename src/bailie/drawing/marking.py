"""The trace of a request in the picture of its pipeline: times and bytes, and what came on each edge.

Called by `cli.pipeline_runs` and `cli.pipeline_traces`. A trace is the JSON data of `dataflow.tracing`, and
may come from another release: an unknown word is shown as it is, and a part that is missing is left out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bailie.api.texts import shown
from bailie.drawing.picture import ANSWER, REQUEST, PictureRow, Tone

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bailie.drawing.picture import GraphPicture, PictureNode

_GOOD = frozenset({"answered", "running", "batched"})


def marked(picture: GraphPicture, trace: Mapping[str, Any]) -> GraphPicture:
    """Returns the picture with the trace in it."""
    steps = {each["step"]: each for each in trace.get("steps", ())}
    edges: dict[tuple[str, str, bool, tuple[str, ...]], Mapping[str, Any]] = {}
    for each in trace.get("edges", ()):
        to = ANSWER if each["to"] == picture.name else each["to"]
        edges[each["from"], to, bool(each["trigger"]), tuple(each["wanted"])] = each

    def node_of(node: PictureNode) -> PictureNode:
        rows = [_row(row, node.key, edges) for row in node.rows]
        if node.key == ANSWER:
            return replace(node, rows=(*rows, *_ending(trace)))
        if node.key in steps:
            return replace(node, rows=(*rows, *_step(steps[node.key])))
        return replace(node, rows=tuple(rows))

    return replace(picture, nodes=tuple(map(node_of, picture.nodes)))


def ending_of(trace: Mapping[str, Any]) -> str:
    """Returns the ending of a request in one line."""
    words = str(trace.get("ending", "")).replace("_", " ")
    taken = f" after {_time(trace['ms'])}" if "ms" in trace else ""
    return shown(f"{words}{taken}", 200)


def _row(
    row: PictureRow,
    node: str,
    edges: Mapping[tuple[str, str, bool, tuple[str, ...]], Mapping[str, Any]],
) -> PictureRow:
    """Returns the row of an edge with what came on it; other rows as they are."""
    if row.source is None or node == REQUEST:
        return row
    tensors = tuple(dict.fromkeys(row.tensors))
    edge = edges.get((f"{row.source.owner}.{row.source.side}", node, row.trigger, tensors))
    if edge is None:
        return row
    if not edge.get("present"):
        return replace(
            row, text=f"{row.text}: {shown(edge.get('why', ''), 400)}", tone=Tone.ABSENT, quiet=False
        )
    told = [row.text]
    if "bytes" in edge:
        told.append(size_text(edge["bytes"]))
    late = f": {shown(edge['why'])}" if edge.get("why") else ""
    return replace(row, text=f"{' '.join(told)}{late}", tone=Tone.PRESENT, quiet=False)


def _step(step: Mapping[str, Any]) -> Iterator[PictureRow]:
    calls: Sequence[Mapping[str, Any]] = step.get("calls", ())
    for call in calls[:_MOST_CALLS_SHOWN]:
        yield from _call(call, several=len(calls) > 1)
    if len(calls) > _MOST_CALLS_SHOWN:
        yield PictureRow(f"and {len(calls) - _MOST_CALLS_SHOWN} more calls")
    if not calls:
        why = f": {shown(step['why'], 400)}" if step.get("why") and step["state"] != "skipped" else ""
        yield PictureRow(f"{shown(step.get('state', ''))}{why}", Tone.ABSENT)


_MOST_CALLS_SHOWN = 5


def _call(call: Mapping[str, Any], *, several: bool) -> Iterator[PictureRow]:
    which = f"call {call['visit']}: " if several else ""
    if "ms" not in call:
        yield PictureRow(f"{which}at {_time(call['begun_ms'])}, has not answered", Tone.ABSENT)
        return
    times = f"{which}at {_time(call['begun_ms'])}, took {_time(call['ms'])}"
    sizes = f"sent {size_text(call['sent_bytes'])}"
    if "received_bytes" in call:
        sizes += f", got {size_text(call['received_bytes'])}"
    yield PictureRow(times)
    yield PictureRow(sizes)
    if call["outcome"] not in _GOOD:
        words = f": {shown(call['words'], 400)}" if call.get("words") else ""
        yield PictureRow(f"{call['outcome'].replace('_', ' ')}{words}", Tone.MISTAKE)


def _ending(trace: Mapping[str, Any]) -> Iterator[PictureRow]:
    good = trace.get("ending") in _GOOD
    yield PictureRow(ending_of(trace), Tone.PLAIN if good else Tone.MISTAKE)
    if trace.get("words"):
        yield PictureRow(shown(trace["words"], 600), Tone.MISTAKE)


def _time(milliseconds: float) -> str:
    return f"{milliseconds:.1f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.2f} s"


def size_text(size: int) -> str:
    """Returns bytes as people read them."""
    if size < 1 << 10:
        return f"{size} B"
    return f"{size / (1 << 10):.1f} KiB" if size < 1 << 20 else f"{size / (1 << 20):.1f} MiB"
