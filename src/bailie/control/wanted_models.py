"""The Models of the namespace as the scheduler reads them: parsed once per generation, each a frozen value.

Used by `model_subjects` on every pass. Decides nothing about places; says which version is wanted, and which
mistakes a spec has.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import is_
from typing import TYPE_CHECKING, Any

from bailie.api.model import Model, content_identity
from bailie.api.resource import NO_EFFECT
from bailie.placement import Demand, VersionId

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping

    from bailie.api.problems import Problem

    Manifest = Mapping[str, Any]


SLICE = 32
"""Models parsed between two pauses: about 5 ms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedModel:
    """One Model. `model` is None where the manifest is invalid; then `problems` says why."""

    name: str
    uid: str
    generation: int
    deleting: bool
    finalizers: tuple[str, ...] = ()
    model: Model | None = None
    identity: str = ""
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()

    @property
    def version(self) -> VersionId:
        """The version that the spec asks for."""
        return VersionId(self.name, self.identity)

    @property
    def replicas(self) -> int:
        """How many replicas are to serve; 0 for a model that is invalid, being deleted or scaled down."""
        return self.model.spec.scaling.replicas if self.model and not self.deleting else 0

    @property
    def minimum(self) -> int:
        """How many replicas must answer for the model to be ready, where more than one."""
        return self.model.spec.scaling.min_replicas if self.model else 0


def demand_of(wanted: WantedModel, workers: int) -> Demand | None:
    """Returns the demand for placement; None for a model that wants no place. `workers` multiplies memory."""
    if wanted.model is None or wanted.replicas == 0:
        return None
    spec = wanted.model.spec
    return Demand(
        version=wanted.version,
        requirements=spec.effective_requirements,
        memory_bytes=(spec.memory_bytes or 0) * max(workers, 1),
        replicas=wanted.replicas,
        min_replicas=wanted.minimum,
        server=spec.server or "",
        explainer=spec.explainer is not None,
    )


class WantedModels:
    """The Models by name, `wanted`; each is parsed again only when its generation changes."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Manifest, tuple[object, ...]]] = {}
        self._read: list[Manifest] = []
        self.wanted: dict[str, WantedModel] = {}

    def read(self, manifests: Iterable[Manifest], changed: set[str]) -> Generator[None, None, None]:
        """Takes over every Model; adds the names of Models that are new, changed or gone to `changed`.

        Yields between slices of the work.
        """
        present, parsed = list(manifests), 0
        if len(present) == len(self._read) and all(map(is_, present, self._read)):
            return
        for manifest in present:
            name = manifest["metadata"]["name"]
            before = self._known.get(name)
            if before is not None and before[0] is manifest:
                continue
            mark = _mark(manifest["metadata"])
            if before is None or before[1] != mark:
                self.wanted[name] = _parse(manifest)
                changed.add(name)
                parsed += 1
            self._known[name] = (manifest, mark)
            if parsed == SLICE:
                parsed = 0
                yield
        if len(self._known) > len(present):
            for name in self._known.keys() - {manifest["metadata"]["name"] for manifest in present}:
                changed.add(name)
                del self._known[name], self.wanted[name]
        self._read = present


def _mark(metadata: Mapping[str, Any]) -> tuple[object, ...]:
    finalizers = tuple(metadata.get("finalizers") or ())
    return (metadata.get("uid"), metadata.get("generation"), metadata.get("deletionTimestamp"), finalizers)


def _parse(manifest: Manifest) -> WantedModel:
    """Returns the Model parsed without its status: a mistake in the status must not make its spec invalid."""
    metadata = manifest["metadata"]
    model, found = Model.parse({key: value for key, value in manifest.items() if key != "status"})
    return WantedModel(
        name=metadata["name"],
        uid=metadata.get("uid", ""),
        generation=int(metadata.get("generation") or 0),
        deleting=bool(metadata.get("deletionTimestamp")),
        finalizers=tuple(metadata.get("finalizers") or ()),
        model=model,
        identity=content_identity(model) if model else "",
        problems=tuple(problem for problem in found if problem.reason != NO_EFFECT) if model is None else (),
        warnings=tuple(problem for problem in found if problem.reason == NO_EFFECT),
    )
