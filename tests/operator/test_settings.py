from __future__ import annotations

import pytest

from bailie.manifests.fences import Fence
from bailie.operator.settings import OperatorSettings
from bailie.settings.reader import SettingsError

POD = {"POD_NAMESPACE": "home", "POD_NAME": "operator-0"}
BAD = {
    "no namespace": ({"POD_NAME": "x"}, "POD_NAMESPACE is not set"),
    "no name": ({"POD_NAMESPACE": "x"}, "POD_NAME is not set"),
    "glob": ({**POD, "WATCH_NAMESPACES": "team-*"}, "WATCH_NAMESPACES is 'team-.*is a pattern"),
    "no permission": (
        {**POD, "BAILIE_POD_PERMISSIONS": "root,everything"},
        'BAILIE_POD_PERMISSIONS is .*; it should be permissions.*: host, volumes, .*there is no "everything"',
    ),
    "no truth": ({**POD, "CLUSTERWIDE": "maybe"}, "CLUSTERWIDE is 'maybe'; it should be true or false"),
}


def test_defaults():
    settings = OperatorSettings.from_environment(POD)
    assert (settings.namespace, settings.watch, settings.clusterwide) == ("home", (), False)
    assert (settings.address, settings.port) == ("127.0.0.1", 9006)
    assert settings.fence == Fence()


def test_everything():
    values = {
        "POD_IP": "127.9.0.1",
        "WATCH_NAMESPACES": "a, b",
        "CLUSTERWIDE": "true",
        "SELDON_LOG_LEVEL": "DEBUG",
        "BAILIE_POD_PERMISSIONS": "root, host",
        "BAILIE_POD_SERVICE_ACCOUNTS": "reader,",
        "BAILIE_TOKEN_SECRET": "ours",
    }
    settings = OperatorSettings.from_environment({**POD, **values})
    assert settings.watch == ("a", "b")
    assert settings.fence == Fence(frozenset({"root", "host"}), frozenset({"reader"}), "ours")
    assert (settings.address, settings.clusterwide, settings.log_level) == ("127.9.0.1", True, "debug")


@pytest.mark.parametrize(("environment", "message"), BAD.values(), ids=BAD)
def test_nonsense_is_named(environment, message):
    with pytest.raises(SettingsError, match=message):
        OperatorSettings.from_environment(environment)
