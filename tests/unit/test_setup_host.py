"""setup.sh where something fails, and what it changes of the host: the command and mounts."""

from pathlib import Path

from setup_host import Host


def test_failed_pip_leaves_no_stamp(debian: Host) -> None:
    debian.set("has-bcc", "pip-fails")
    done = debian.setup()
    assert done.returncode == 3
    assert "no route to the package index" in done.stderr
    assert "-m pip install" in done.stderr
    assert not (debian.venv / ".etracee-setup").exists()
    (debian.state / "pip-fails").unlink()
    assert debian.setup().returncode == 0
    assert (debian.venv / ".etracee-setup").exists()


def test_failed_dnf_is_reported(openeuler: Host) -> None:
    openeuler.set("dnf-fails")
    done = openeuler.setup()
    assert done.returncode == 3
    assert "this command failed: dnf install" in done.stderr
    assert "    Error: no mirror answers" in done.stderr
    assert "python3-bcc could not be installed" in done.stderr
    assert not openeuler.venv.exists()


def test_failed_apt_is_tried_again_after_an_update(debian: Host) -> None:
    debian.set("apt-get-fails")
    done = debian.setup()
    assert done.returncode == 3
    verbs = [line.split()[1] for line in debian.log().splitlines()]
    assert verbs == ["install", "update", "install"]
    assert "python3-bpfcc could not be installed" in done.stderr


def test_another_bcc_is_not_taken_for_the_bindings(openeuler: Host) -> None:
    openeuler.set("other-bcc")
    done = openeuler.setup()
    assert done.returncode == 3
    assert "has no attribute 'BPF'" in done.stderr
    assert not openeuler.venv.exists()


def test_an_old_python_is_refused_before_anything_is_installed(openeuler: Host) -> None:
    (openeuler.state / "version").write_text("3.9\n")
    done = openeuler.setup()
    assert done.returncode == 3
    assert "Python 3.10 or newer is needed" in done.stderr
    assert "python3 is 3.9" in done.stderr
    assert openeuler.log() == ""


def test_the_command_is_linked(debian: Host) -> None:
    debian.install()
    assert debian.link.readlink() == debian.venv / "bin/etracee"


def test_a_foreign_file_is_not_overwritten(debian: Host) -> None:
    debian.link.write_text("mine")
    debian.set("has-bcc")
    done = debian.setup()
    assert done.returncode == 0
    assert "stays as it is" in done.stderr
    assert debian.link.read_text() == "mine"
    assert not debian.link.is_symlink()


def test_a_link_to_another_checkout_moves_only_when_asked(debian: Host, tmp_path: Path) -> None:
    other = tmp_path / "other/.venv/bin/etracee"
    other.parent.mkdir(parents=True)
    other.touch()
    debian.link.symlink_to(other)
    debian.set("has-bcc")
    assert debian.setup("run").returncode == 0
    assert debian.link.readlink() == other
    assert debian.setup().returncode == 0
    assert debian.link.readlink() == debian.venv / "bin/etracee"


def test_a_dangling_link_is_replaced(debian: Host) -> None:
    debian.link.symlink_to("/nowhere/.venv/bin/etracee")
    debian.set("has-bcc")
    assert debian.setup("run").returncode == 0
    assert debian.link.readlink() == debian.venv / "bin/etracee"


def test_without_root_nothing_of_the_host_changes(debian: Host) -> None:
    debian.become(1000)
    (debian.root / "proc/self/mounts").write_text("")
    debian.set("has-bcc")
    done = debian.setup()
    assert done.returncode == 0, done.stderr
    assert debian.venv.exists()
    assert not debian.link.is_symlink()
    assert "mount -t" not in debian.log()
    assert "only root can mount it" in done.stderr


def test_without_root_a_missing_package_needs_sudo(debian: Host) -> None:
    debian.become(1000)
    done = debian.setup("run")
    assert done.returncode == 3
    assert "python3-bpfcc is missing" in done.stderr
    assert "run with sudo" in done.stderr
    assert debian.log() == done.stdout == ""


def test_file_systems_are_mounted(debian: Host) -> None:
    (debian.root / "proc/self/mounts").write_text("")
    debian.install()
    done = debian.setup("run")
    assert debian.log().splitlines() == [
        f"mount -t tracefs tracefs {debian.root}/sys/kernel/tracing",
        f"mount -t bpf bpf {debian.root}/sys/fs/bpf",
    ]
    assert done.stderr.splitlines() == [
        "setup: mounted tracefs at /sys/kernel/tracing",
        "setup: mounted bpf at /sys/fs/bpf",
    ]


def test_a_failed_mount_is_said_and_not_fatal(debian: Host) -> None:
    (debian.root / "proc/self/mounts").write_text("")
    debian.command("mount", "echo permission denied; exit 32")
    debian.set("has-bcc")
    done = debian.setup("run")
    assert done.returncode == 0
    assert "permission denied" in done.stderr
    assert "raw tracepoints are used instead" in done.stderr


def test_missing_btf_is_said_and_not_fatal(debian: Host) -> None:
    (debian.root / "sys/kernel/btf/vmlinux").unlink()
    debian.set("has-bcc")
    done = debian.setup()
    assert done.returncode == 0
    assert "CONFIG_DEBUG_INFO_BTF" in done.stderr
