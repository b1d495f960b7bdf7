"""setup.sh on stand-ins: it sees a host under tmp_path and only the commands named here."""

from pathlib import Path

import pytest
from setup_host import Host


def test_dnf_installs_the_bindings(openeuler: Host) -> None:
    done = openeuler.setup()
    assert done.returncode == 0, done.stderr
    calls = openeuler.log().splitlines()
    assert calls[0].startswith("dnf install -y ")
    assert calls[0].endswith(" python3-bcc")
    assert calls[1] == f"python3 -I -m venv --system-site-packages {openeuler.venv}"
    assert calls[2].startswith("pip ")
    assert calls[2].endswith(" -e .")
    assert len(calls) == 3
    assert done.stdout == ""


def test_apt_installs_the_bindings_and_venv(debian: Host) -> None:
    debian.set("no-venv")
    done = debian.setup()
    assert done.returncode == 0, done.stderr
    calls = debian.log().splitlines()
    assert [call.split()[0] for call in calls] == ["apt-get", "apt-get", "python3", "pip"]
    assert calls[0].endswith(" python3-bpfcc")
    assert calls[1].endswith(" python3-venv")


def test_the_distribution_decides_and_not_a_stray_tool(tmp_path: Path) -> None:
    host = Host(tmp_path, "ID=rocky\nID_LIKE='rhel centos fedora'\n", "apt-get", "dnf")
    assert host.setup().returncode == 0
    assert host.log().startswith("dnf ")
    assert "apt-get" not in host.log()


def test_an_unknown_name_leaves_it_to_the_only_tool(tmp_path: Path) -> None:
    host = Host(tmp_path, "ID=novel\n", "dnf")
    assert host.setup().returncode == 0
    assert "python3-bcc" in host.log()


def test_unknown_distribution(tmp_path: Path) -> None:
    host = Host(tmp_path, 'ID=arch\nPRETTY_NAME="Arch Linux"\n')
    done = host.setup()
    assert done.returncode == 3
    assert "Arch Linux" in done.stderr
    assert "BCC's Python bindings" in done.stderr
    assert "Python 3.10 or newer with venv" in done.stderr
    assert not host.venv.exists()


def test_unknown_distribution_that_has_everything(tmp_path: Path) -> None:
    host = Host(tmp_path, "ID=arch\n")
    host.set("has-bcc")
    assert host.setup().returncode == 0


