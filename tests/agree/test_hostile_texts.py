"""Texts of profiles and rules that would be code, were they not escaped: they stay texts."""

from __future__ import annotations

import ast
import re
import tempfile
from pathlib import Path
from typing import Any

import hostc
import pytest
from expressions import quote
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from etracee.render import render_program

TEXTS = (
    'injected"; } int injected; {',
    "*/ int injected; /*",
    "*/ #include <injected>",
    "injected\\",
    "injected\n#define injected",
    "injected??/\nint injected;",
    "%n%s%n injected",
    "{{ injected }} {% for injected in 1 %}",
    "${injected} `injected` $(injected)",
    '""" + injected + """',
    "''' + injected + '''",
    "' + injected + '",
    "\\x27 + injected",
    "\x7f\x1b[31m\x85\u2028injected",
    "*\\/ injected; /\\*",
    "/* injected",
    "// injected \\",
    "injected*",
    "/injected",
)

_COMMENT_OR_TEXT = re.compile(r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.DOTALL)


def _profile(text: str, constants: str) -> dict[str, Any]:
    return {
        "description": text,
        "lists": {"hostile": [text, "other"]},
        "filter": f"comm != {constants}",
        "events": {
            "openat": {"filter": f"filename in $hostile or filename like {constants}"},
            "memfd_create": {"filter": f"uname contains {constants}"},
            "execve": {"filter": f"argv contains {constants} or filename endswith {constants}"},
        },
    }


def _rule(text: str, constants: str) -> dict[str, Any]:
    return {
        "id": "r",
        "title": text,
        "description": text,
        "tags": [text],
        "events": ["openat"],
        "condition": f"filename startswith {constants} or comm = {constants}",
        "output": text.replace("{", "{{").replace("}", "}}") + " {comm}",
    }


def _check(directory: Path, text: str) -> None:
    constants = quote(text.encode())
    plan = hostc.plan_of(directory, _profile(text, constants), _rule(text, constants))
    program = render_program(plan)
    hostc.check_c(directory, plan)
    assert "injected" not in _COMMENT_OR_TEXT.sub(" ", program.c)
    names = {node.id for node in ast.walk(ast.parse(program.python)) if isinstance(node, ast.Name)}
    assert "injected" not in names


@pytest.mark.parametrize("text", TEXTS)
def test_code_stays_text(text: str, tmp_path: Path) -> None:
    _check(tmp_path, text)


@settings(max_examples=15, phases=[Phase.explicit, Phase.generate])
@given(st.text("*/\\'\"?{}%$#\n\r\t\x0b\x0c\x1b\x85\u2028é", max_size=12))
def test_any_text_compiles(text: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        _check(Path(directory), f"{text}injected{text}")


def test_comment_that_shows_a_constant_is_one_line(tmp_path: Path) -> None:
    """The C is made to be read: no constant may pretend to be code of its own."""
    profile = {"events": {"openat": {"filter": 'filename = "a\\n*/ return 1; /*"'}}}
    c = hostc.check_c(tmp_path, hostc.plan_of(tmp_path, profile))
    line = next(line for line in c.splitlines() if "return 1;" in line)
    assert line.index("/*") < line.index("return 1;") < line.index("*/")
