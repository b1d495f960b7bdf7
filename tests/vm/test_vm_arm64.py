"""The programs for arm64: compiled here for Debian's kernel, for all events of the catalog."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from vm_kernel import Kernel, debian_kernel
from vm_machine import CHECKOUT

from etracee.catalog.load import load_catalog
from etracee.kernel.btf import Btf
from etracee.kernel.offsets import architecture_of

BATCH = 40
"""Events in one program: all of them in one are too much for the verifier."""


@pytest.fixture(scope="session")
def arm64() -> Kernel:
    """Return Debian 12's kernel for arm64."""
    return debian_kernel("arm64")


def test_the_image_tells_its_types(arm64):
    with Btf(arm64.btf) as btf:
        assert architecture_of(btf) == "aarch64"
        assert btf.function_id("vfs_open") is not None


@pytest.mark.parametrize(
    ("attach", "loads"),
    [("tracepoint", "typed"), ("raw_tracepoint", "typed"), ("raw_tracepoint", "helpers")],
)
def test_every_event_compiles(arm64, attach, loads, tmp_path):
    catalog = load_catalog("aarch64")
    names, told = list(catalog.events), []
    for first in range(0, len(names), BATCH):
        batch = names[first : first + BATCH]
        fields = {name: [*catalog.events[name].fields] for name in batch}
        profile = tmp_path / f"{first}.json"
        profile.write_text(
            json.dumps(
                {
                    "name": "all",
                    "context": list(catalog.context),
                    "events": {
                        name: {"fields": [field for field in fields[name] if field != "ret"]}
                        if fields[name] != ["ret"]
                        else {}
                        for name in batch
                    },
                }
            )
        )
        words = [sys.executable, Path(__file__).with_name("vm_foreign.py")]
        done = subprocess.run(
            [*words, profile, arm64.btf, attach, loads],
            env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            told.append(f"{', '.join(batch)}: {done.stdout}{done.stderr[-3000:]}")
    assert not told, "\n".join(told)
