"""Run strace's own test programs under strace, and all under etracee.

    python tests/kernel/kernel_strace_suite.py [PROGRAM...]

prints for each program how far the two agree, and ends with 1 where they do not.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from kernel_agreement import calls_of, profile_of
from kernel_run import PATIENCE, Etracee, Event, needs_tool
from kernel_strace import OPTIONS, read_calls
from kernel_strace_source import build_programs
from kernel_strace_stated import count_stated
from kernel_witness import Agreement, compare

from etracee.catalog import EventType

_SOME = """
    openat2 faccessat2 mount fsconfig memfd_create fcntl net-sockaddr getsockname accept4
    caps keyctl prctl-name clone3 pidfd_send_signal process_vm_readv
"""
SOME = tuple(_SOME.split())
"""Programs of each family, whose structures and texts end where memory does."""
_OTHERS = """
    openat access fchmodat fchownat renameat2 linkat symlinkat mkdirat unlinkat mknodat
    mount_setattr move_mount umount2 fallocate inotify fanotify_mark execveat recvfrom
    recvmsg msg_control msg_name mmsg scm_rights sockopt-sol_socket sockopt-sol_netlink
    ip_mreq net-packet_mreq net-y-unix setuid setresuid setresgid setfsuid setgroups add_key
    request_key prctl-arg2-intptr prctl-cap-ambient prctl-capbset prctl-seccomp-strict
    prctl-securebits prctl-set_vma seccomp-filter bpf perf_event_open kexec_load
    kexec_file_load init_module delete_module finit_module unshare setns wait4 waitid kill
    tgkill rt_sigqueueinfo pidfd_open pidfd_getfd mmap madvise mlockall process_vm_writev
    pkey_alloc pkey_mprotect personality reboot swap iopl ioperm io_uring_setup
    io_uring_enter io_uring_register userfaultfd epoll_ctl timer_create prlimit64
    sched_xetattr sched_xetscheduler
"""
ALL = SOME + tuple(_OTHERS.split())
"""Those of ptrace and clone_parent are not among them: they need a strace without OPTIONS' -f or
descriptors of its own."""

_PATIENCE = 10 * PATIENCE
"""Seconds for all programs together."""
_SECONDS = 20
"""A program that runs longer is ended, and not usable."""

_SCRIPT = """
programs=$1 work=$2 strace=$3 seconds=$4
shift 4
while [ "$1" != -- ]; do
    options="$options $1"
    shift
done
shift
for name; do
    mkdir "$work/$name"
    cd "$work/$name"
    timeout -s KILL "$seconds" "$strace" $options -o trace "$programs/$name" >stated 2>errors
    echo $? >code
done
"""


@dataclass(frozen=True)
class Outcome:
    """What one program's run has shown; `unusable` says why nothing is compared, None otherwise.

    `stated` is how many calls the program prints as strace should, `missing` how many of them
    strace prints otherwise.
    """

    program: str
    agreement: Agreement
    stated: int
    missing: int
    unusable: str | None = None

    def __str__(self) -> str:
        if self.unusable:
            return f"{self.program:28}{self.unusable}"
        agreement = self.agreement
        numbers = agreement.calls, agreement.values, agreement.explained
        totals = [each.total() for each in numbers]
        totals.insert(2, len(agreement.mismatches))
        row = "".join(f"{total:>11}" for total in totals)
        return f"{self.program:28}{row}{self.stated:>9}{self.missing:>9}"


HEADER = (
    f"{'program':28}{'calls':>11}{'values':>11}{'mismatches':>11}{'explained':>11}"
    f"{'stated':>9}{'missing':>9}"
)


def run_programs(etracee: Etracee, work: Path, names: Sequence[str]) -> list[Outcome]:
    """Run the programs one after the other under one etracee, each with a strace of its own."""
    programs = build_programs(names)
    types = calls_of()
    script = work / "script.sh"
    script.write_text(_SCRIPT)
    etracee.patience = _PATIENCE
    words = ("sh", script, programs, work, needs_tool("strace"), str(_SECONDS), *OPTIONS, "--")
    run = etracee.run(profile_of(types), *words, *names)
    assert not any(count.lost for count in run.summary.values()), run.stderr
    events: dict[int, list[Event]] = defaultdict(list)
    for event in run.events:
        events[event["tid"]].append(event)
    return [_judge(work / name, events, types) for name in names]


def _judge(
    directory: Path, events: Mapping[int, list[Event]], types: Mapping[str, EventType]
) -> Outcome:
    code = int((directory / "code").read_text())
    if code:
        errors = (directory / "errors").read_text(errors="replace").strip()
        said = errors.rpartition("\n")[2] or "nothing"
        return Outcome(directory.name, Agreement(), 0, 0, f"ends with {code}: {said}")
    calls = read_calls(directory / "trace")
    traced = {call.tid for call in calls}
    ours = [event for tid in sorted(traced) for event in events[tid]]
    found = compare(calls[1:], ours, types)
    return Outcome(directory.name, found, *count_stated(directory / "stated", directory / "trace"))


def main() -> int:
    """Compare the command line's programs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("program", nargs="*", default=ALL)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        etracee = Etracee(Path(directory))
        work = Path(directory) / "work"
        work.mkdir()
        try:
            outcomes = run_programs(etracee, work, arguments.program)
        finally:
            etracee.clean_up()
    print(*report(outcomes), sep="\n")
    return 1 if any(each.agreement.mismatches for each in outcomes) else 0


def report(outcomes: Iterable[Outcome]) -> Iterator[str]:
    """Yield the table, the differences that are explained, and samples of those that are not."""
    total = Agreement()
    yield HEADER
    for each in outcomes:
        yield str(each)
        yield from (f"    {sample}" for sample in each.agreement.samples())
        total.merge(each.agreement)
    yield from total.lines()
    yield from total.reasons()


if __name__ == "__main__":
    sys.exit(main())
