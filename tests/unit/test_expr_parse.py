"""The expression language as it is written."""

from __future__ import annotations

from typing import Any

import pytest

from etracee.expr.parse import parse
from etracee.expr.tree import Written, children


def shape(tree: Any) -> str:
    """Write the tree with a bracket for each level."""
    if isinstance(tree, Written):
        return tree.name
    name = type(tree).__name__.lower().removesuffix("of")
    return f"{name}({' '.join(shape(child) for child in children(tree))})"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", "a"),
        ("a and b or c", "any(all(a b) c)"),
        ("a or b and c", "any(a all(b c))"),
        ("(a or b) and c", "all(any(a b) c)"),
        ("not a and b", "all(not(a) b)"),
        ("not (a and b)", "not(all(a b))"),
        ("not not a", "not(not(a))"),
        ("not a = 1", "not(a)"),
        ("a = 1 and b in (1, 2) or not c exists", "any(all(a b) not(c))"),
        ("a or b or c", "any(a b c)"),
        ("((a))", "a"),
        ("a\n  and\tb", "all(a b)"),
    ],
)
def test_precedence(text: str, expected: str) -> None:
    assert shape(parse(text)) == expected


@pytest.mark.parametrize(
    ("text", "name", "operator", "words"),
    [
        ("a=1", "a", "=", ["1"]),
        ("a!=1", "a", "!=", ["1"]),
        ("a<=1", "a", "<=", ["1"]),
        ("a < -1", "a", "<", ["-1"]),
        ("path startswith /etc/", "path", "startswith", ["/etc/"]),
        ("a.b.c = d", "a.b.c", "=", ["d"]),
        ("android = 1", "android", "=", ["1"]),
        ("order = 1", "order", "=", ["1"]),
        ("nothing exists", "nothing", "exists", []),
        ("inode in 1..2", "inode", "in", ["1..2"]),
        ("a in 10.0.0.0/8", "a", "in", ["10.0.0.0/8"]),
        ("a in (::1, fe80::/10)", "a", "in", ["::1", "fe80::/10"]),
        ("a in (x,y , z)", "a", "in", ["x", "y", "z"]),
        ("a like /tmp/*.s?", "a", "like", ["/tmp/*.s?"]),
        ("a contains --flag=x", "a", "contains", ["--flag=x"]),
        ("a = and", "a", "=", ["and"]),
        ("a = 'two words'", "a", "=", ["two words"]),
        ('a = "it\'s"', "a", "=", ["it's"]),
        (r"a = 'it\'s'", "a", "=", ["it's"]),
        (r'a = "\"\\\n\t\x41"', "a", "=", ['"\\\n\tA']),
        (r'a = "\xff"', "a", "=", ["\udcff"]),
        ("a = é", "a", "=", ["é"]),
        ("a = ''", "a", "=", [""]),
        ("a = '(, and) #$'", "a", "=", ["(, and) #$"]),
        ("a matches '^/proc/[0-9]+/mem$'", "a", "matches", ["^/proc/[0-9]+/mem$"]),
    ],
)
def test_comparison(text: str, name: str, operator: str, words: list[str]) -> None:
    written = parse(text)
    assert (written.name, written.operator) == (name, operator)
    assert [word.text for word in written.words] == words


def test_references_and_macros() -> None:
    written = parse("comm in ($shells, vim) and $macro")
    comparison, macro = written.parts
    assert [(word.text, word.reference) for word in comparison.words] == [
        ("shells", True),
        ("vim", False),
    ]
    assert (macro.name, macro.macro) == ("macro", True)


def test_quoted_dollar_is_no_reference() -> None:
    assert not parse("a = '$b'").words[0].reference


def test_offsets_lead_to_the_text() -> None:
    text = "uid = 0 and comm  in (sh,  'bash')"
    comparison = parse(text).parts[1]
    assert text[comparison.at :].startswith("comm")
    assert text[comparison.operator_at :].startswith("in")
    assert [text[word.at :][:2] for word in comparison.words] == ["sh", "'b"]


@pytest.mark.parametrize(
    ("text", "at", "told"),
    [
        ("", 0, "ends too early"),
        ("a =", 3, "ends too early, expected '(', a value"),
        ("a and", 5, "ends too early"),
        ("a b", 2, "unexpected 'b'"),
        ("a = 1 2", 6, "unexpected '2'"),
        ("= 1", 0, "unexpected '='"),
        ("a in ()", 6, "unexpected ')'"),
        ("a in (1,)", 8, "unexpected ')'"),
        ("a in (1 2)", 8, "unexpected '2'"),
        ("a) and b", 1, "unexpected ')'"),
        ("a = 'b", 4, 'unexpected "\'b"'),
        ("a = $", 4, "unexpected '$'"),
        ("and = 1", 0, "unexpected 'and'"),
        ("a && b", 2, "unexpected '&&'"),
        (r"a = 'b\q'", 6, r"\q is no escape"),
        (r"a = 'b\x4'", 6, r"\x is no escape"),
    ],
)
def test_syntax_errors(text: str, at: int, told: str) -> None:
    with pytest.raises(Exception, match=r".*") as caught:
        parse(text)
    problem: Any = caught.value
    assert told in problem.message
    assert problem.at == at


def test_open_quote_is_named() -> None:
    with pytest.raises(Exception, match=r".*") as caught:
        parse('filename = "/etc')
    problem: Any = caught.value
    assert problem.hint == "the quote is not closed"


def test_operators_are_named_where_one_is_missing() -> None:
    with pytest.raises(Exception, match=r".*") as caught:
        parse("filename begins /etc")
    problem: Any = caught.value
    assert "startswith" in problem.hint
