"""What all YAML of ours is made of: base model, names, texts, and texts with their place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from etracee.problems import Place
from etracee.source import Document, Path_
from etracee.units import parse_duration, parse_size

Text = Annotated[str, Field(max_length=4096)]
Name = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$",
        description="Letters, digits, _ . and -, at most 64.",
    ),
]
Expression = Annotated[str, Field(max_length=16_384, description="See `etracee list operators`.")]
Size = Annotated[int, BeforeValidator(parse_size, json_schema_input_type=str | int)]
Seconds = Annotated[
    float,
    BeforeValidator(parse_duration, json_schema_input_type=str | int),
    Field(description="A duration such as 10s, 500ms or 2m."),
]


class Written(BaseModel):
    """Base of all that is written in YAML: an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class Located:
    """A text and where it was written, so that what is wrong inside it can be pointed at."""

    text: str
    document: Document | None = None
    path: Path_ = ()

    def place(self) -> Place | None:
        """Return the place of the text."""
        return self.document.place(self.path) if self.document else None

    def key_place(self) -> Place | None:
        """Return the place of the key that leads to the text."""
        return self.document.key_place(self.path) if self.document else None

    def below(self, *steps: str | int) -> Located:
        """Return the same text with a path that leads further, for what stands below it."""
        return Located(self.text, self.document, (*self.path, *steps))


def nothing_as_empty(value: Any) -> Any:
    """Return a mapping for a key that was written without a value (a pydantic validator)."""
    return {} if value is None else value
