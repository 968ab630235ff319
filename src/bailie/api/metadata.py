"""ObjectMeta: the part of it that Bailie reads.

The API server owns these fields; what it sends beyond them is ignored.
"""

import re

from pydantic import Field

from bailie.api.base import Int64, LooseStatus, OpenObject
from bailie.api.problems import Problem
from bailie.api.texts import shown

DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
LONGEST_LABEL = 63
LONGEST_SUBDOMAIN = 253


class ObjectMeta(LooseStatus):
    """Name, namespace and book-keeping of an object."""

    name: str
    namespace: str = ""
    uid: str = ""
    generation: Int64 = 0
    resource_version: str = ""
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    finalizers: tuple[str, ...] = ()
    owner_references: tuple[OpenObject, ...] = ()


def is_dns_label(text: str) -> bool:
    """Says whether `text` may name a Model, a Server or a namespace (RFC 1123 label)."""
    return len(text) <= LONGEST_LABEL and DNS_LABEL.fullmatch(text) is not None


def label_problems(path: str, text: str) -> list[Problem]:
    """Returns what keeps `text` from being a DNS label."""
    if is_dns_label(text):
        return []
    return [
        Problem(
            path,
            "Invalid",
            f'"{shown(text)}" is no DNS label: use at most {LONGEST_LABEL} lower-case letters, digits and '
            '"-", with a letter or digit at both ends',
        )
    ]


def is_dns_subdomain(text: str) -> bool:
    """Says whether `text` may name a Secret (RFC 1123 subdomain)."""
    return len(text) <= LONGEST_SUBDOMAIN and all(DNS_LABEL.fullmatch(part) for part in text.split("."))


def subdomain_problems(path: str, text: str) -> list[Problem]:
    """Returns what keeps `text` from being a DNS subdomain."""
    if is_dns_subdomain(text):
        return []
    return [
        Problem(
            path,
            "Invalid",
            f'"{shown(text)}" is no DNS subdomain: use at most {LONGEST_SUBDOMAIN} lower-case letters, '
            'digits, "-" and ".", with a letter or digit at both ends of each part',
        )
    ]
