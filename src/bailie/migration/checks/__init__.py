"""The checks of a plan, by concern: pure functions from facts to findings."""
