"""Names of Services become addresses: from files, from DNS, or as they are."""

from __future__ import annotations

import pytest

from bailie.kube.discovery import Resolver, Unresolved


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("seldon-scheduler", ("127.70.0.1", "127.70.0.2")),
        ("seldon-scheduler.b", ("127.70.0.9",)),
        ("seldon-scheduler.b.svc.cluster.local", ("127.70.0.9",)),
        ("127.0.0.5", ("127.0.0.5",)),
        ("::1", ("::1",)),
    ],
)
async def test_the_nodes_files_are_read(tmp_path, host, expected):
    for namespace, content in {"a": "127.70.0.1\n127.70.0.2\n127.70.0.1\n", "b": "127.70.0.9\n"}.items():
        (tmp_path / namespace).mkdir()
        (tmp_path / namespace / "seldon-scheduler.hosts").write_text(content)
    resolver = Resolver("a", tmp_path)
    assert await resolver.resolve(host) == expected


async def test_a_file_is_read_afresh_each_time(tmp_path):
    resolver = Resolver("a", tmp_path)
    with pytest.raises(Unresolved, match=r"seldon-scheduler\.hosts: No such file"):
        await resolver.resolve("seldon-scheduler")
    (tmp_path / "a").mkdir()
    path = tmp_path / "a" / "seldon-scheduler.hosts"
    path.write_text("")
    with pytest.raises(Unresolved, match="no pod is listed"):
        await resolver.resolve("seldon-scheduler")
    path.write_text("127.70.0.3\n")
    assert await resolver.resolve("seldon-scheduler") == ("127.70.0.3",)


async def test_without_files_names_come_from_dns():
    resolver = Resolver("a")
    assert "127.0.0.1" in await resolver.resolve("localhost")
    with pytest.raises(Unresolved, match=r"name\.invalid"):
        await resolver.resolve("name.invalid")
