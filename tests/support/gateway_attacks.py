"""Callers that are no Envoy, and models that are none: bytes for a pipeline gateway, by a seed.

Each attack is a few requests, most of them well-formed at first, that are then changed: bytes of HTTP/1.1, of
chunks, of frames, of JSON or of protobuf.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from tests.pipelinegateway.client import grpc_bytes, message_of, request_bytes
from tests.pipelinegateway.models import tensor

KEYS = ("one_1", "three_1", "none_1")
SPLICES = (
    b"\r\n",
    b"\r\n\r\n",
    b"\0\0\0\0\0",
    b"\xff" * 9,
    b"content-length: 5\r\n",
    b"transfer-encoding: chunked\r\n",
    b"transfer-encoding: gzip, chunked\r\n",
    b"connection: close\r\n",
    b"expect: 100-continue\r\n",
    b"upgrade: h2c\r\nconnection: upgrade\r\n",
    b"grpc-timeout: 1n\r\n",
    b"grpc-encoding: gzip\r\n",
    b"inference-header-content-length: 9\r\n",
    b"ffffffffffffffff\r\n",
    b"[" * 2_000,
    b'{"inputs":' * 50,
    b"\x2a\x00" * 3_000,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"x" * 70_000,
)
DIMENSIONS = ([1], [-1], [2**62, 2**62], [], [0], [1] * 70)


@dataclass(frozen=True)
class Attack:
    """`pieces` are written one after another; `reset` hangs up without a word."""

    name: str
    pieces: tuple[bytes, ...]
    reset: bool


class Attacks:
    """An endless iterator; the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def __iter__(self):
        return self

    def __next__(self) -> Attack:
        pick = self._random
        name = pick.choice(("rest", "grpc", "json", "protobuf", "pipelined", "noise"))
        data = getattr(self, f"_{name}")()
        return Attack(name, self._cut(data), pick.random() < 0.3)

    def _rest(self) -> bytes:
        return self._mutated(request_bytes(self._key(), {"inputs": [self._tensor()]}))

    def _grpc(self) -> bytes:
        method = self._random.choice(("ModelInfer", "ModelReady", "ModelStreamInfer"))
        return self._mutated(grpc_bytes(self._key(), message_of([self._tensor()]), method=method))

    def _json(self) -> bytes:
        """Bodies that are changed within well-formed HTTP."""
        shape = self._random.choice(DIMENSIONS)
        body = request_bytes("one_1", {"inputs": [{**self._tensor(), "shape": shape}]}).partition(
            b"\r\n\r\n"
        )[2]
        return request_bytes(self._key(), self._mutated(body))

    def _protobuf(self) -> bytes:
        tensors = [self._tensor() for _ in range(self._random.randrange(3))]
        message = self._mutated(message_of(tensors).SerializeToString())
        return grpc_bytes(self._key(), body=len(message).to_bytes(5, "big") + message)

    def _pipelined(self) -> bytes:
        return b"".join(
            self._random.choice((self._rest, self._grpc))() for _ in range(self._random.randrange(2, 30))
        )

    def _noise(self) -> bytes:
        return self._random.randbytes(self._random.randrange(1, 5_000))

    def _key(self) -> str:
        return self._random.choice(KEYS)

    def _tensor(self) -> dict:
        """`bad` makes the model answer with such bytes, too."""
        name = self._random.choice(("x", "bad", "fail", ""))
        return tensor(name, ["t" * self._random.choice((0, 1, 5_000))])

    def _mutated(self, data: bytes) -> bytes:
        found = bytearray(data)
        for _ in range(self._random.choice((0, 1, 1, 2, 5))):
            at = self._random.randrange(len(found) + 1)
            kind = self._random.randrange(4)
            if kind == 0 and at < len(found):
                found[at] = self._random.randrange(256)
            elif kind == 1:
                del found[at : at + self._random.choice((1, 2, 50))]
            elif kind == 2:
                found[at:at] = self._random.choice(SPLICES)
            else:
                found[at:at] = found[at : at + 40]
        return bytes(found)

    def _cut(self, data: bytes) -> tuple[bytes, ...]:
        if self._random.random() < 0.5:
            return (data,)
        places = sorted(self._random.randrange(len(data) + 1) for _ in range(self._random.randrange(1, 4)))
        return tuple(data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True))


def bad_answer(pick: random.Random) -> bytes:
    """Returns bytes of a model, or of an Envoy, that mean nothing or too much."""
    head = b"HTTP/1.1 200 OK\r\n"
    answers = (
        pick.randbytes(200) + b"\r\n\r\n",
        head + b"content-length: 50\r\n\r\nshort",
        head + b"content-length: 2\r\n\r\n{}{}",
        head + b"transfer-encoding: chunked\r\n\r\n5\r\n\0\0\0\0\0\r\n0\r\ngrpc-status: 0\r\n\r\n",
        head + b"transfer-encoding: chunked\r\n\r\nzz\r\n",
        head + b"grpc-status: 13\r\ngrpc-message: %ff%\r\ncontent-length: 0\r\n\r\n",
        head + b'content-length: 15\r\n\r\n{"outputs":[1]}',
        b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + head + b"content-length: 0\r\n\r\n",
    )
    return pick.choice(answers)
