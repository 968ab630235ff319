"""The rules by which replicas, minReplicas and maxReplicas make one number (Models and Servers).

Called by `model` and `server`. Unset replicas follow the minimum,
zero means none, a negative number counts as unset.
"""

from dataclasses import dataclass

from bailie.api.base import Int32, Part
from bailie.api.problems import Problem
from bailie.api.resource import no_effect


@dataclass(frozen=True, slots=True)
class Scaling:
    """Effective replica numbers; `max_replicas` is None where there is no bound."""

    replicas: int
    min_replicas: int
    max_replicas: int | None


class Scalable(Part):
    """A spec with scaling fields."""

    replicas: Int32 | None = None
    """Replicas wanted; minReplicas or 1 when unset, 0 for none."""
    min_replicas: Int32 | None = None
    """Lower bound of `replicas`. A Model with fewer in place answers with these and is not Ready."""
    max_replicas: Int32 | None = None
    """Most replicas that scaling may ask for; unlimited when unset. A Server with both bounds is scaled."""

    @property
    def scaling(self) -> Scaling:
        """The numbers to act on; meaningful when `scaling_problems` is empty."""
        return effective_scaling(self.replicas, self.min_replicas, self.max_replicas)

    def scaling_problems(self) -> list[Problem]:
        """Returns which of the numbers contradict each other; a warning where one counts as unset."""
        found = scaling_problems(self.replicas, self.min_replicas, self.max_replicas)
        if not found and self.replicas is not None and self.replicas < 0:
            text = f"is {self.replicas} and counts as unset; one replica is wanted"
            found.append(no_effect("spec.replicas", text))
        return found


def effective_scaling(replicas: int | None, minimum: int | None, maximum: int | None) -> Scaling:
    """Returns the numbers to act on (reference: upstream's scaling specification)."""
    least = minimum or 0
    unset = replicas is None or (replicas < 0 and least <= 0)
    wanted = max(least, 1) if unset or replicas is None else replicas
    return Scaling(replicas=wanted, min_replicas=max(least, 0), max_replicas=maximum)


def scaling_problems(replicas: int | None, minimum: int | None, maximum: int | None) -> list[Problem]:
    """Returns every contradiction, each at the field to change."""
    found = [
        Problem(f"spec.{name}", "InvalidScaling", f"must not be negative, but is {value}")
        for name, value in (("minReplicas", minimum), ("maxReplicas", maximum))
        if value is not None and value < 0
    ]
    if found:
        return found
    scaling = effective_scaling(replicas, minimum, maximum)
    if maximum is not None and scaling.min_replicas > maximum:
        text = f"minReplicas {scaling.min_replicas} is more than maxReplicas {maximum}"
        return [Problem("spec.minReplicas", "InvalidScaling", text)]
    if scaling.replicas < scaling.min_replicas:
        text = f"replicas {scaling.replicas} is less than minReplicas {scaling.min_replicas}"
        found.append(Problem("spec.replicas", "InvalidScaling", text))
    if maximum is not None and scaling.replicas > maximum:
        text = f"replicas {scaling.replicas} is more than maxReplicas {maximum}"
        found.append(Problem("spec.replicas", "InvalidScaling", text))
    return found
