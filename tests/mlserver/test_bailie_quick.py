"""Which models are asked in the server's loop, and until when."""

import time
from types import SimpleNamespace

import pytest

from bailie.mlserver.bailie_quick import MARK, MOST_SLOW, SLOW_SECONDS, Quick


def model(folder=None, *, module="mlserver_sklearn.sklearn", batch=0):
    source = str(folder / "model-settings.json") if folder else None
    kind = type("Model", (), {"__module__": module})
    instance = kind()
    instance.settings = SimpleNamespace(_source=source, max_batch_size=batch)
    return instance


@pytest.mark.parametrize(
    ("module", "batch", "quick"),
    [
        ("mlserver_sklearn.sklearn", 0, True),
        ("mlserver_sklearn.sklearn", 1, True),
        ("mlserver_sklearn.sklearn", 2, False),
        ("mlserver_xgboost.xgboost", 0, True),
        ("mlserver_lightgbm.lightgbm", 0, True),
        ("mlserver_catboost.catboost", 0, True),
        ("mlserver_mlflow.runtime", 0, False),
        ("mlserver_huggingface.runtime", 0, False),
        ("mlserver_sklearn_of_mine.model", 0, False),
        ("model", 0, False),
    ],
)
def test_which_models_are_quick(tmp_path, module, batch, quick):
    assert Quick().suits(model(tmp_path, module=module, batch=batch)) is quick
    assert Quick().suits(model(module=module, batch=batch)) is quick


def test_one_that_has_kept_the_server_from_answering_is_not(tmp_path):
    (tmp_path / MARK).touch()
    assert not Quick().suits(model(tmp_path))


async def test_one_that_is_slow_again_and_again_is_asked_apart(tmp_path):
    asked = []

    async def here(seconds):
        time.sleep(seconds)  # noqa: ASYNC251 - what models do
        asked.append("here")

    async def apart(_):
        asked.append("apart")

    call = Quick().shared(model(tmp_path), here, apart)
    for seconds in [*[SLOW_SECONDS] * (MOST_SLOW - 1), 0, *[SLOW_SECONDS] * MOST_SLOW, 0, SLOW_SECONDS]:
        await call(seconds)
    assert asked == ["here"] * (2 * MOST_SLOW) + ["apart", "apart"]


async def test_one_that_fails_is_asked_again(tmp_path):
    async def here():
        raise KeyError("x")

    call = Quick().shared(model(tmp_path), here, here)
    for _ in range(2):
        with pytest.raises(KeyError):
            await call()
