"""The process that does a workload: `python -m etracee.bench.worker DOES CPU`.

Each line on stdin is a number of operations; for each comes a line with the nanoseconds that they
took: wall-clock time, and the processor time of the process and of the children it waited for.
CPU is a processor's number, or -1 for any.
"""

from __future__ import annotations

import os
import resource
import sys
import time

from etracee.bench.workloads import Loop, find_workload


def main() -> None:
    """Do what stdin asks for until it ends."""
    does, cpu = sys.argv[1], int(sys.argv[2])
    if cpu >= 0:
        os.sched_setaffinity(0, {cpu})
    with find_workload(does).prepare() as loop:
        for line in sys.stdin:
            wall, processor = measure_loop(loop, int(line))
            print(wall, processor, flush=True)


def measure_loop(loop: Loop, times: int) -> tuple[int, int]:
    """Return the nanoseconds of wall-clock and of processor time that `times` operations take."""
    processor = _processor_ns()
    start = time.perf_counter_ns()
    loop(times)
    wall = time.perf_counter_ns() - start
    return wall, _processor_ns() - processor


def _processor_ns() -> int:
    """Return nanoseconds; those of children are known to the microsecond."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time_ns() + int((children.ru_utime + children.ru_stime) * 1e9)


if __name__ == "__main__":
    main()
