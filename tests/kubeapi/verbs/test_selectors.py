import pytest

from kubeapi.verbs.selectors import SelectorError, parse_field_selector, parse_label_selector

LABELS = {"app": "iris", "tier": "gold", "app.kubernetes.io/name": "seldon-server", "n": "5", "empty": ""}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        (None, True),
        ("", True),
        ("app=iris", True),
        ("app==iris", True),
        ("app = iris", True),
        ("app=wine", False),
        ("missing=iris", False),
        ("app!=wine", True),
        ("app!=iris", False),
        ("missing!=iris", True),
        ("app", True),
        ("missing", False),
        ("!missing", True),
        ("! missing", True),
        ("!app", False),
        ("app in (iris, wine)", True),
        ("app in (wine)", False),
        ("app in(iris),tier notin (silver)", True),
        ("tier notin (gold)", False),
        ("missing notin (gold)", True),
        ("app=iris,tier=gold", True),
        ("app=iris,tier=silver", False),
        ("app.kubernetes.io/name=seldon-server", True),
        ("empty=", True),
        ("app=", False),
        ("empty in (a,)", True),
        ("n>4", True),
        ("n > 5", False),
        ("n<6", True),
        ("app>4", False),
        ("n gt 4", True),
    ],
)
def test_label_selectors(text, matches):
    assert parse_label_selector(text).matches({"metadata": {"labels": LABELS}}) is matches


UNREADABLE = [
    ",",
    "app=iris,",
    "app=iris,,tier=gold",
    "app in iris",
    "app in (iris",
    "app is iris",
    "=x",
    "a b",
]
UNREADABLE += ["n>x", "app=a/b", "a/b/c=d", "-app", "UPPER.prefix/x=y", "app=(", "!!app", "app=-x"]


@pytest.mark.parametrize("text", UNREADABLE)
def test_label_selectors_that_cannot_be_read(text):
    with pytest.raises(SelectorError):
        parse_label_selector(text)


def test_objects_without_labels():
    assert parse_label_selector("!a").matches({})
    assert not parse_label_selector("a").matches({"metadata": {"labels": None}})


POD = {
    "metadata": {"name": "a", "namespace": "x"},
    "spec": {"nodeName": "laptop", "hostNetwork": True},
    "status": {"phase": "Running"},
}
EVENT = {
    "metadata": {"name": "e"},
    "involvedObject": {"kind": "Model", "name": "iris"},
    "source": {"component": "s"},
}


@pytest.mark.parametrize(
    ("text", "kind", "obj", "matches"),
    [
        (None, "Model", POD, True),
        ("metadata.name=a", "Model", POD, True),
        ("metadata.name==b", "Model", POD, False),
        ("metadata.name!=b", "Model", POD, True),
        ("metadata.name=a,metadata.namespace=x", "Model", POD, True),
        ("metadata.name=a,metadata.namespace=y", "Model", POD, False),
        ("status.phase=Running", "Pod", POD, True),
        ("status.phase!=Running", "Pod", POD, False),
        ("spec.nodeName=laptop", "Pod", POD, True),
        ("spec.hostNetwork=true", "Pod", POD, True),
        ("status.podIP=", "Pod", POD, True),
        ("involvedObject.kind=Model,involvedObject.name=iris", "Event", EVENT, True),
        ("involvedObject.name=wine", "Event", EVENT, False),
        ("source=s", "Event", EVENT, True),
        ("name=a", "Namespace", POD, True),
    ],
)
def test_field_selectors(text, kind, obj, matches):
    assert parse_field_selector(text, kind).matches(obj) is matches


@pytest.mark.parametrize(
    ("text", "kind"), [("spec.x=1", "Model"), ("status.phase=x", "Model"), ("name", "Pod")]
)
def test_field_selectors_that_cannot_be_used(text, kind):
    with pytest.raises(SelectorError):
        parse_field_selector(text, kind)


def test_exact_field():
    selector = parse_field_selector("metadata.name=a,metadata.namespace!=b", "Pod")
    assert selector.exact("metadata.name") == "a"
    assert selector.exact("metadata.namespace") is None
