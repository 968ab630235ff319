"""Texts of other people in tables: shown as they stand."""

from __future__ import annotations

import io

import pytest
from rich.table import Table

from bailie.cli.plain_console import PlainConsole

TEXTS = {
    "a list in brackets": ("requirements [sklearn] are missing", "requirements [sklearn] are missing"),
    "an end of markup": ("shape [/x] and [/]", "shape [/x] and [/]"),
    "emoji": ("step :x:", "step :x:"),
    "an escape sequence": ("\x1b[31mred\x07", r"\u001b[31mred\u0007"),
    "half a character": ("\udc80", r"\udc80"),
}


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize(("text", "shown"), TEXTS.values(), ids=TEXTS.keys())
def test_a_text_is_no_markup_and_no_order_to_the_terminal(text, shown, terminal):
    file = io.StringIO()
    console = PlainConsole(file=file, width=80, highlight=False, force_terminal=terminal, color_system=None)
    table = Table(box=None)
    table.add_column(text)
    table.add_row(text)
    console.print(table, text)
    assert [line.strip() for line in file.getvalue().splitlines()] == [shown] * 3
