"""A term begins with a copy that knows everything that the API has."""

import asyncio

import pytest

from bailie.api.kinds import MODEL
from bailie.kube.client import ObjectList
from bailie.kube.errors import Unreachable
from bailie.scheduler.freshness import Stale, current


def model(name, generation=1, created="2026-01-01T00:00:00Z"):
    metadata = {"name": name, "namespace": "a", "generation": generation, "creationTimestamp": created}
    return {"metadata": metadata}


class Copy:
    """An informer's store as the test has it."""

    kind, namespace, failure = MODEL, "a", None

    def __init__(self, *manifests):
        self.synced = asyncio.Event()
        self.synced.set()
        self.store = {}
        self.take(*manifests)

    def take(self, *manifests):
        self.store |= {("a", each["metadata"]["name"]): each for each in manifests}


class Api:
    """Answers lists, in turn; the last answer stays."""

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), 0

    async def list(self, kind, namespace):
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return ObjectList(answer, "1")


@pytest.mark.parametrize(
    ("listed", "copied"),
    [
        ([], []),
        ([model("iris")], [model("iris")]),
        ([model("iris")], [model("iris", generation=2)]),
        ([], [model("gone")]),
        ([model("iris", 3)], [model("iris", 1, created="2026-01-02T00:00:00Z")]),
    ],
    ids=["empty", "equal", "newer", "deleted since", "made anew since"],
)
async def test_a_copy_that_lacks_nothing_is_current(listed, copied):
    api = Api(listed)
    await current(api, Copy(*copied), 0.0)
    assert api.asked == 1


@pytest.mark.parametrize(
    "copied",
    [[], [model("iris", generation=1)], [model("iris", 5, created="2025-12-31T00:00:00Z")]],
    ids=["missing", "older spec", "deleted and made anew"],
)
async def test_a_copy_that_is_behind_is_waited_for_and_then_given_up(copied):
    listed = [model("iris", generation=2)]
    with pytest.raises(Stale, match="the copy of models is behind the API: iris"):
        await current(Api(listed), Copy(*copied), 0.0)
    copy = Copy(*copied)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(current(Api(listed), copy))
        await asyncio.sleep(0)
        assert not waiting.done()
        copy.take(*listed)


async def test_a_copy_that_is_never_listed_is_given_up_with_the_cause():
    copy = Copy()
    copy.synced.clear()
    with pytest.raises(Stale, match=r"models were not listed within 0.01 s$"):
        await current(Api([]), copy, list_seconds=0.01)
    copy.failure = Unreachable("the API is away")
    with pytest.raises(Stale, match=r"within 0.01 s: the API is away"):
        await current(Api([]), copy, list_seconds=0.01)


async def test_an_api_that_is_away_for_a_moment_is_asked_again():
    api = Api(Unreachable("away"), [model("iris")])
    await current(api, Copy(model("iris")))
    assert api.asked == 2
