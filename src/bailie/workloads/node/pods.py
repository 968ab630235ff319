"""From a Pod manifest to processes: programs for images, arguments, environment, mounts.

Called by the container runner before each start; pure. A manifest that cannot be run gives a `ConfigError`,
which the pod worker shows as the container's waiting reason.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from bailie.wellknown import variables
from bailie.workloads.node.environment import ConfigError, Sources, environment, expand

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bailie.manifests.workload import Manifest
    from bailie.workloads.node.settings import Program

CONTAINER_VARIABLE = variables.NODE_CONTAINER
STATE_VARIABLE = variables.NODE_STATE
"""The two variables by which a later node recognises the processes of an earlier one."""


@dataclass(frozen=True, slots=True)
class HostPort:
    """A port of the machine itself that a container listens on."""

    name: str
    ip: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PodContext:
    """The facts that the node knows about a pod beyond its manifest. `volumes` are host paths by volume
    name."""

    sources: Sources
    programs: Mapping[str, Program]
    volumes: Mapping[str, str]
    base: Mapping[str, str]  # inherited variables and those the node always adds
    directory: str  # the pod's own; below it each container that names no working directory has one
    kubeconfig: str = ""  # a file; empty for a pod without a token
    accounted: frozenset[str] = frozenset()  # the containers that get it


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSpec:
    """One container as a process."""

    container: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    host_ports: tuple[HostPort, ...] = ()
    program: Program | None = None  # the image's program; None where the container names a command
    mounts: tuple[tuple[str, str], ...] = field(default=(), repr=False)


def container_mark(pod_uid: str, container: str) -> str:
    """Returns the value of CONTAINER_VARIABLE."""
    return f"{pod_uid}/{container}"


def command_mark(mark: str) -> str:
    """Returns the value of CONTAINER_VARIABLE for commands that somebody runs in the container of this mark.

    A later node ends them, and adopts the container.
    """
    return f"{mark}/exec"


def program_name(image: str) -> str:
    """Returns the program of an image: `bailie-mlserver` for `registry/bailie-mlserver:1.0@sha256:…`."""
    return image.partition("@")[0].rpartition("/")[2].partition(":")[0]


def process(pod: Manifest, container: Manifest, context: PodContext) -> ProcessSpec | ConfigError:
    """Returns the process to start for one container."""
    variables = environment(pod, container, context.sources)
    if isinstance(variables, ConfigError):
        return variables
    mounts = _mounts(container, context.volumes, variables)
    if isinstance(mounts, ConfigError):
        return mounts
    program = _program(container, variables, context.programs)
    if isinstance(program, ConfigError):
        return program
    host_ports = _host_ports(container)
    own = {name: _substituted(name, value, mounts) for name, value in variables.items()}
    # The node knows its processes by these two. They come last, so that no manifest sets them.
    state = {name: value for name, value in context.base.items() if name == STATE_VARIABLE}
    marks = {**state, CONTAINER_VARIABLE: container_mark(pod["metadata"]["uid"], container["name"])}
    account = {"KUBECONFIG": context.kubeconfig} if _has_account(container, context) else {}
    listening = {program.address: context.sources.ip} if program and program.address else {}
    env = {**context.base, **account, **_host_port_variable(host_ports), **own, **listening, **marks}
    # Paths of this machine stay as they are: the program, the directory, what variables hold by now.
    words = [*([] if program else container["command"]), *(container.get("args") or [])]
    # The substituted part is expanded below with the rest, and must be the same afterwards.
    literal = tuple((seen, host.replace("$", "$$")) for seen, host in mounts)
    command = (*(program.argv if program else ()), *(substitute(word, literal) for word in words))
    directory = container.get("workingDir")
    return ProcessSpec(
        container=container["name"],
        argv=tuple(expand(word, env) for word in command),
        env=env,
        cwd=substitute(directory, mounts) if directory else f"{context.directory}/work/{container['name']}",
        host_ports=host_ports,
        program=program,
        mounts=mounts,
    )


def _has_account(container: Manifest, context: PodContext) -> bool:
    return bool(context.kubeconfig) and container["name"] in context.accounted


def substitute(text: str, mounts: tuple[tuple[str, str], ...]) -> str:
    """Rewrites a path at or below a mount to the host's directory; anything else stays as it is."""
    for mount_path, host_path in mounts:
        if text == mount_path:
            return host_path
        if text.startswith(mount_path + "/"):
            return host_path + text[len(mount_path) :]
    return text


def _substituted(name: str, value: str, mounts: tuple[tuple[str, str], ...]) -> str:
    """Rewrites a variable's value. Only mounted claims are a list of mounts, with colons between them: other
    lists may name folders of the machine."""
    parts = value.split(":") if name == variables.CLAIMS else [value]
    return ":".join(substitute(part, mounts) for part in parts)


def _mounts(
    container: Manifest, volumes: Mapping[str, str], variables: Mapping[str, str]
) -> tuple[tuple[str, str], ...] | ConfigError:
    result = []
    for mount in container.get("volumeMounts") or []:
        host = volumes.get(mount["name"])
        if host is None:
            return ConfigError(f"volume {mount['name']} of container {container['name']} is not declared")
        part = mount.get("subPath") or expand(mount.get("subPathExpr", ""), variables)
        if part.startswith("/") or ".." in part.split("/") or "\0" in part:
            return ConfigError(f"the part {part!r} of volume {mount['name']} is not in the volume")
        path = PurePosixPath(host, part)
        result.append((mount["mountPath"].rstrip("/") or "/", str(path)))
    return tuple(sorted(result, key=lambda pair: -len(pair[0])))


def _host_ports(container: Manifest) -> tuple[HostPort, ...]:
    return tuple(
        HostPort(port.get("name", str(port["hostPort"])), port.get("hostIP") or "127.0.0.1", port["hostPort"])
        for port in container.get("ports") or []
        if port.get("hostPort")
    )


def _host_port_variable(ports: tuple[HostPort, ...]) -> dict[str, str]:
    if not ports:
        return {}
    return {variables.HOST_PORTS: ",".join(f"{each.name}={each.ip}:{each.port}" for each in ports)}


def _program(
    container: Manifest, given: Mapping[str, str], programs: Mapping[str, Program]
) -> Program | ConfigError | None:
    """Returns the program that the image stands for; None for a container that names a command."""
    if container.get("command"):
        return None
    image, program = container["image"], programs.get(program_name(container["image"]))
    if program is None:
        known = ", ".join(sorted(programs)) or "none"
        text = f"image {image} stands for no local program (known: {known}); give the container a command"
        return ConfigError(text)
    lacking = " and ".join(name for name in program.needs if name not in given)
    if lacking:
        return ConfigError(
            f"image {image} stands for {program.title} here, which needs the variable {lacking}, and"
            f" container {container['name']} does not set it: to change a container of the configuration, use"
            " the name that it has there"
        )
    return program
