"""A Python client of models: numpy arrays and data frames in, numpy arrays out, over REST or gRPC.

    from bailie.client import Client

    with Client("http://127.0.0.1:9000") as client:       # or Client.connect(namespace="team-a")
        answer = client.model("iris").infer(array)
        answer.array

`AsyncClient` has the same words with `await`. Needs numpy: `pip install 'bailie[client]'`.
"""

from bailie.client.answers import Answer, InferenceError
from bailie.client.asynchronous import AsyncClient, AsyncModelClient
from bailie.client.blocking import Client, ModelClient
from bailie.inference.client import ServerUnreachable

__all__ = [
    "Answer",
    "AsyncClient",
    "AsyncModelClient",
    "Client",
    "InferenceError",
    "ModelClient",
    "ServerUnreachable",
]
