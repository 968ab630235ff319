"""The texts below fields become descriptions of a schema."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from bailie.api.base import Part
from bailie.api.field_docs import describe


class Inner(Part):
    """An inner object."""

    own_words: str = Field(default="", description="said by the field")
    """Not said."""
    size: int = 0
    """In bytes,
    on one machine."""


class Wider(Inner):
    rule: ClassVar[str] = ""
    """Of no field."""
    size: int = 1
    """In pages."""
    plain: int = 0
    inner: Inner | None = None
    """The inner one."""


def test_each_property_has_the_text_below_its_field():
    schema = Wider.model_json_schema(by_alias=True)
    describe(schema, Wider)
    told = {
        name: {key: each.get("description") for key, each in part["properties"].items()}
        for name, part in {"Wider": schema, **schema["$defs"]}.items()
    }
    assert told == {
        "Wider": {
            "ownWords": "said by the field",
            "size": "In pages.",
            "plain": None,
            "inner": "The inner one.",
        },
        "Inner": {"ownWords": "said by the field", "size": "In bytes,\non one machine."},
    }
