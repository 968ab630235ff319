"""Settings from an environment: what is read, what is refused and how, and the table for people."""

from __future__ import annotations

import string
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailie.agent.settings import Settings as AgentSettings
from bailie.gateway.settings import StarterSettings
from bailie.kube.settings import ApiSettings
from bailie.local.settings import MachineSettings
from bailie.operator.settings import OperatorSettings
from bailie.scheduler.settings import SchedulerSettings
from bailie.settings import fields
from bailie.settings.reader import Setting, SettingsError, read, rows
from bailie.wellknown import variables

PROCESSES = {
    each.__module__: each
    for each in (
        OperatorSettings, SchedulerSettings, StarterSettings, AgentSettings, ApiSettings, MachineSettings,
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    size: int = field(default=7, metadata=fields.whole("SIZE", "A size.", unit="bytes", least=1, most=9))


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    name: str = field(metadata=fields.text("NAME", "A name.", "a name"))
    inner: Inner = field(default=Inner(), metadata=fields.group(Inner))
    port: int = field(default=80, metadata=fields.port("PORT", "A port."))
    wait: float = field(default=1.5, metadata=fields.seconds("WAIT", "A wait.", least=1))
    open: bool = field(default=False, metadata=fields.flag("OPEN", "Whether it is open."))
    colour: str = field(default="red", metadata=fields.choice("COLOUR", "A colour.", "red", "green", "blue"))
    words: tuple[str, ...] = field(default=("a", "b"), metadata=fields.words("WORDS", "Words.", "words"))
    folder: Path = field(default=Path("/x"), metadata=fields.path("FOLDER", "A folder.", "a path"))
    password: str = field(
        default="",
        metadata=fields.of(
            Setting(
                variable="PASSWORD",
                meaning="A secret.",
                allowed="eight digits",
                parse=fields.number(10_000_000, 99_999_999),
                secret=True,
                small=True,
            )
        ),
    )
    inside: int = 3


def test_what_is_not_set_is_the_default():
    assert read(Example, {"NAME": "x", "PORT": " ", "WORDS": ""}) == Example(name="x")


def test_what_is_set_is_read_and_stripped():
    given = {
        "NAME": " x\n",
        "SIZE": "9",
        "PORT": " 65535 ",
        "WAIT": "2",
        "OPEN": "TRUE",
        "COLOUR": "Green",
        "WORDS": " c,, d ",
        "FOLDER": "/y",
        "PASSWORD": "22222222",
        "password": "11111111",
    }
    assert read(Example, given, inside=4) == Example(
        name="x", inner=Inner(size=9), port=65535, wait=2.0, open=True, colour="green", words=("c", "d"),
        folder=Path("/y"), password=11111111, inside=4,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("NAME", "", "NAME is not set; it should be a name"),
        ("SIZE", "10", "SIZE is '10'; it should be a whole number of bytes, from 1 to 9"),
        ("SIZE", "0", "from 1 to 9"),
        ("PORT", "65536", "PORT is '65536'; it should be a port, from 1 to 65535"),
        ("PORT", "٣", "PORT is '٣'"),
        ("PORT", "+80", "a port"),
        ("WAIT", "1.5", "WAIT is '1.5'; it should be a whole number of seconds, 1 or more"),
        ("WAIT", "9" * 19, "1 or more (18 digits at most)"),
        ("OPEN", "yes", "OPEN is 'yes'; it should be true or false"),
        ("COLOUR", "pink", "COLOUR is 'pink'; it should be red, green or blue"),
        ("PASSWORD", "hunter2", "PASSWORD is set; it should be eight digits"),
    ],
)
def test_what_cannot_be_used_is_named_with_what_is_allowed(variable, value, message):
    with pytest.raises(SettingsError) as raised:
        read(Example, {"NAME": "x", variable: value})
    assert message in str(raised.value)


def test_a_long_value_is_cut_and_a_control_character_escaped():
    with pytest.raises(SettingsError) as raised:
        read(Example, {"NAME": "x", "COLOUR": "\x1b[31m" + "r" * 10_000})
    assert len(str(raised.value)) < 200
    assert "\x1b" not in str(raised.value)


def test_the_table():
    assert {row.variable: row.default for row in rows(Example)} == {
        "NAME": None, "SIZE": "7", "PORT": "80", "WAIT": "1.5", "OPEN": "false", "COLOUR": "red",
        "WORDS": "a,b", "FOLDER": "/x", "PASSWORD": "",
    }  # fmt: skip


@pytest.mark.parametrize("kind", PROCESSES.values(), ids=PROCESSES)
def test_every_variable_of_a_process_is_a_sentence_and_has_one_row(kind):
    table = list(rows(kind))
    assert len({row.variable for row in table}) == len(table)
    for row in table:
        assert row.meaning[0].isupper() or row.meaning.startswith(("gRPC", "`")), row
        assert row.meaning.endswith("."), row
        assert row.allowed, row
        assert row.variable in vars(variables).values(), row


@pytest.mark.parametrize("kind", PROCESSES.values(), ids=PROCESSES)
def test_a_default_that_is_shown_can_be_set(kind):
    """Where the table shows a default as one would write it, the reader makes the same of it."""
    required = {row.variable: "127.0.0.1" for row in rows(kind) if row.default is None}
    required |= {"POD_NAME": "mlserver-0"}
    others = {"server": "mlserver", "replica": 0} if kind is AgentSettings else {}
    plain = read(kind, required, **others)
    for row in rows(kind):
        if row.default and " " not in row.default:
            assert read(kind, {**required, row.variable: row.default}, **others) == plain, row.variable


@pytest.mark.parametrize("kind", PROCESSES.values(), ids=PROCESSES)
@given(data=st.data())
def test_no_value_ends_in_anything_but_settings_or_their_error(kind, data):
    table = list(rows(kind))
    row = data.draw(st.sampled_from(table))
    value = data.draw(
        st.text(st.characters(blacklist_characters="\0"), max_size=30) | st.text(string.printable)
    )
    required = {each.variable: "127.0.0.1" for each in table if each.default is None}
    others = {"server": "mlserver", "replica": 0} if kind is AgentSettings else {}
    said = ""
    try:
        read(kind, {**required, "POD_NAME": "mlserver-0", row.variable: value}, **others)
    except SettingsError as error:
        said = str(error)
    assert not said or (said.startswith(row.variable) and "; it should be " in said)