@pytest.mark.parametrize("arguments", [["instal"], ["--verbose"], ["install"], [""]])
def test_wrong_usage(debian: Host, arguments: list[str]) -> None:
    done = debian.setup(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: setup.sh")
    assert done.stdout == debian.log() == ""


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help(debian: Host, option: str) -> None:
    done = debian.setup(option)
    assert done.returncode == 0
    assert done.stdout.startswith("usage: setup.sh")
    assert debian.log() == ""


def test_a_second_run_does_nothing(debian: Host) -> None:
    debian.install()
    done = debian.setup()
    assert done.returncode == 0
    assert debian.log() == done.stdout == ""
    assert done.stderr == f"setup: etracee is installed in {debian.venv}: nothing to do\n"


def test_run_hands_over_arguments_and_directory(debian: Host, tmp_path: Path) -> None:
    debian.install()
    script = tmp_path / "link"
    script.symlink_to(debian.checkout / "setup.sh")
    done = debian.setup("run", "--profile", "a b.yaml", script=script)
    assert done.returncode == 0
    assert done.stdout == f"etracee run --profile a b.yaml\n{debian.state}\n"
    assert done.stderr == debian.log() == ""


def test_run_installs_first_and_keeps_stdout_pure(openeuler: Host) -> None:
    done = openeuler.setup("run", "-h")
    assert done.returncode == 0
    assert done.stdout.splitlines()[0] == "etracee run -h"
    assert "dnf" in openeuler.log()
    assert done.stderr


def test_changed_requirements_are_installed(debian: Host) -> None:
    debian.install()
    with (debian.checkout / "pyproject.toml").open("a") as file:
        file.write("# changed\n")
    assert debian.setup().returncode == 0
    assert [call.split()[0] for call in debian.log().splitlines()] == ["pip"]


@pytest.mark.parametrize(
    ("marker", "because"),
    [("interpreter", "does not start"), (".etracee-unfinished", "interrupted")],
)
def test_a_broken_environment_is_made_anew(debian: Host, marker: str, because: str) -> None:
    debian.install()
    if marker == "interpreter":
        (debian.venv / "bin/python").unlink()
        (debian.venv / "bin/python").symlink_to("/nowhere/python3")
    else:
        (debian.venv / marker).touch()
    left = debian.venv / "left over"
    left.touch()
    done = debian.setup()
    assert done.returncode == 0, done.stderr
    assert because in done.stderr
    assert not left.exists()
    assert not (debian.venv / ".etracee-unfinished").exists()


def test_a_moved_checkout_gets_a_new_environment(debian: Host, tmp_path: Path) -> None:
    debian.install()
    moved = debian.checkout.rename(tmp_path / "moved")
    done = debian.setup(script=moved / "setup.sh")
    assert done.returncode == 0
    assert "made for another directory" in done.stderr


def test_a_directory_that_is_no_environment_stays(debian: Host) -> None:
    debian.set("has-bcc")
    debian.venv.mkdir()
    (debian.venv / "notes").touch()
    done = debian.setup()
    assert done.returncode == 3
    assert "is in the way" in done.stderr
    assert (debian.venv / "notes").exists()


def prepare_checks(host: Host) -> None:
    """Installs for the tests; lint-imports is a command, not a module."""
    host.install()
    lint = host.venv / "bin/lint-imports"
    lint.write_text('#!/bin/sh\necho lint-imports >>"$STATE/log"\n')
    lint.chmod(0o755)


def test_the_checks_run_in_their_order(debian: Host) -> None:
    prepare_checks(debian)
    done = debian.setup("test", "-k", "a b")
    assert done.returncode == 0, done.stderr
    calls = debian.log().splitlines()
    assert calls[0].endswith(" -e .[dev]")
    assert calls[-6:] == [
        "python3 -c import xdist",
        "python3 -m ruff check .",
        "python3 -m ruff format --check .",
        "python3 -m mypy",
        "lint-imports",
        "python3 -m pytest -n auto -k a b",
    ]


@pytest.mark.parametrize(("option", "tests"), [("--kernels", "all"), ("--kernels=some", "some")])
def test_another_kernel_comes_last(debian: Host, option: str, tests: str) -> None:
    prepare_checks(debian)
    debian.command("dpkg-query", '[ "$4" = e2fsprogs ] && printf installed')
    debian.command("uname", "echo x86_64")
    done = debian.setup("test", option, "-k", "a b")
    assert done.returncode == 0, done.stderr
    calls = debian.log().splitlines()
    assert calls[-2:] == [
        "python3 -m pytest -n auto -k a b",
        f"python3 -m pytest tests/vm -k a b (ETRACEE_VM_TESTS={tests})",
    ]
    installed = [call.split()[-1] for call in calls if call.startswith("apt-get install")]
    others = ["qemu-system-arm"] if tests == "all" else []
    assert installed[installed.index("qemu-system-x86") + 1 :] == [
        "busybox-static",
        "mount",
        *others,
    ]


def test_another_kernel_needs_root(debian: Host) -> None:
    prepare_checks(debian)
    debian.command("uname", "echo x86_64")
    debian.become(1000)
    done = debian.setup("test", "--kernels")
    assert done.returncode == 3
    assert "test --kernels needs root" in done.stderr


def test_another_kernel_needs_debian(openeuler: Host) -> None:
    prepare_checks(openeuler)
    openeuler.command("uname", "echo x86_64")
    done = openeuler.setup("test", "--kernels")
    assert done.returncode == 3
    assert "test --kernels needs Debian" in done.stderr


def test_another_kernel_of_an_unknown_kind(debian: Host) -> None:
    done = debian.setup("test", "--kernels=6.1")
    assert done.returncode == 2
    assert "usage" in done.stderr


def test_a_missing_test_package_is_said_and_not_fatal(debian: Host) -> None:
    prepare_checks(debian)
    done = debian.setup("test")
    assert done.returncode == 0
    assert "installed strace with apt-get" in done.stderr
    assert "bpftrace could not be installed" in done.stderr
    assert "libc6-dev" in debian.log()


def test_a_failing_check_ends_the_run(debian: Host) -> None:
    prepare_checks(debian)
    (debian.state / "failing-check").write_text("ruff")
    done = debian.setup("test")
    assert done.returncode == 7
    assert "failed with status 7" in done.stderr
    assert "ruff check ." in done.stderr
    assert "mypy" not in debian.log()
    assert "-m pytest" not in debian.log()


def test_an_installation_for_the_tests_serves_run_too(debian: Host) -> None:
    prepare_checks(debian)
    assert debian.setup("test").returncode == 0
    debian.forget_log()
    done = debian.setup("run")
    assert done.stderr == debian.log() == ""
