"""Whether a number of findings may be chance. Called by `limits`.

Two one-sided questions about a share, for instance of failures: is the true share certainly above a limit
(the exact binomial tail), and is it, with 95 % certainty, not above (Wilson's bound)? Few requests answer
neither, so that they neither condemn nor promote.
"""

from __future__ import annotations

import math

RARE = 1e-6
"""A finding that chance brings more rarely counts. It is looked for every second or two in three windows:
a candidate whose share is the limit exactly is condemned wrongly about once in a week."""
CERTAIN = 1.645
"""Standard deviations of a one-sided certainty of 95 %."""
VERY_CERTAIN = 2.326
"""The same of 99 %."""


def is_above(found: int, of: int, limit: float) -> bool:
    """Says whether `found` or more of `of` are rarer than RARE where the true share is `limit` (0 to 1)."""
    if limit <= 0:
        return found > 0
    if limit >= 1 or found <= of * limit:
        return False
    log_chance = math.lgamma(of + 1) - math.lgamma(found + 1) - math.lgamma(of - found + 1)
    log_chance += found * math.log(limit) + (of - found) * math.log1p(-limit)
    term, total, number = math.exp(log_chance), 0.0, found
    # Above the mean each term is smaller than the one before, by a factor that shrinks, too.
    while term > RARE * 1e-6 and total < RARE:
        total += term
        term *= (of - number) / (number + 1) * limit / (1 - limit)
        number += 1
    return total < RARE


def highest(found: int, of: int, deviations: float = CERTAIN) -> float:
    """Returns the highest share that `found` of `of` speak for, one-sided (E. B. Wilson, 1927); 1 for none.

    `deviations` is the certainty, in standard deviations.
    """
    if of <= 0:
        return 1.0
    share, square = found / of, deviations * deviations
    spread = deviations * math.sqrt(share * (1 - share) / of + square / (4 * of * of))
    return min(1.0, (share + square / (2 * of) + spread) / (1 + square / of))


def enough_for(limit: float) -> int:
    """Returns how many requests without any finding show that the share is not above `limit`."""
    square = CERTAIN * CERTAIN
    return math.ceil(square * (1 - limit) / limit)
