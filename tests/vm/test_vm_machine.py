"""What the machine's own tests rest on: nothing that goes wrong in a guest is taken for success."""

from __future__ import annotations

import pytest
from vm_machine import ASKED, BootError

whole = pytest.mark.skipif(ASKED == "some", reason="takes half a minute: ./setup.sh test --kernels")


def test_brings_back_what_a_job_leaves(boot_kernel):
    job = r"""uname -r; echo "to stderr" >&2; printf 'two\nlines\000\377' >&3; exit 7"""
    outcome = boot_kernel(job)
    assert outcome.status == 7
    release, said = outcome.output.splitlines()
    assert release.startswith("6.1.")
    assert said == "to stderr"
    assert outcome.results == b"two\nlines\0\xff"


@pytest.mark.parametrize(
    ("job", "told"),
    [
        ("echo before; echo c >/proc/sysrq-trigger", "Kernel panic - not syncing: sysrq"),
        ("echo before; busybox reboot -f", "the guest ended before its job was done"),
        pytest.param("echo before; sleep 1000", "the guest was not done after 30 s", marks=whole),
    ],
    ids=["panic", "cut", "hang"],
)
def test_a_guest_that_does_not_end_well_is_a_failure(boot_kernel, job, told):
    with pytest.raises(BootError) as caught:
        boot_kernel(job, timeout=30)
    assert told in str(caught.value)
    assert "---- the end of the guest's output:\nbefore" in str(caught.value)
