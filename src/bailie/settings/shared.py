"""Variables that several processes of pods read."""

from __future__ import annotations

from ipaddress import ip_address

from bailie.settings import fields
from bailie.wellknown import paths, variables

LOOPBACK = "127.0.0.1"
TOKEN = f"{paths.TOKEN_FOLDER}/{paths.TOKEN_KEY}"


LOG_LEVELS = ("trace", "debug", "info", "warn", "warning", "error", "fatal", "panic")

_MOST_DIGITS = 9
"""Of a replica's index, which is a number of 32 bits in the protocol."""


def _replica(pod: str) -> str:
    server, _, index = pod.rpartition("-")
    if not server or not (index.isascii() and index.isdecimal() and len(index) <= _MOST_DIGITS):
        raise ValueError
    return pod


NAMESPACE = fields.text(variables.POD_NAMESPACE, "Namespace of the pod.", "the pod's namespace")
POD_NAME = fields.text(
    variables.POD_NAME, "Name of the pod, which tells it from the others of its kind.", "the pod's name"
)
REPLICA = fields.custom(
    variables.POD_NAME,
    "Name of the pod, which says whose replica it is.",
    allowed="<server>-<index>, such as mlserver-0",
    parse=_replica,
)
ADDRESS = fields.custom(
    variables.POD_IP,
    "Address of the pod: the process listens there, and on no other interface.",
    allowed="an IP address",
    parse=lambda value: str(ip_address(value)),
)
LOG_LEVEL = fields.choice(variables.LOG_LEVEL, "Events of this level and above are logged.", *LOG_LEVELS)
TOKEN_FILE = fields.path(
    variables.TOKEN_FILE, "The token by which the pods of a namespace know each other.", "the path of a file"
)
SCHEDULER_HOST = fields.text(
    variables.SCHEDULER_HOST,
    "Service of the scheduler: in this namespace, or in another one as `<service>.<namespace>`.",
    "the name of a Service",
)
ENDPOINTS_DIR = fields.path(
    variables.ENDPOINTS_DIR,
    "Folder of the files that say where Services are, on a laptop; elsewhere DNS does.",
    "the path of a folder",
)
