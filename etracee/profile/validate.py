"""Check YAML against a pydantic model, and say what is wrong in the words of a user."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from etracee.problems import Place, Problem, ProblemsError, did_you_mean, wrong
from etracee.source import Document, Path_

Model = TypeVar("Model", bound=BaseModel)


def validate(document: Document, model: type[Model]) -> Model:
    """Return the document as `model`; ProblemsError with all that does not fit."""
    valid, problems = validate_apart(document, model, lambda _: None)
    if problems:
        raise ProblemsError(problems)
    return valid


def validate_apart(
    document: Document, model: type[Model], apart: Callable[[Path_], Path_ | None]
) -> tuple[Model, list[Problem]]:
    """Return the document as `model` without some of what does not fit, and all that does not.

    `apart` says of a node that does not fit which key can be left out with it, so that the rest is
    understood as it was meant, and more may be found wrong in it; ProblemsError with all that does
    not fit where that is None of one, or the rest does not fit either.
    """
    data = document.data
    if not isinstance(data, dict):
        raise wrong(document.place(()), "the file must be a mapping, such as `name: minimal`")
    problems = document.problems
    try:
        valid = model.model_validate(data)
    except ValidationError as error:
        found = _problems(document, model, error)
        problems = _sorted([*found.values(), *problems])
        keys = [apart(path) for path in found]
        try:
            valid = model.model_validate(_without(data, keys))
        except ValidationError:
            raise ProblemsError(problems) from None
    return valid, problems


def _without(data: dict[str, Any], keys: Iterable[Path_ | None]) -> dict[str, Any]:
    """Return mappings without the values that these paths lead to."""
    rest = dict(data)
    for key in keys:
        inner: Any = rest
        for step in key[:-1] if key else ():
            inner[step] = dict(inner.get(step, {}))
            inner = inner[step]
        if key:
            inner.pop(key[-1], None)
    return rest


def _problems(
    document: Document, model: type[BaseModel], error: ValidationError
) -> dict[Path_, Problem]:
    found: dict[Path_, Problem] = {}
    details = [
        (_real_path(document.data, detail["loc"], missing=detail["type"] == "missing"), detail)
        for detail in error.errors(include_url=False)
    ]
    for path, detail in details:
        is_above = any(path == other[: len(path)] != other for other, _ in details)
        if detail["type"] == "literal_error" and is_above:
            continue  # the other half of a union says what is wrong inside the mapping
        found.setdefault(path, _problem(document, model, detail, path))
    return found


def _sorted(problems: list[Problem]) -> list[Problem]:
    return sorted(problems, key=lambda problem: problem.where or Place("", 0, 0))


def _problem(
    document: Document, model: type[BaseModel], detail: ErrorDetails, path: Path_
) -> Problem:
    kind = detail["type"]
    if kind == "extra_forbidden":
        key = str(path[-1])
        known = (name for name in _known_keys(model, path[:-1]) if name != key)
        hint = did_you_mean(key, known) or document.quoting_hint(path)
        return Problem(document.key_place(path), f"unknown key {key!r}", hint)
    if kind == "missing":
        return Problem(document.place(path[:-1]), f"the key {path[-1]!r} is missing")
    message = _MESSAGES.get(kind, "{message}").format(
        message=_plain(detail), value=_shorten(detail["input"]), **detail.get("ctx", {})
    )
    is_key = detail["loc"][-1:] == ("[key]",)
    place = document.key_place(path) if is_key else document.place(path)
    return Problem(place, f"{_name(path)}: {message}")


def _name(path: Path_) -> str:
    """Return what a user calls the node: its key, and its position in a list, from 1."""
    if path and isinstance(path[-1], int):
        return f"{_name(path[:-1])}, element {path[-1] + 1}"
    return str(path[-1]) if path else "file"


_MESSAGES = {
    "string_type": "text was expected, not {value}",
    "list_type": "a list was expected, not {value}",
    "dict_type": "a mapping was expected, not {value}",
    "model_type": "a mapping was expected, not {value}",
    "int_parsing": "a whole number was expected, not {value}",
    "int_type": "a whole number was expected, not {value}",
    "bool_parsing": "true or false was expected, not {value}",
    "literal_error": "{value} is none of {expected}",
    "string_pattern_mismatch": "{value} does not have the form {pattern}",
    "string_too_short": "at least {min_length} character(s) are needed",
    "string_too_long": "longer than {max_length} characters",
    "too_short": "at least {min_length} element(s) are needed",
    "greater_than_equal": "{value} is below {ge}",
    "less_than_equal": "{value} is above {le}",
}


def _plain(detail: ErrorDetails) -> str:
    return detail["msg"].removeprefix("Value error, ")


def _shorten(value: Any) -> str:
    names = {dict: "a mapping", list: "a list", type(None): "nothing"}
    text = names.get(type(value)) or repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _real_path(data: Any, location: tuple[str | int, ...], *, missing: bool) -> Path_:
    """Drop what pydantic adds to a location: the names of a union's halves, and `[key]`.

    The last step of a `missing` key leads nowhere yet.
    """
    path: list[str | int] = []
    for step in location:
        is_key = isinstance(data, dict) and step in data
        is_index = isinstance(data, list) and isinstance(step, int) and step < len(data)
        if is_key or is_index:
            path.append(step)
            data = data[step]
    return (*path, location[-1]) if missing else tuple(path)


def _known_keys(model: type[BaseModel], path: Path_) -> Iterator[str]:
    """Return the keys that the mapping at `path` may have."""
    models: list[Any] = [model]
    for step in path:
        models = [inner for m in models for inner in _inner_models(m, step)]
    for found in models:
        for name, field in found.model_fields.items():
            yield field.alias or name


def _inner_models(model: type[BaseModel], step: str | int) -> Iterator[type[BaseModel]]:
    """Return the models within the field `step`; the model itself for items and free keys."""
    field = model.model_fields.get(str(step))
    if field is None:
        yield model
        return
    yield from _models_in(field.annotation)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in getattr(annotation, "__args__", ()):
        yield from _models_in(part)
