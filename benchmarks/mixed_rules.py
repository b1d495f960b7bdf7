"""Rules over the file names of opens: half equality, the rest prefix, contains and regex."""

from __future__ import annotations

import json
from pathlib import Path

_CONDITIONS = (
    "filename = /data/app{n}/config.yaml",
    "filename startswith /opt/vendor{n}/",
    "filename = /data/app{n}/secrets.yaml",
    "filename contains secret{n}x",
    "filename = /data/app{n}/users.yaml",
    "filename matches '^/srv/[a-z]+/site{n}/.*[.]php$'",
)
"""No two rules have a condition in common, and none is true of what the benchmarks open."""


def write_mixed_rules(path: Path, count: int) -> None:
    """Write `count` rules to `path`, for openat alone."""
    rules = [
        {
            "id": f"mixed-{n}",
            "title": f"Mixed rule {n}",
            "events": ["openat"],
            "condition": _CONDITIONS[n % len(_CONDITIONS)].format(n=n),
        }
        for n in range(count)
    ]
    path.write_text(json.dumps({"rules": rules}))
