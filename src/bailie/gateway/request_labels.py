"""The labels by which requests are counted, and the code of a caller who left.

Used by `request_counts`, `outcome_counts` and `request_exposition`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from bailie.wellknown.versions import model_of

LEFT_CODES = {"rest": "499", "grpc": "Canceled"}
"""The code of a caller who left before the answer was whole: nginx's status, and gRPC's own."""
_LEFT = frozenset({"DC", "DR", "DPE"})
"""Envoy's flags of a caller who closed the connection, reset the request, or broke the protocol."""
_NONE = frozenset({"", "0"})
"""Envoy's codes of no answer at all. Where a server gives none, Envoy answers itself, so it had nobody to
answer any more, also where it closed the connection of a caller who resets one request after the other."""
_BEGUN = re.compile(r"[123]\d\d|OK|Unknown")
"""Envoy's codes of answers that have begun. Of gRPC it says Unknown where the status has not come."""


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
        return model_of(self.model_internal) or self.route


def counted_code(method_type: str, code: str, flags: str) -> str:
    """Returns the code under which a request counts, of Envoy's code and flags (`UF,URX`, `-` for none).

    An answer whose beginning says that the request has failed keeps its code, though the caller has left.
    """
    left = not _LEFT.isdisjoint(flags.split(","))
    if code in _NONE or (left and _BEGUN.fullmatch(code)):
        return LEFT_CODES.get(method_type, code)
    return code
