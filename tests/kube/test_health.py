"""The HTTP server of probes, metrics and JSON answers."""

from __future__ import annotations

import asyncio

import pytest
import structlog
from tests.support import plain_http
from tests.support.loop_turns import loop_turns
from tests.support.timelapse import TimelapseLoop
from tests.support.waiting import until

from bailie.kube.health import HealthServer


@pytest.fixture
async def base():
    async def explain(name):
        if name == "boom":
            raise ValueError("bug")
        return {"model": name} if name == "iris" else None

    health = HealthServer(
        live=lambda: None,
        ready=lambda: "not leading",
        routes={"explain": explain, "status": lambda rest: [rest]},
        metrics=lambda: "# TYPE more gauge\nmore 1\n",
    )
    async with health.serve("127.0.0.1", 0) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/live", 200, "ok\n"),
        ("/ready", 503, "not leading\n"),
        ("/ready?verbose=1", 503, "not leading\n"),
        ("/explain/iris", 200, '{"model":"iris"}'),
        ("/explain/ir%2Fis", 404, """{"error":"nothing is known of 'ir/is'"}"""),
        ("/explain/boom", 500, '{"error":"internal error"}'),
        ("/status", 200, '[""]'),
        ("/", 404, "not found\n"),
        ("/live/more", 404, "not found\n"),
    ],
)
async def test_get(base, path, status, text):
    async with plain_http.async_client() as client:
        with structlog.testing.capture_logs():
            answer = await client.get(base + path)
    assert (answer.status_code, answer.text) == (status, text)


async def test_metrics_are_prometheus_text(base):
    async with plain_http.async_client() as client:
        answer = await client.get(f"{base}/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert "python_info" in answer.text
    assert answer.text.endswith("# TYPE more gauge\nmore 1\n")


async def test_other_methods_are_refused(base):
    async with plain_http.async_client() as client:
        answer = await client.post(f"{base}/live")
    assert answer.status_code == 405


@pytest.mark.parametrize("sent", [b"nonsense\r\n\r\n", b"GET /" + b"x" * 40000, b""])
async def test_nonsense_does_no_harm(base, sent):
    reader, writer = await asyncio.open_connection("127.0.0.1", int(base.rsplit(":", 1)[1]))
    writer.write(sent)
    writer.write_eof()
    async with asyncio.timeout(60):
        answer = await reader.read()
    writer.close()
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400")
    async with plain_http.async_client() as client:
        assert (await client.get(f"{base}/live")).status_code == 200


async def test_strangers_who_only_connect_are_closed_and_others_answered(base):
    host, _, port = base.removeprefix("http://").partition(":")
    strangers = [await asyncio.open_connection(host, int(port)) for _ in range(250)]
    begun = asyncio.get_running_loop().time()
    ends = await asyncio.gather(*(reader.read() for reader, _ in strangers[:100]), return_exceptions=True)
    assert asyncio.get_running_loop().time() - begun < 4, "not by the five seconds that each has"
    assert all(isinstance(end, ConnectionError) or end == b"" for end in ends)
    async with plain_http.async_client() as http:
        assert (await http.get(f"{base}/live")).status_code == 200
    for _, writer in strangers:
        writer.close()


async def test_a_port_in_use_is_said(base):
    health = HealthServer(live=lambda: None, ready=lambda: None)
    with pytest.raises(OSError, match="address already in use"):
        async with health.serve("127.0.0.1", int(base.rsplit(":", 1)[1])):
            pass


async def test_an_answer_that_takes_its_time_is_given_though_the_server_ends():
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_):
        asked.set()
        await go_on.wait()
        return {"waited": True}

    health = HealthServer(live=lambda: None, ready=lambda: None, routes={"slow": slow})
    async with plain_http.async_client() as client, asyncio.TaskGroup() as group:
        async with health.serve("127.0.0.1", 0) as port:
            answer = group.create_task(client.get(f"http://127.0.0.1:{port}/slow"))
            await asked.wait()
            go_on.set()
        assert (await answer).json() == {"waited": True}


async def test_few_answers_are_made_at_a_time_and_probes_wait_for_none():
    begun, go_on = [], asyncio.Event()

    async def slow(name):
        begun.append(name)
        await go_on.wait()
        return name

    health = HealthServer(live=lambda: None, ready=lambda: None, routes={"slow": slow})
    async with (
        health.serve("127.0.0.1", 0) as port,
        plain_http.async_client(base_url=f"http://127.0.0.1:{port}") as client,
        asyncio.TaskGroup() as group,
    ):
        answers = [group.create_task(client.get(f"/slow/{number}")) for number in range(12)]
        await until(lambda: len(begun) == 2)
        assert (await client.get("/live")).status_code == 200
        assert len(begun) == 2, "the others are for other addresses"
        go_on.set()
    assert sorted(task.result().json() for task in answers) == sorted(map(str, range(12)))


