from __future__ import annotations

import pytest

from bailie.kube.errors import Withheld
from bailie.operator.write_guards import ClaimGuard

CASES = {
    "leads and owns": (True, {"a"}, "a", True),
    "leads and does not own": (True, {"b"}, "a", False),
    "owns and does not lead": (False, {"a"}, "a", False),
    "outside of namespaces": (True, {"a"}, None, False),
}


@pytest.mark.parametrize(("leads", "claimed", "namespace", "passes"), CASES.values(), ids=CASES)
def test_what_is_claimed_is_written_by_the_leader(leads, claimed, namespace, passes):
    guard = ClaimGuard(lambda: leads, lambda _: None, claimed.__contains__)
    if passes:
        guard.check(namespace)
    else:
        with pytest.raises(Withheld, match="not written in"):
            guard.check(namespace)
