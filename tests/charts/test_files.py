"""Values files of other people, and those of Seldon Core's charts, are taken as they are.

`golden/files.yaml` has what each file of `values/` changes, and the notes of its install.
"""

from pathlib import Path

import pytest
import yaml
from tests.charts.test_values import changes, leaves
from tests.support.charts import refusal, render
from tests.support.seldon_core import RELEASES, default_values

from bailie import __version__

FILES = sorted((Path(__file__).parent / "values").glob("*.yaml"))
UNSAFE = {
    "setup-tls-everywhere": [
        'security.controlplane.protocol is "SSL"; give PLAINTEXT: Bailie\'s own connections have no TLS',
        'security.envoy.protocol is "SSL"; give PLAINTEXT: Bailie\'s own connections have no TLS',
    ]
}
"""The files that are refused, since what they ask for would silently not be so."""
LINES = 15
"""Of the notes of an install."""
SELDONS = ("seldonio/seldon", "seldonv2", "seldon-rclone")


def rendered_with(path):
    return render(path.name.partition("-")[0], yaml.safe_load(path.read_text()))


def images(rendered):
    """Returns the image of each container, wherever it is."""
    return [value for path, value in leaves(rendered).items() if path.endswith("].image")]


def test_there_are_files_enough():
    assert len(FILES) - len(UNSAFE) >= 15


def test_what_the_files_of_people_change(golden):
    found = {}
    for path in FILES:
        if path.stem not in UNSAFE:
            rendered = rendered_with(path)
            usual = leaves(render(path.name.partition("-")[0]))
            found[path.stem] = {
                "changes": changes(usual, leaves(rendered)),
                "notes": rendered.notes.splitlines(),
            }
    golden.check("files", found)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_is_taken_as_it_is(path):
    if path.stem in UNSAFE:
        said = refusal(path.name.partition("-")[0], yaml.safe_load(path.read_text()))
        assert [sentence for sentence in UNSAFE[path.stem] if sentence not in said] == []
        return
    rendered = rendered_with(path)
    assert len(rendered.notes.strip().splitlines()) <= LINES, rendered.notes
    assert [image for image in images(rendered) if any(name in image for name in SELDONS)] == []


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("chart", ["setup", "runtime", "servers"])
def test_the_usual_values_of_seldon_core_are_taken_as_they_are(chart, release):
    values = default_values(chart, release)
    for given in (values, yaml.safe_load(yaml.safe_dump(values))):
        rendered = render(chart, given)
        assert len(rendered.notes.strip().splitlines()) <= LINES, rendered.notes
        assert [image for image in images(rendered) if any(name in image for name in SELDONS)] == []


def test_the_usual_values_of_seldon_core_are_told_in_a_few_lines():
    notes = render("setup", default_values("setup", "2.10.2")).notes
    assert "security.envoy.ssl.* (" in notes
    assert (
        "Images of Seldon Core are not run; Bailie's take their place: "
        "controller.image, envoy.image, pipelinegateway.image, scheduler.image, serverConfig.agent.image."
        in notes
    )


REGISTRIES = [
    (
        {"registry": "docker.io", "repository": "seldonio/seldon-scheduler", "tag": "2.9.1"},
        {},
        "bailie:0.1.0",
    ),
    (
        {"registry": "docker.io", "repository": "seldonio/seldon-scheduler"},
        {"registry": "r.example"},
        "r.example/bailie:0.1.0",
    ),
    (
        {"registry": "m.example", "repository": "seldonio/seldon-scheduler", "tag": "2"},
        {},
        "m.example/bailie:0.1.0",
    ),
    ({"registry": "m.example"}, {}, "m.example/bailie:0.1.0"),
    ({"registry": "m.example"}, {"registry": "r.example", "tag": "5"}, "m.example/bailie:5"),
    ({"repository": "proxy/docker.io/seldonio/seldon-scheduler:2.9.1"}, {}, "bailie:0.1.0"),
    ({"repository": "mirror/bailie", "tag": "7"}, {"registry": "r.example"}, "r.example/mirror/bailie:7"),
    (
        {},
        {"registry": "docker.io", "repository": "seldonio/seldonv2-controller", "tag": "2.9.1"},
        "bailie:0.1.0",
    ),
]


@pytest.mark.parametrize(("own", "shared", "image"), REGISTRIES)
def test_an_image_of_seldon_core_is_never_run_and_a_registry_alone_goes_through(own, shared, image):
    rendered = render("setup", {"scheduler": {"image": own}, "image": shared})
    [scheduler] = rendered.one("SeldonConfig", "default")["spec"]["components"][0]["podSpec"]["containers"]
    assert scheduler["image"] == image.replace("0.1.0", __version__)
    seldons = "seldonio/" in f"{own} {shared}"
    assert ("Images of Seldon Core are not run" in rendered.notes) == seldons
