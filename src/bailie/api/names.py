"""Which names Kubernetes takes (RFC 1123). Needs no resource type, so that agents can ask cheaply."""

from __future__ import annotations

import re

from bailie.api.problems import Problem
from bailie.api.texts import shown

DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
LONGEST_LABEL = 63
LONGEST_SUBDOMAIN = 253


def is_dns_label(text: str) -> bool:
    """Says whether `text` may name a Model, a Server or a namespace (RFC 1123 label)."""
    return len(text) <= LONGEST_LABEL and DNS_LABEL.fullmatch(text) is not None


def label_problems(path: str, text: str) -> list[Problem]:
    """Returns why `text` is no DNS label."""
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
    """Returns why `text` is no DNS subdomain."""
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
