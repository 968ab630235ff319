"""A console of rich that shows texts as they stand. Used by `output` and `progress`, once something is shown.

Statuses, names and messages come from other people: a `[red]` or a `:x:` in them is no markup, and an escape
sequence is no order to the terminal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from bailie.api.texts import printable

if TYPE_CHECKING:
    from rich.console import JustifyMethod, OverflowMethod
    from rich.style import Style


class PlainConsole(Console):
    """Takes every string as plain text."""

    def render_str(
        self,
        text: str,
        *,
        style: str | Style = "",
        justify: JustifyMethod | None = None,
        overflow: OverflowMethod | None = None,
        **_: Any,
    ) -> Text:
        """Returns the text without markup, emoji and highlights."""
        return Text(printable(text), style=style, justify=justify, overflow=overflow)