async def test_others_run_between_the_slices_of_metrics():
    seen = []

    def slices():
        for number in range(20):
            seen.append(turns.count)
            yield f"# slice {number}\n"

    health = HealthServer(live=lambda: None, ready=lambda: None, metrics=slices)
    async with (
        health.serve("127.0.0.1", 0) as port,
        plain_http.async_client() as client,
        loop_turns() as turns,
    ):
        text = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
    assert text.endswith("# slice 18\n# slice 19\n")
    assert len(set(seen)) == 20, "a turn of the loop before each"


def test_an_answer_that_takes_too_long_is_given_up_in_words():
    async def ask():
        health = HealthServer(live=lambda: None, ready=lambda: None, routes={"never": _never})
        async with health.serve("127.0.0.1", 0) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /never HTTP/1.1\r\n\r\n")
            answer = await reader.read()
            writer.close()
            return answer.decode()

    with asyncio.Runner(loop_factory=lambda: TimelapseLoop(50)) as runner:
        answer = runner.run(ask())
    assert answer.startswith("HTTP/1.1 503 ")
    assert answer.endswith("no answer within 30 s, for other questions came first; ask later\n")


def test_an_answer_that_waits_for_an_event_may_take_minutes():
    """The end of a drain: a hook that was answered before it had the server end with requests under way."""

    async def asked() -> str:
        health = HealthServer(live=lambda: None, ready=lambda: None, events={"end": in_minutes})
        async with health.serve("127.0.0.1", 0) as port:
            return await line_of(port, "GET /end HTTP/1.1")

    async def in_minutes(_):
        await asyncio.sleep(100)
        return {"over": True}

    with asyncio.Runner(loop_factory=lambda: TimelapseLoop(100)) as runner:
        assert runner.run(asked()).endswith('{"over":true}')


async def test_strangers_who_wait_for_an_event_keep_nobody_from_an_answer():
    over, asked = asyncio.Event(), []

    async def end(_):
        asked.append(1)
        await over.wait()
        return {"over": True}

    health = HealthServer(
        live=lambda: None, ready=lambda: None, routes={"a": lambda _: 1}, events={"end": end}
    )
    async with health.serve("127.0.0.1", 0) as port, asyncio.TaskGroup() as group:
        line = "GET /end HTTP/1.1"
        strangers = [group.create_task(line_of(port, line, "127.0.0.7")) for _ in range(50)]
        await until(lambda: sum(each.done() for each in strangers) == 46)
        hook = group.create_task(line_of(port, line))
        await until(lambda: len(asked) == 5)
        assert (await line_of(port, "GET /metrics HTTP/1.1")).startswith("HTTP/1.1 200")
        assert (await line_of(port, "GET /a HTTP/1.1")).endswith("1")
        over.set()
    assert hook.result().endswith('{"over":true}')
    assert sum(each.result().startswith("HTTP/1.1 503") for each in strangers) == 46


async def line_of(port, line, address="127.0.0.1"):
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
    writer.write(f"{line}\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return answer.decode()


async def test_an_answer_that_does_not_come_does_not_hold_the_end_up():
    health = HealthServer(live=lambda: None, ready=lambda: None, routes={"never": _never})
    async with asyncio.timeout(25):
        async with health.serve("127.0.0.1", 0) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /never HTTP/1.1\r\n\r\n")
            await until(lambda: health._open)
        assert await reader.read() == b""
    writer.close()


async def _asked(port, path, source):
    """The answer to a question from one of this machine's addresses."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    try:
        writer.write(f"GET {path} HTTP/1.1\r\n\r\n".encode())
        return (await reader.read()).decode()
    finally:
        writer.close()


async def test_an_address_that_asks_without_end_keeps_no_other_from_its_answer():
    health = HealthServer(live=lambda: None, ready=lambda: None, routes={"never": _never})
    async with asyncio.timeout(25), health.serve("127.0.0.1", 0) as port, asyncio.TaskGroup() as group:
        asked = []
        for number in (55, 102):  # more at once may not have asked nothing yet
            asked += [group.create_task(_asked(port, "/never", "127.0.0.2")) for _ in range(55)]
            await until(lambda most=number: len(health._open) >= most and not health._silent._all)
        await until(lambda: sum(task.done() for task in asked) == 8)
        told = "100 questions from there wait for their answers already; ask later\n"
        assert {task.result().rpartition("\r\n\r\n")[2] for task in asked if task.done()} == {told}
        assert (await _asked(port, "/metrics", "127.0.0.3")).startswith("HTTP/1.1 200 ")
        for task in asked:
            task.cancel()


async def _never(_):
    await asyncio.Event().wait()
