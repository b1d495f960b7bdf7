"""Containers and units of systemd, told by the path of a cgroup.

The names of cgroups are chosen by those who may make them: a container's runtime, the service
manager of the host, and that of a user below the user's own unit.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Pattern:
    """How a runtime names the cgroups of its containers: `path` is their end.

    `source` is where the runtime does so.
    """

    runtime: bytes | None
    path: bytes
    source: str


@dataclass(frozen=True)
class Container:
    """A container: the id that its runtime gave it, and which runtime that is, where it is told."""

    id: bytes
    runtime: bytes | None


_ID = rb"(?P<id>[0-9a-f]{64})"
_NAME = rb"(?P<id>[^/:]+)"

PATTERNS = (
    Pattern(b"docker", rb"docker-" + _ID + rb"\.scope", "moby, daemon/oci_linux.go: systemd"),
    Pattern(b"docker", rb"docker/" + _ID, "moby, daemon/oci_linux.go: cgroupfs"),
    Pattern(b"docker", rb"[^/]+:docker:" + _ID, "the same where the runtime takes it for a path"),
    Pattern(
        b"containerd",
        rb"cri-containerd-" + _ID + rb"\.scope",
        "containerd, internal/cri/server/podsandbox/helpers.go: systemd",
    ),
    Pattern(
        b"containerd",
        rb"[^/]+:cri-containerd:" + _ID,
        "the same where the runtime takes it for a path",
    ),
    Pattern(
        b"containerd",
        rb"nerdctl-" + _ID + rb"\.scope",
        "nerdctl, pkg/cmd/container/run_cgroup_linux.go: systemd",
    ),
    Pattern(
        b"cri-o",
        rb"crio-" + _ID + rb"(?:\.scope)?",
        "cri-o, internal/config/cgmgr: systemd, and cgroupfs without .scope",
    ),
    Pattern(
        b"podman",
        rb"libpod-" + _ID + rb"(?:\.scope)?",
        "podman, libpod/container_internal_common.go: systemd, and cgroupfs without .scope",
    ),
    Pattern(b"lxc", rb"lxc\.payload\." + _NAME, "lxc, src/lxc/cgroups/cgfsng.c: since 4.0"),
    Pattern(b"lxc", rb"lxc/" + _NAME, "lxc.container.conf(5), lxc.cgroup.pattern: before 4.0"),
    Pattern(
        None,
        _ID,
        "docker below another parent, and containerd where pods are no slices: the id alone",
    ),
)
"""Of those that fit a path, the one that ends last counts: the innermost container."""

_UNIT = re.compile(rb"/([^/]+\.(?:service|scope|slice|socket|mount|swap))(?=/|$)")
"""Units that have a cgroup: systemd.resource-control(5)."""
_MOST_PATHS = 4096
"""Paths of which is kept what they tell."""


@functools.cache
def _compile() -> tuple[tuple[re.Pattern[bytes], bytes | None], ...]:
    """Return the patterns, which nobody waits for who asks for no container."""
    return tuple(
        (re.compile(rb"/" + pattern.path + rb"(?=/|$)"), pattern.runtime) for pattern in PATTERNS
    )


@functools.lru_cache(_MOST_PATHS)
def container_of(path: bytes) -> Container | None:
    """Return the innermost container that a cgroup belongs to, None outside of containers."""
    best, end = None, 0
    for pattern, runtime in _compile():
        for found in pattern.finditer(path):
            if found.end() > end:
                best, end = Container(found["id"], runtime), found.end()
    return best


@functools.lru_cache(_MOST_PATHS)
def unit_of(path: bytes) -> bytes | None:
    """Return the innermost unit of systemd that a cgroup belongs to, None within a container.

    A name that the kernel's own files have is escaped by one underscore: cg_escape() of systemd's
    src/basic/cgroup-util.c.
    """
    if container_of(path) is not None:
        return None
    units = _UNIT.findall(path)
    return units[-1].removeprefix(b"_") if units else None
