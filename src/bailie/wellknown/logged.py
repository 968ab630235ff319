"""Which requests Envoys write into their access log, and where: the words of the scheduler's variables.

The scheduler's settings read them, `gateway.access_log` obeys them, and the setup chart gives them.
"""

FAILURES, ALL, NONE = "failures", "all", "none"
STDOUT, STDERR = "/dev/stdout", "/dev/stderr"
FILE_PATTERN = "/tmp/[A-Za-z0-9][A-Za-z0-9._-]*"  # noqa: S108 - the only folder in which an Envoy's user may write
"""Any other path could not be opened, and an Envoy that cannot open its log takes no listener at all."""
