"""`etracee doctor`: what this host can do, and what to do about what it cannot."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from etracee.bench.host import measure_host
from etracee.catalog import Flow, fit_catalog, load_catalog
from etracee.catalog.costs import load_costs
from etracee.catalog.measured import RefusedError, measured_path, read_measured, write_measured
from etracee.kernel.btf import open_btf
from etracee.kernel.host import Check, check_host
from etracee.problems import ExitCode, ProblemsError, tell, wrong
from etracee.runtime.cache import MOST_BYTES, cache_directory, clear_cache, measure_cache
from etracee.runtime.clang import import_bcc


@click.command()
@click.option(
    "--clear-cache",
    "is_cleared",
    is_flag=True,
    help="Remove the compiled programs that are kept, and check nothing.",
)
@click.option(
    "--measure",
    "is_measured",
    is_flag=True,
    help="Measure what hooks cost a call and which calls this host makes, and check nothing. "
    "Takes some ten seconds, in which the host should do what it usually does.",
)
def command(is_cleared: bool, is_measured: bool) -> None:
    """Check what `etracee run` needs. Exit code 3 when it would not work here.

    By what --measure has found, etracee chooses how it meets calls where a profile leaves that
    to it. Each measurement takes the place of the one before.
    """
    if is_cleared:
        _clear_cache()
    if is_measured:
        _measure()
    if is_cleared or is_measured:
        return
    checks = [*check_host(), *_requests(), _abi_calls(), _bcc(), _cache(), _costs()]
    width = max(len(check.name) for check in checks)
    for check in checks:
        print(_line(check, width))
    missing = [check.name for check in checks if check.needed and not check.ok]
    if missing:
        tell(f"etracee run would not work here: {', '.join(missing)}")
        sys.exit(ExitCode.HOST)


def _requests() -> Iterator[Check]:
    """Say which requests of io_uring this kernel can show; nothing where it has no BTF at all."""
    with open_btf() as kernel:
        if kernel is None:
            return
        catalog = fit_catalog(load_catalog(), kernel)
    shown = sum(event.flow is Flow.REQUEST for event in catalog.events.values())
    reasons = "; ".join(dict.fromkeys(catalog.unseen.values()))
    found = f"{shown} operations are seen"
    untold = dict.fromkeys(catalog.untold.values())
    found += f"; no events are {', '.join(op.removeprefix('IORING_OP_') for op in untold)}"
    if catalog.unseen:
        found += f", not {', '.join(catalog.unseen)}: {reasons}"
    advice = (
        "what goes this way is not seen; sysctl kernel.io_uring_disabled=2 forbids it (Linux 6.6)"
    )
    yield Check("io_uring", not catalog.unseen, found, advice)


def _abi_calls() -> Check:
    found = "decoded where a profile has options.compat: decode; else their programs are counted"
    return Check("32-bit calls", ok=True, found=found)


def _bcc() -> Check:
    try:
        bcc = import_bcc()
    except ProblemsError as error:
        problem = error.problems[0]
        return Check("BCC", ok=False, found=problem.message, advice=problem.hint, needed=True)
    version = getattr(bcc, "__version__", "of unknown version")
    return Check("BCC", ok=True, found=str(version), needed=True)


def _cache() -> Check:
    size, error = measure_cache()
    found = f"{cache_directory()}: {size >> 10} KiB of {MOST_BYTES >> 10}"
    advice = "programs are compiled at each start; etracee makes the directory itself, as root"
    return Check("compiled programs", error is None, error or found, advice)


def _costs() -> Check:
    name, path = "costs of hooks", measured_path()
    try:
        measured = read_measured()
    except RefusedError as error:
        advice = f"the catalog's figures are used; {_MEASURE} writes it anew"
        return Check(name, ok=False, found=error.reason, advice=advice)
    found = load_costs().source
    if measured is None:
        return Check(name, ok=False, found=found, advice=f"{_MEASURE} finds those of this host")
    advice = f"calls were traced meanwhile: end that, then {_MEASURE}"
    return Check(name, measured.hooks is not None, f"{path}: {found}", advice)


_MEASURE = "etracee doctor --measure"
_SHOWN = 8
"""Calls that are shown, those made most."""


def _measure() -> None:
    """Measure, say what was found, and keep it."""
    path, measured = measured_path(), measure_host()
    try:
        write_measured(measured)
    except OSError as error:
        raise wrong(None, f"cannot write {path}: {error.strerror}") from None
    for way, cost in (measured.hooks or {}).items():
        figures = f"exit {cost.exit:.0f} ns, enter {cost.enter:.0f} ns, own {cost.own:.0f} ns"
        print(f"{way.ljust(16)} {figures}")
    if measured.hooks is None:
        tell(
            "etracee: note: calls are traced already, so that what hooks cost cannot be measured: "
            f"the catalog's figures stay; end that (etracee run, perf trace …), then {_MEASURE}"
        )
    most = list(measured.calls.items())[:_SHOWN]
    shares = (f"{name} {count / measured.counted:.1%}" for name, count in most)
    print(f"{measured.counted} calls".ljust(16), ", ".join(shares))
    tell(f"etracee: wrote {path}; once it is removed, the catalog's figures are used again")


def _clear_cache() -> None:
    directory = cache_directory()
    try:
        tell(f"etracee: {directory}: removed {clear_cache()} compiled programs")
    except OSError as error:
        raise wrong(None, f"cannot clear {directory}: {error.strerror}") from None


def _line(check: Check, width: int) -> str:
    mark = "ok     " if check.ok else "MISSING" if check.needed else "note   "
    advice = f" -> {check.advice}" if check.advice and not check.ok else ""
    return f"{mark} {check.name.ljust(width)}  {check.found}{advice}"
