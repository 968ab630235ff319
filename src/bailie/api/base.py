"""Base of every resource type: the pydantic settings and the leaf types that Kubernetes schemas know.

Imported by the modules of the kinds only. Leaves are strict (`"1"` is no integer), as an API server is.
Annotations here and in the kinds' modules are evaluated at run time, so there is no `__future__` import.
"""

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, Strict, ValidationError, WithJsonSchema
from pydantic.alias_generators import to_camel

from bailie.api.parsing import TooDeepError, without_faults, without_nulls
from bailie.api.quantity import QUANTITY_PATTERN, parse_quantity


class Part(BaseModel):
    """An object inside a manifest: frozen, camelCase on the wire, unknown fields refused."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
    )

    @classmethod
    def read(cls, value: object) -> Self:
        """Returns the object of a manifest, whose fields have the names on the wire alone: the API drops
        `min_replicas`.

        Raises:
            ValidationError: It is no such object.
        """
        return cls.model_validate(value, by_alias=True, by_name=False)


class LooseStatus(BaseModel):
    """An object that others may extend, and write: unknown fields are ignored."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        populate_by_name=True,
    )

    @classmethod
    def told(cls, stated: object) -> Self:
        """Returns a status as far as it can be read. A field that was written wrong counts as not written."""
        try:
            plain = without_nulls(stated or {})
            try:
                return cls.model_validate(plain)
            except ValidationError as error:
                return cls.model_validate(without_faults(plain, error) if isinstance(plain, dict) else {})
        except (TooDeepError, ValidationError):
            return cls()


def _quantity(value: object) -> int | str:
    checked = _int_or_string(value)
    parse_quantity(checked)
    return checked


def _int_or_string(value: object) -> int | str:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("must be an integer or a string")  # noqa: TRY004 -- pydantic reports only ValueErrors
    return value


_INT_OR_STRING = {"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": True}

Flag = Annotated[bool, Strict()]
Int32 = Annotated[
    int, Strict(), Field(ge=-(2**31), lt=2**31), WithJsonSchema({"type": "integer", "format": "int32"})
]
Int64 = Annotated[int, Strict(), WithJsonSchema({"type": "integer", "format": "int64"})]
UInt32 = Annotated[
    int,
    Strict(),
    Field(ge=0, lt=2**32),
    WithJsonSchema({"type": "integer", "format": "int64", "minimum": 0, "maximum": 2**32 - 1}),
]
Quantity = Annotated[
    int | str, PlainValidator(_quantity), WithJsonSchema({**_INT_OR_STRING, "pattern": QUANTITY_PATTERN})
]
IntOrString = Annotated[int | str, PlainValidator(_int_or_string), WithJsonSchema(_INT_OR_STRING)]

OpenObject = Annotated[
    dict[str, Any], WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True})
]
"""An object of Kubernetes' own types (PodSpec, Container, …), kept as it is written."""
