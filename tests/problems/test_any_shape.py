"""Profiles of any shape: whatever their keys hold, what is wrong with them is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from etracee.plan import Request, make_plan
from etracee.problems import ProblemsError
from etracee.source_set import load_source_set

_PLAIN = st.sampled_from(
    [None, True, 1, -5, 1.5, "", "x", "off", "count", "uid = 0", "\x1b[31m", "a" * 300]
)
_NODES = st.recursive(
    _PLAIN,
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(
            st.sampled_from(["x", "by", "histogram", "filter", "fields"]), inner, max_size=2
        ),
    ),
    max_leaves=4,
)
_EVENT = st.dictionaries(st.sampled_from(["fields", "filter", "mode", "count", "nix"]), _NODES)
_EVENTS = st.dictionaries(
    st.sampled_from(["openat", "connect", "fork", "nope", "$open"]), st.one_of(_EVENT, _NODES)
)
_OPTIONS = st.dictionaries(
    st.sampled_from(["max_string", "ring_buffer", "attach", "compat", "nix"]), _NODES
)
_OTHERS = (
    *("version", "extends", "filter", "context", "lists", "macros"),
    *("rules", "mode", "count", "nix"),
)
_PROFILES = st.fixed_dictionaries(
    {"name": st.just("any"), "events": st.one_of(_EVENTS, _NODES)},
    optional={
        "options": st.one_of(_OPTIONS, _NODES),
        **dict.fromkeys(_OTHERS, _NODES),
    },
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_PROFILES)
def test_what_is_wrong_is_told(tmp_path: Path, profile: dict[str, Any]) -> None:
    path = tmp_path / "any.yaml"
    path.write_text(json.dumps(profile))
    try:
        source = load_source_set(str(path), (), "x86_64")
        plan = make_plan(source.profile, source.rules, Request(), source.catalog)
    except ProblemsError as error:
        assert str(error).strip()
    else:
        assert plan.events
        assert "nix" not in profile, "a key that nobody knows"
