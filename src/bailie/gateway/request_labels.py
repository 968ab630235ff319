"""The labels by which requests are counted.

Used by `request_counts`, `outcome_counts` and `request_exposition`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RequestLabels:
    """The labels of Seldon Core's series.

    `route` is the name that callers asked for, empty where it does not exist; `model_internal` the version
    that answered, `server` and `server_replica` its place, all empty where none did.
    """

    route: str
    model_internal: str
    server: str
    server_replica: str
    method_type: str
    code: str

    @property
    def model(self) -> str:
        """The Model that answered, else the name that was asked for."""
        return self.model_internal.rpartition("_")[0] or self.route
