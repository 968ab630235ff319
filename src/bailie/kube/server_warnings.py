"""The warnings of an API server about an object that it has taken. Used by `client`.

They come as headers, as kubectl shows them: https://kubernetes.io/blog/2020/09/03/warnings/.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_WARNING = re.compile(r'299 \S+ "((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")


def server_warnings(headers: Iterable[str]) -> Iterator[str]:
    """Yields the sentences in the `Warning` headers of an answer."""
    for header in headers:
        for text in _WARNING.findall(header):
            yield _ESCAPED.sub(r"\1", text)
