"""Which names Kubernetes takes (RFC 1123), and which of them a kind takes.

Needs no resource type, so that agents can ask cheaply.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

from bailie.api.problems import Problem
from bailie.api.texts import shown
from bailie.wellknown.names import PIPELINE_ENDING

if TYPE_CHECKING:
    from collections.abc import Callable

DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
MODEL_NAME = re.compile(rf"{DNS_LABEL.pattern}(\.{DNS_LABEL.pattern})*")
WORKLOAD_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
EXPERIMENT_ENDING = ".experiment"
TAKEN_ENDINGS = (EXPERIMENT_ENDING, PIPELINE_ENDING)
"""In the header `seldon-model` such a name is that of an Experiment or a Pipeline."""
LONGEST_LABEL = 63
LONGEST_WORKLOAD = 52
"""Pods of a StatefulSet carry its name with a hyphen and ten characters behind it in a label; a cluster makes
no pod where that is longer than a label."""
LONGEST_SUBDOMAIN = 253


def is_dns_label(text: str) -> bool:
    """Says whether `text` may name a Model, a Server or a namespace (RFC 1123 label)."""
    return len(text) <= LONGEST_LABEL and DNS_LABEL.fullmatch(text) is not None


def is_address(host: str) -> bool:
    """Says whether the host is an IP address and no name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


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


def workload_name_problems(path: str, text: str) -> list[Problem]:
    """Returns why `text` cannot name a Service and a StatefulSet whose pods can be made."""
    if len(text) <= LONGEST_WORKLOAD and WORKLOAD_NAME.fullmatch(text) is not None:
        return []
    return [
        Problem(
            path,
            "Invalid",
            f'"{shown(text)}" cannot name pods and a Service: use at most {LONGEST_WORKLOAD} lower-case '
            'letters, digits and "-", with a letter in front and a letter or digit at the end',
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


def is_model_name(text: str) -> bool:
    """Says whether `text` may name a Model: as a subdomain, no longer than a label, and of no other kind."""
    return (
        len(text) <= LONGEST_LABEL
        and MODEL_NAME.fullmatch(text) is not None
        and not text.endswith(TAKEN_ENDINGS)
    )


def model_name_problems(path: str, text: str) -> list[Problem]:
    """Returns why `text` cannot name a Model."""
    if is_model_name(text):
        return []
    return [
        Problem(
            path,
            "Invalid",
            f'"{shown(text)}" cannot name a Model: use at most {LONGEST_LABEL} lower-case letters, digits, '
            '"-" and ".", with a letter or digit at both ends of each part, and none of the endings '
            + " and ".join(TAKEN_ENDINGS),
        )
    ]


@dataclass(frozen=True, slots=True)
class NameRule:
    """The rule for the names of a kind's objects: a pattern and a length for its definition, and all that is
    wrong in words."""

    pattern: str
    problems: Callable[[str, str], list[Problem]]
    longest: int = LONGEST_LABEL


LABEL_RULE = NameRule(DNS_LABEL.pattern, label_problems)
"""Of kinds whose names pods, Services or URLs carry."""
MODEL_RULE = NameRule(MODEL_NAME.pattern, model_name_problems)
"""Of Models, whose names only paths, headers and folders carry."""
WORKLOAD_RULE = NameRule(WORKLOAD_NAME.pattern, workload_name_problems, LONGEST_WORKLOAD)
"""Of Servers, whose names a Service and the labels of pods carry."""
