"""What is to run, as plain values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Order:
    """What the command line asks for.

    With `is_built`, `profile` is the path of a file that `etracee build` has written. `use_cache`
    says whether programs that were compiled before may be used, and are kept.
    """

    profile: str
    rules: tuple[str, ...] = ()
    filters: tuple[tuple[str, str], ...] = ()
    events: tuple[str, ...] = ()
    tree: bool = False
    alerts_only: bool = False
    allow_actions: bool = False
    is_built: bool = False
    use_cache: bool = True
