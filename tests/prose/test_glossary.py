"""The words of docs/words.md are the words of the project."""

from __future__ import annotations

import re

import pytest
from tests.prose.sources import ROOT, modules

OLD = {"furnish": "provision", "steward": "namespace claim", "centrals": "central schedulers"}
MOST = 30
_ROW = re.compile(r"^\| ([a-z][^|]*?) \| [^|]+ \|$", re.MULTILINE)


def words():
    text = (ROOT / "docs/words.md").read_text()
    return [row for row in _ROW.findall(text) if row != "word"]


def test_the_glossary_is_short_and_in_order():
    assert 20 <= len(words()) <= MOST
    assert words() == sorted(words())


@pytest.mark.parametrize("word", [word for row in words() for word in row.split(", ")])
def test_the_source_uses_the_word(word):
    """In any form: `evict` is in `evicted`."""
    stem = word.removesuffix("e")
    assert any(stem in module.text.lower() for module in modules())


@pytest.mark.parametrize("word", OLD)
def test_the_source_uses_no_word_that_was_replaced(word):
    using = [module.name for module in modules() if re.search(rf"\b_?{word}\b|{word}ed", module.text.lower())]
    assert using == [], f"say {OLD[word]}"
