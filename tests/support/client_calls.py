"""Calls of other projects' clients, as their documents show them: `client_calls.py HOST:PORT CLIENTS`.

Runs under the Python of the environment with the clients (`make test-clients`), for one kind of clients:
tritonclient and kserve cannot be in one process. The namespace has the models `echo`, which answers its
inputs, and `talk`, whose server speaks OpenAI's API. Prints a list of `[client, call, result]` as JSON:
`right`, or what the client says.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import queue
import sys

import numpy as np

ADDRESS = sys.argv[1]
URL = f"http://{ADDRESS}"
HALVES = np.array([0.5, -1.0], dtype=np.float16)
TEXTS = np.array([b"a", b""], dtype=np.object_)
JSON = {"inputs": [{"name": "x", "shape": [2], "datatype": "FP32", "data": [0.5, -1.0]}]}
RESULTS: list[tuple[str, str, str]] = []


def said(client, call, work):
    """Notes the result of one call: `work` returns what must be true."""
    try:
        value = work()
        if inspect.isawaitable(value):
            value = asyncio.run(value)
        result = "right" if value else f"wrong: {value!r}"
    except Exception as error:
        result = " ".join(f"{type(error).__name__}: {error}".split())
    RESULTS.append((client, call, result))


def tensor(module, values, datatype, **options):
    made = module.InferInput("x", list(values.shape), datatype)
    made.set_data_from_numpy(values, **options)
    return [made]


def same(result, values):
    return result.as_numpy("x").tolist() == values.tolist()


def triton_rest():
    import tritonclient.http as triton_http  # noqa: PLC0415 - see above

    client, name = triton_http.InferenceServerClient(ADDRESS), "tritonclient.http"
    said(
        name, "is_server_live, is_server_ready", lambda: client.is_server_live() and client.is_server_ready()
    )
    said(name, "get_server_metadata", lambda: client.get_server_metadata()["name"] == "bailie")
    said(name, "is_model_ready", lambda: client.is_model_ready("echo"))
    said(name, "get_model_metadata", lambda: client.get_model_metadata("echo")["name"].startswith("echo"))
    said(
        name,
        "get_model_repository_index",
        lambda: {each["name"] for each in client.get_model_repository_index()} == {"echo", "talk"},
    )
    halves = tensor(triton_http, HALVES, "FP16")
    said(name, "infer, binary tensors (its default)", lambda: same(client.infer("echo", halves), HALVES))
    texts = tensor(triton_http, TEXTS, "BYTES")
    said(name, "infer, binary texts", lambda: same(client.infer("echo", texts), TEXTS.astype(str)))
    plain = tensor(triton_http, HALVES, "FP16", binary_data=False)
    said(name, "infer, JSON", lambda: same(client.infer("echo", plain), HALVES))
    gzip = {"response_compression_algorithm": "gzip"}
    said(name, "infer, answer compressed", lambda: same(client.infer("echo", halves, **gzip), HALVES))
    gzip = {"request_compression_algorithm": "gzip"}
    said(name, "infer, request compressed", lambda: same(client.infer("echo", halves, **gzip), HALVES))
    said(name, "async_infer", lambda: same(client.async_infer("echo", halves).get_result(), HALVES))
    said(name, "get_model_config", lambda: client.get_model_config("echo"))
    said(name, "load_model", lambda: client.load_model("echo") is None)


def triton_grpc():
    import tritonclient.grpc as triton_grpc  # noqa: PLC0415 - see above

    client, name = triton_grpc.InferenceServerClient(ADDRESS), "tritonclient.grpc"
    said(
        name, "is_server_live, is_server_ready", lambda: client.is_server_live() and client.is_server_ready()
    )
    said(name, "get_server_metadata", lambda: client.get_server_metadata().name == "bailie")
    said(name, "is_model_ready", lambda: client.is_model_ready("echo"))
    said(name, "get_model_metadata", lambda: client.get_model_metadata("echo").name.startswith("echo"))
    said(
        name,
        "get_model_repository_index",
        lambda: {each.name for each in client.get_model_repository_index().models} == {"echo", "talk"},
    )
    halves = tensor(triton_grpc, HALVES, "FP16")
    said(name, "infer", lambda: same(client.infer("echo", halves), HALVES))
    headers = {"seldon-model": "echo"}
    said(name, "infer, with the header", lambda: same(client.infer("x", halves, headers=headers), HALVES))
    said(
        name,
        "infer, compressed",
        lambda: same(client.infer("echo", halves, compression_algorithm="gzip"), HALVES),
    )

    def streamed():
        answers: queue.Queue = queue.Queue()
        client.start_stream(lambda result, error: answers.put((result, error)))
        try:
            client.async_stream_infer("echo", halves)
            result, error = answers.get(timeout=30)
        finally:
            client.stop_stream()
        if error:
            raise error
        return same(result, HALVES)

    said(name, "start_stream, async_stream_infer", streamed)
    said(name, "get_model_config", lambda: client.get_model_config("echo"))
    said(name, "load_model", lambda: client.load_model("echo") is None)


def asked(datatype, binary):
    import kserve  # noqa: PLC0415 - see above

    made = kserve.InferInput("x", [2], datatype)
    values = HALVES if datatype == "FP16" else HALVES.astype(np.float32)
    made.set_data_from_numpy(values, binary_data=binary)
    return kserve.InferRequest("echo", [made])


def kserve_rest():
    import kserve  # noqa: PLC0415 - see above

    name = "kserve InferenceRESTClient"

    async def using(work):
        client = kserve.InferenceRESTClient(kserve.RESTConfig(protocol="v2"))
        try:
            return await work(client)
        finally:
            await client.close()

    said(name, "is_server_live", lambda: using(lambda client: client.is_server_live(URL)))
    said(name, "is_server_ready", lambda: using(lambda client: client.is_server_ready(URL)))
    said(name, "is_model_ready", lambda: using(lambda client: client.is_model_ready(URL, "echo")))

    async def infer(client, datatype, binary):
        answer = await client.infer(URL, asked(datatype, binary), model_name="echo")
        return answer.outputs[0].as_numpy().tolist() == HALVES.tolist()

    binary = "infer, binary tensors (its default)"
    said(name, binary, lambda: using(lambda client: infer(client, "FP16", binary=True)))
    said(name, "infer, JSON", lambda: using(lambda client: infer(client, "FP32", binary=False)))


def kserve_grpc():
    import kserve  # noqa: PLC0415 - see above

    name = "kserve InferenceGRPCClient"

    async def using(work):
        client = kserve.InferenceGRPCClient(ADDRESS)
        try:
            return await work(client)
        finally:
            await client.close()

    async def infer(client):
        answer = await client.infer(asked("FP16", binary=True))
        return answer.outputs[0].as_numpy().tolist() == HALVES.tolist()

    said(name, "is_server_live", lambda: using(lambda client: client.is_server_live()))
    said(name, "is_server_ready", lambda: using(lambda client: client.is_server_ready()))
    said(name, "is_model_ready", lambda: using(lambda client: client.is_model_ready("echo")))
    said(name, "infer", lambda: using(infer))


def plain_http():
    import httpx  # noqa: PLC0415 - see above
    import requests  # noqa: PLC0415 - see above

    path = f"{URL}/v2/models/echo/infer"
    for name, post in (("requests", requests.post), ("httpx", httpx.post)):  # noqa: TID251 - without a client of its own

        def answered(url, post=post):
            return post(url, json=JSON, timeout=30).json()["outputs"][0]["data"] == [0.5, -1.0]

        said(name, "post", lambda answered=answered: answered(path))
        said(name, "post, a slash at the end", lambda answered=answered: answered(f"{path}/"))


def over_openai():
    import openai  # noqa: PLC0415 - see above

    client, name = openai.OpenAI(base_url=f"{URL}/v1", api_key="none", max_retries=0), "openai"
    messages = [{"role": "user", "content": "hello"}]
    chat = client.chat.completions
    said(name, "models.list", lambda: {each.id for each in client.models.list()} == {"echo", "talk"})
    said(
        name,
        "chat.completions.create",
        lambda: chat.create(model="talk", messages=messages).model.startswith("talk_"),
    )
    said(
        name,
        "chat.completions.create, stream",
        lambda: (
            [part.model[:4] for part in chat.create(model="talk", messages=messages, stream=True)] == ["talk"]
        ),
    )
    said(name, "an unknown model", lambda: chat.create(model="nope", messages=messages))


CLIENTS = (triton_rest, triton_grpc, kserve_rest, kserve_grpc, plain_http, over_openai)

if __name__ == "__main__":
    {each.__name__: each for each in CLIENTS}[sys.argv[2]]()
    print(json.dumps(RESULTS))
