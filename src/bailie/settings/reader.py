"""The one reader of environment variables: each is a field of a dataclass, with all that is to say of it.

The settings module of a process declares what the process can be told:

    wait: float = field(default=60.0, metadata=fields.seconds(variables.HOLD_SECONDS, "How long …"))

`read` makes the settings from an environment, and `rows` the table of docs/reference/environment.md. Values
are stripped; an empty one counts as not set, and a field without default is required. Pure: the environment
is handed in.
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from dataclasses import Field

_Settings = TypeVar("_Settings", bound="Dataclass")
KEY = "setting"
_SHOWN = 100
"""Characters of a value in a message."""


class Dataclass(Protocol):
    """Any dataclass, as `dataclasses.fields` takes it."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


class SettingsError(ValueError):
    """A variable is missing or has a value that cannot be used; the message names it and what is allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One variable.

    `allowed` completes the sentence "it should be …". `parse` turns a value that is not empty into the
    field's; its ValueError may say more. A `secret` value is in no message. `otherwise` tells people of the
    default where the code's own says little. Where `small` is set, the name in small letters comes first.
    """

    variable: str
    meaning: str
    allowed: str
    parse: Callable[[str], Any]
    secret: bool = False
    small: bool = False
    otherwise: str = ""

    def value(self, environment: Mapping[str, str]) -> str:
        """Returns the variable's text, empty where it is not set."""
        small = environment.get(self.variable.lower(), "").strip() if self.small else ""
        return small or environment.get(self.variable, "").strip()

    def parsed(self, text: str) -> Any:
        """Returns the field's value. Raises SettingsError."""
        try:
            return self.parse(text)
        except ValueError as error:
            value = "set" if self.secret else repr(text[:_SHOWN])
            more = f" ({error})" if str(error) and not self.secret else ""
            raise SettingsError(f"{self.variable} is {value}; it should be {self.allowed}{more}") from None


@dataclass(frozen=True, slots=True)
class VariableRow:
    """A variable as people read of it. `default` is None where the variable must be set."""

    variable: str
    default: str | None
    allowed: str
    meaning: str


def read(kind: type[_Settings], environment: Mapping[str, str], **others: Any) -> _Settings:
    """Returns settings of a kind; `others` are its fields that are no variables. Raises SettingsError."""
    values: dict[str, Any] = {}
    for field in fields(kind):
        setting = field.metadata.get(KEY)
        if isinstance(setting, type):
            values[field.name] = read(setting, environment)
        elif setting is not None:
            if text := setting.value(environment):
                values[field.name] = setting.parsed(text)
            elif _is_required(field):
                raise SettingsError(f"{setting.variable} is not set; it should be {setting.allowed}")
    return kind(**values, **others)


def rows(kind: type[Dataclass]) -> Iterator[VariableRow]:
    """Yields the variables of a kind of settings, in the order of its fields."""
    for field in fields(kind):
        setting = field.metadata.get(KEY)
        if isinstance(setting, type):
            yield from rows(setting)
        elif setting is not None:
            default = None if _is_required(field) else setting.otherwise or _shown(_default(field))
            yield VariableRow(setting.variable, default, setting.allowed, setting.meaning)


def _is_required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _shown(value: Any) -> str:
    """Returns a default as a person would write it into the environment."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, (tuple, frozenset)):
        return ",".join(map(str, value))
    return str(value) if isinstance(value, (str, int, Path)) else ""
