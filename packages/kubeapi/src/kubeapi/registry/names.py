"""The rules of Kubernetes for names, with their exact wording, and generated suffixes.

Called by `metadata`, `strategies` and `pod_rules`. Pure but for `generate`.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass

_SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_SUFFIX_LENGTH = 5
_MAX_GENERATED = 63


@dataclass(frozen=True, slots=True)
class Rule:
    """A pattern, a length and the sentence for names that break them."""

    pattern: str
    longest: int
    sentence: str

    def broken_by(self, name: str) -> str | None:
        """Returns the mistake in `name`; None for a good one."""
        if len(name) > self.longest:
            return f"must be no more than {self.longest} bytes"
        if re.fullmatch(self.pattern, name) is None:
            return self.sentence
        return None


_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_LABEL_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"

SUBDOMAIN = Rule(
    _SUBDOMAIN,
    253,
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must "
    "start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    f"'{_SUBDOMAIN}')",
)
LABEL = Rule(
    _LABEL,
    63,
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start "
    "and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    f"'{_LABEL}')",
)
LABEL_1035 = Rule(
    _LABEL_1035,
    63,
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic "
    "character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for "
    f"validation is '{_LABEL_1035}')",
)
PATH_SEGMENT = Rule(r"(?!\.\.?$)[^/%]+", 253, "may not be '.' or '..', and may not contain '/' or '%'")

CONFIG_KEY = Rule(
    "[-._a-zA-Z0-9]+",
    253,
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or "
    "'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
)

_LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_LABEL_NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")


def bad_label_value(value: str) -> str | None:
    """Returns the mistake in a label's value; None for a good one."""
    if len(value) > 63:
        return "must be no more than 63 bytes"
    if _LABEL_VALUE.fullmatch(value) is None:
        return (
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
            "and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  "
            "or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
        )
    return None


def bad_qualified_name(key: str) -> str | None:
    """Returns the mistake in the key of a label or an annotation; None for a good one."""
    prefix, slash, name = key.rpartition("/")
    if slash and SUBDOMAIN.broken_by(prefix):
        return f"prefix part {SUBDOMAIN.sentence}"
    if not name or len(name) > 63 or _LABEL_NAME.fullmatch(name) is None:
        return (
            "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with "
            "an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
            "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
        )
    return None


def leads_out(path: str) -> str | None:
    """Returns why a path below a folder leads out of it; None where it does not."""
    if path.startswith("/"):
        return "must be a relative path"
    if ".." in path.split("/"):
        return "must not contain '..'"
    return "must not contain a null character" if "\0" in path else None


def backstep(name: str) -> str | None:
    """Returns why a file in a volume may not have this name; None where it may."""
    if name == ".":
        return "must not be '.'"
    return "must not start with '..'" if name.startswith("..") else None


def generate(prefix: str) -> str:
    """Returns a name from `generateName`: the prefix and five random characters."""
    suffix = "".join(secrets.choice(_SUFFIX_ALPHABET) for _ in range(_SUFFIX_LENGTH))
    return prefix[: _MAX_GENERATED - _SUFFIX_LENGTH] + suffix
