"""What the documents show: their code blocks, the command lines in them, their links and headings."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = tuple(
    sorted(
        path.relative_to(ROOT).as_posix()
        for pattern in (
            "*.md",
            "docs/**/*.md",
            "packages/*/*.md",
            "charts/*/*.md",
            "examples/*.md",
            "benchmarks/*.md",
            "tests/*.md",
        )
        for path in ROOT.glob(pattern)
    )
)
_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
_LINK = re.compile(r"\[[^]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)
_ENDS = frozenset({"|", "||", "&&", ";", "&", "(", ")"})
_KEYWORDS = frozenset({"do", "then", "else"})
_REDIRECTIONS = frozenset({"<", ">", ">>", "2>"})


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, and the line of the document that it begins at."""

    language: str
    text: str
    line: int


@cache
def text_of(document: str) -> str:
    return (ROOT / document).read_text()


@cache
def blocks(document: str) -> tuple[Block, ...]:
    text = text_of(document)
    return tuple(
        Block(match[2], _dedented(match[3], len(match[1])), text.count("\n", 0, match.start()) + 1)
        for match in _FENCE.finditer(text)
    )


def prose(document: str) -> str:
    """The document without its blocks."""
    return _FENCE.sub("", text_of(document))


def spans(document: str) -> list[str]:
    """What stands between backticks in the prose."""
    return [" ".join(match[2].split()) for match in _SPAN.finditer(prose(document))]


def commands(document: str) -> list[list[str]]:
    """Every command in the console blocks as words, one for each side of a pipe or of a `$(…)`."""
    lines = [
        line.strip()[2:]
        for block in blocks(document)
        if block.language == "console"
        for line in block.text.replace("\\\n", " ").splitlines()
        if line.strip().startswith("$ ")
    ]
    return [words for line in lines for words in split(line)]


def split(line: str) -> list[list[str]]:
    """The commands of a line of shell, without variables, redirections and comments."""
    found = []
    while match := re.search(r"\$\(([^()]*)\)", line):
        found += split(match[1])
        line = line[: match.start()] + "SUBSTITUTED" + line[match.end() :]
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;()<>")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if word in _ENDS:
            found += [_bare(words)] if words else []
            words = []
        else:
            words.append(word)
    return [words for words in found if words]


def links(document: str) -> list[str]:
    return _LINK.findall(prose(document))


def anchors(document: str) -> set[str]:
    """The names of the headings, as GitHub makes them."""
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in _HEADING.findall(prose(document))
    }


def _bare(words: list[str]) -> list[str]:
    kept: list[str] = []
    skip = False
    for word in words:
        if not skip and word not in _REDIRECTIONS:
            kept.append(word)
        skip = word in _REDIRECTIONS
    while kept and (kept[0] in _KEYWORDS or re.match(r"[A-Za-z_]\w*=", kept[0])):
        kept.pop(0)
    return kept


def _dedented(text: str, spaces: int) -> str:
    return "".join(line[min(spaces, len(line)) :] for line in text.splitlines(keepends=True))
