"""`bailie rbac`: the objects that an administrator applies so that an operator may serve a namespace. Also
offline."""

from __future__ import annotations

import secrets
import sys
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from bailie.cli.output import ExitCode, Output, fail, print_json, say
from bailie.wellknown import names, variables

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bailie.kube.client import Client

T = TypeVar("T")
Manifest = dict[str, Any]
_LOOK_SECONDS = 5.0
_HOME = "seldon-system"
"""The operator's namespace where no cluster says another one."""

Namespaces = Annotated[list[str] | None, typer.Argument(metavar="NAMESPACE...", help="Namespaces to serve.")]
Home = Annotated[
    str | None,
    typer.Option(
        "--operator-namespace",
        help="The operator's namespace.",
        envvar=variables.OPERATOR_NAMESPACE,
        show_default=f"the only one of the cluster of $KUBECONFIG, or {_HOME}",
    ),
]


def rbac(
    namespaces: Namespaces = None,
    *,
    operator_namespace: Home = None,
    token: Annotated[
        bool | None,
        typer.Option(
            "--token/--no-token",
            help="With the Secret of the control plane, its token drawn at random.",
            show_default="unless the cluster of $KUBECONFIG has one",
        ),
    ] = None,
    secret: Annotated[
        list[str] | None,
        typer.Option(
            help="A Secret that Models may name; again for more. '*': every one of the namespace.",
            show_default=names.REMOTE_SECRET,
        ),
    ] = None,
    scheduler_namespace: Annotated[
        str | None,
        typer.Option(help="Namespace of the scheduler that serves them, if not their own."),
    ] = None,
    cluster_wide: Annotated[
        bool, typer.Option("--cluster-wide", help="The operator's rights in all namespaces instead.")
    ] = False,
    output: Annotated[Output, typer.Option("-o", "--output", help="text is YAML.")] = Output.TEXT,
) -> None:
    """Print the accounts, Roles and token that a served namespace needs, for `kubectl apply -f -`.

    The setup chart makes the same in the namespaces of controller.watchNamespaces. Applied again, it brings
    the rights up to date: kubectl's warnings that an annotation is missing do no harm. A token that is there
    is left alone, for another one would shut out the pods that run. The RoleBinding names one operator, and
    takes the rights from any other one.

    Examples:

      bailie rbac financial-staging | kubectl apply -f -

      bailie rbac team-a team-b --operator-namespace platform --secret team-storage

      bailie rbac --cluster-wide --operator-namespace platform
    """
    if scheduler_namespace:
        _check("--scheduler-namespace", scheduler_namespace)
    if not cluster_wide and not namespaces:
        fail("no namespace was named", hint="bailie rbac NAMESPACE, or --cluster-wide", code=ExitCode.USAGE)
    home = operator_namespace or _only_home()
    manifests = _cluster(namespaces, home) if cluster_wide else []
    for namespace in namespaces or ():
        manifests += _namespace(namespace, home, secret)
        if token or (token is None and not _has_token(namespace)):
            manifests.append(_token(namespace))
        if scheduler_namespace:
            manifests += _central(namespace, scheduler_namespace)
    _print(manifests, home, output)


def _print(manifests: list[Manifest], home: str, output: Output) -> None:
    if output is Output.JSON:
        print_json({"apiVersion": "v1", "kind": "List", "items": manifests})
        return
    import yaml

    sys.stdout.write(f"# For the operator in {home}; of another one: --operator-namespace.\n")
    sys.stdout.write(yaml.safe_dump_all(manifests, sort_keys=False))


def _cluster(namespaces: list[str] | None, operator_namespace: str) -> list[Manifest]:
    from bailie.manifests.rbac import cluster_manifests, operator_manifests

    if namespaces:
        fail("--cluster-wide is for all namespaces; name none with it", code=ExitCode.USAGE)
    return [*operator_manifests(operator_namespace), *cluster_manifests(operator_namespace)]


def _central(namespace: str, scheduler_namespace: str) -> list[Manifest]:
    from bailie.manifests.rbac import central_manifests

    return central_manifests(namespace, scheduler_namespace)


def _check(where: str, name: str) -> None:
    from bailie.api.names import label_problems

    if problems := label_problems(where, name):
        fail("; ".join(str(problem) for problem in problems), code=ExitCode.USAGE)


def _namespace(namespace: str, operator_namespace: str, model_secrets: list[str] | None) -> list[Manifest]:
    from bailie.manifests.rbac import MODEL_SECRETS, namespace_manifests

    _check("NAMESPACE", namespace)
    _check("--operator-namespace", operator_namespace)
    return namespace_manifests(namespace, operator_namespace, secrets=model_secrets or MODEL_SECRETS)


def _token(namespace: str) -> Manifest:
    from bailie.manifests.defaults import token_secret

    return token_secret(namespace, secrets.token_urlsafe(32))


def _asked(question: Callable[[Client], Awaitable[T]]) -> T:
    """Asks the cluster that `kubectl apply` would talk to. Raises ApiError, TimeoutError."""
    import asyncio

    from bailie.kube.client import Client

    async def ask() -> T:
        async with asyncio.timeout(_LOOK_SECONDS), Client.from_environment() as client:
            return await question(client)

    return asyncio.run(ask())


def _only_home() -> str:
    """Returns the namespace of the cluster's operator; ends the command where there are several."""
    from bailie.doctor.installation import find_homes
    from bailie.kube.errors import ApiError

    try:
        homes = _asked(find_homes)
    except (ApiError, TimeoutError):
        return _HOME
    if len(homes) > 1:
        hint = "name the one that is to serve them with --operator-namespace"
        fail(f"there are several operators: in {', '.join(homes)}", hint=hint, code=ExitCode.USAGE)
    return homes[0] if homes else _HOME


def _has_token(namespace: str) -> bool:
    """Says whether the namespace has the Secret of the control plane."""
    from bailie.api.kinds import SECRET
    from bailie.kube.errors import ApiError, NotFound
    from bailie.manifests.rbac import CONTROL_PLANE_SECRET

    try:
        _asked(lambda client: client.get(SECRET, CONTROL_PLANE_SECRET, namespace))
    except NotFound:
        return False
    except (ApiError, TimeoutError) as error:
        cause = str(error) or "no answer"
        say(f"warning: a new token for {namespace}: it is unknown whether there is one already ({cause})")
        say(
            "hint: a new token locks out running pods that have another one; if there are any, use --no-token"
        )
        return False
    say(f"{namespace} has a token, which is left alone; --token draws another one")
    return True
