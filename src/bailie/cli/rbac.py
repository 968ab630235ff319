"""`bailie rbac`: the objects that an administrator applies so that an operator may serve a namespace. Also
offline."""

from __future__ import annotations

import secrets
import sys
from typing import Annotated, Any

import typer

from bailie.cli.output import ExitCode, Output, fail, print_json, say
from bailie.wellknown import names, variables

Manifest = dict[str, Any]
_LOOK_SECONDS = 5.0

Namespaces = Annotated[list[str] | None, typer.Argument(metavar="NAMESPACE...", help="Namespaces to serve.")]
Home = Annotated[
    str,
    typer.Option(
        "--operator-namespace", help="The operator's namespace.", envvar=variables.OPERATOR_NAMESPACE
    ),
]


def rbac(
    namespaces: Namespaces = None,
    *,
    operator_namespace: Home = "seldon-system",
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
    the rights up to date. A token that is there is left alone: another one would shut out the pods that run.

    Examples:

      bailie rbac financial-staging | kubectl apply -f -

      bailie rbac team-a team-b --operator-namespace platform --secret team-storage

      bailie rbac --cluster-wide --operator-namespace platform
    """
    if scheduler_namespace:
        _check("--scheduler-namespace", scheduler_namespace)
    manifests = _cluster(namespaces, operator_namespace) if cluster_wide else []
    if not cluster_wide and not namespaces:
        fail("no namespace was named", hint="bailie rbac NAMESPACE, or --cluster-wide", code=ExitCode.USAGE)
    for namespace in namespaces or ():
        manifests += _namespace(namespace, operator_namespace, secret)
        if token or (token is None and not _has_token(namespace)):
            manifests.append(_token(namespace))
        if scheduler_namespace:
            manifests += _central(namespace, scheduler_namespace)
    if output is Output.JSON:
        print_json({"apiVersion": "v1", "kind": "List", "items": manifests})
        return
    import yaml

    sys.stdout.write(f"# For the operator in {operator_namespace}; of another one: --operator-namespace.\n")
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


def _has_token(namespace: str) -> bool:
    """Asks the cluster that `kubectl apply` would talk to, and returns its answer."""
    import asyncio

    from bailie.api.kinds import SECRET
    from bailie.kube.client import Client
    from bailie.kube.errors import ApiError, NotFound
    from bailie.manifests.rbac import CONTROL_PLANE_SECRET

    async def look() -> None:
        async with asyncio.timeout(_LOOK_SECONDS), Client.from_environment() as client:
            await client.get(SECRET, CONTROL_PLANE_SECRET, namespace)

    try:
        asyncio.run(look())
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
