"""The rules of an event in the language of bpftrace, as far as it can express them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from etracee.expr.split import widen
from etracee.expr.tree import NO, AllOf, AnyOf, Not, Test, Tree, negate
from etracee.plan import Plan
from etracee.types import Kind

_BEGIN = 'BEGIN {{ {lists}printf("attached\\n"); }}\n'
_PROBE = """\
tracepoint:syscalls:sys_enter_{event} {{
  $name = str(args->filename);
  if ({condition}) {{ printf("alert {id}\\n"); }}
}}
"""
_VARIABLES: Mapping[str, str] = {
    "filename": "$name",
    "path": "$name",
    "comm": "comm",
    "uid": "uid",
    "gid": "gid",
    "pid": "pid",
    "tid": "tid",
    "flags": "args->flags",
    "mode": "args->mode",
}
"""What stands for a field where the call begins; there is no result yet."""


@dataclass(frozen=True)
class Script:
    """A program for bpftrace. It has `whole` rules entirely and `parts` in part, of `of`."""

    text: str
    whole: int
    parts: int
    of: int


def write_script(plan: Plan, event: str) -> Script:
    """Return the rules of `event`, tested where the call begins: that costs less than at its end.

    A comparison that bpftrace cannot make is taken for false, and a rule that can then never be
    true is left out. The resolved path, which bpftrace cannot find, is taken to be the file name.
    Each rule is a probe, and texts are looked up in maps: the verifier or the stack of 512 bytes
    has no room for several bundled rules in one probe, nor for their lists in conditions.
    """
    matches = next(each for each in plan.events if each.name == event).matches
    narrow = [(match, negate(widen(negate(match.tree), _is_known))) for match in matches]
    kept = [(match, tree) for match, tree in narrow if tree != NO]
    writer = _Writer({})
    probes = [
        _PROBE.format(event=event, condition=writer.source(tree), id=plan.rules[match.rule].id)
        for match, tree in kept
    ]
    whole = sum(tree == match.tree for match, tree in kept)
    text = _BEGIN.format(lists="".join(writer.fill_lists())) + "".join(probes)
    return Script(text, whole, len(kept) - whole, len(matches))


@dataclass
class _Writer:
    """Writes conditions; `lists` are those of texts, each with the number of its map."""

    lists: dict[tuple[str, tuple[bytes, ...]], int]

    def source(self, tree: Tree) -> str:
        if isinstance(tree, Test):
            name = _VARIABLES[tree.field.name]
            return f"({' || '.join(_FORMS[_key(tree)](self, name, tree.constant))})"
        if isinstance(tree, Not):
            return f"!({self.source(tree.inner)})"
        assert isinstance(tree, AllOf | AnyOf)
        word = " && " if isinstance(tree, AllOf) else " || "
        return f"({word.join(self.source(part) for part in tree.parts)})"

    def in_list(self, name: str, texts: tuple[bytes, ...]) -> Iterator[str]:
        number = self.lists.setdefault((name, texts), len(self.lists))
        yield f"@list{number}[{name}]"

    def equals_text(self, name: str, text: bytes) -> Iterator[str]:
        return self.in_list(name, (text,))

    def starts(self, name: str, text: bytes) -> Iterator[str]:
        yield f"strncmp({name}, {_quote(text)}, {len(text)}) == 0"

    def equals(self, name: str, number: int) -> Iterator[str]:
        yield f"{name} == {number}"

    def in_ranges(self, name: str, ranges: tuple[tuple[int, int], ...]) -> Iterator[str]:
        return (f"({name} >= {low} && {name} <= {high})" for low, high in ranges)

    def has_flags(self, name: str, flags: tuple[tuple[int, int], ...]) -> Iterator[str]:
        return (f"({name} & {mask}) == {value}" for value, mask in flags)

    def fill_lists(self) -> Iterator[str]:
        for (_, texts), number in self.lists.items():
            yield from (f"@list{number}[{_quote(text)}] = 1; " for text in texts)


def _is_known(test: Test) -> bool:
    return test.field.name in _VARIABLES and _key(test) in _FORMS


def _key(test: Test) -> tuple[Kind, str]:
    return test.field.kind, test.operator.symbol


def _quote(constant: bytes) -> str:
    text = constant.decode("ascii").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


_FORMS: Mapping[tuple[Kind, str], Callable[[_Writer, str, Any], Iterator[str]]] = {
    (Kind.TEXT, "="): _Writer.equals_text,
    (Kind.TEXT, "in"): _Writer.in_list,
    (Kind.TEXT, "startswith"): _Writer.starts,
    (Kind.NUMBER, "="): _Writer.equals,
    (Kind.NUMBER, "in"): _Writer.in_ranges,
    (Kind.FLAGS, "has"): _Writer.has_flags,
}
"""The comparisons that bpftrace can make, as alternatives of which one has to be true."""
