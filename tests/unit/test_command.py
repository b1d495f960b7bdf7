"""The command after `--`, without any tracing."""

from __future__ import annotations

import errno
import os
import signal
import time
from pathlib import Path

import pytest

from etracee.command import Command
from etracee.problems import ExitCode

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def run(*words: str, stdout: int | None = None) -> Command:
    command = Command(words, stdout=stdout)
    command.release()
    wait(command)
    return command


def wait(command: Command) -> None:
    deadline = time.monotonic() + 5
    while not command.poll():
        assert time.monotonic() < deadline
        time.sleep(0.002)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("true",), 0),
        (("sh", "-c", "exit 7"), 7),
        (("sh", "-c", "exit 255"), 255),
        (("sh", "-c", "kill -TERM $$"), 128 + 15),
        (("sh", "-c", "kill -KILL $$"), 128 + 9),
        (("no-such-program-anywhere",), ExitCode.NOT_FOUND),
        (("/no/such/program",), ExitCode.NOT_FOUND),
        (("/etc/passwd/x",), ExitCode.NOT_FOUND),
        (("/etc",), ExitCode.CANNOT_EXECUTE),
        (("/etc/passwd",), ExitCode.CANNOT_EXECUTE),
    ],
)
def test_exit_code_is_that_of_a_shell(words: tuple[str, ...], code: int) -> None:
    assert run(*words).exit_code == code


def test_reason_of_a_failed_start() -> None:
    assert run("/no/such/program").failure == "No such file or directory"
    assert run("/etc").failure == "Permission denied"
    assert run("false").failure is None


def test_program_begins_only_when_released(tmp_path: Path) -> None:
    mark = tmp_path / "began"
    command = Command(("touch", str(mark)))
    time.sleep(0.05)
    assert not mark.exists()
    assert not command.poll()
    command.release()
    wait(command)
    assert mark.exists()


def test_stdout_can_go_elsewhere() -> None:
    reader, writer = os.pipe()
    run("echo", "hello", stdout=writer)
    os.close(writer)
    assert os.read(reader, 100) == b"hello\n"
    os.close(reader)


def test_arguments_are_bytes_as_they_came(tmp_path: Path) -> None:
    out = tmp_path / "out"
    odd = os.fsdecode(b"a\xff b\n'\"$x")
    with out.open("wb") as file:
        run("printf", "%s", odd, stdout=file.fileno())
    assert out.read_bytes() == b"a\xff b\n'\"$x"


def test_word_with_a_nul_is_refused_and_not_cut(tmp_path: Path) -> None:
    refused = run("touch", f"{tmp_path}/a\0b")
    assert (refused.failure, refused.exit_code) == ("Invalid argument", ExitCode.CANNOT_EXECUTE)
    assert not any(tmp_path.iterdir())


def test_process_is_followed_before_it_begins_and_forgotten_if_it_cannot(tmp_path: Path) -> None:
    mark, told = tmp_path / "began", []
    command = Command(("touch", str(mark)))
    command.release(lambda: told.append(mark.exists()), lambda: told.append("forgotten"))
    wait(command)
    assert (told, mark.exists()) == ([False], True)
    command = Command(("/etc",))
    command.release(lambda: None, lambda: told.append(command.poll()))
    assert told == [False, False], "it had ended before it was forgotten"
    wait(command)


def test_release_of_a_process_that_is_gone() -> None:
    command = Command(("true",))
    command.send_signal(signal.SIGKILL)
    command.release(lambda: pytest.fail("nothing is left to follow"))
    wait(command)
    assert command.exit_code == 128 + signal.SIGKILL


def test_signals_are_as_a_shell_would_leave_them() -> None:
    """Python ignores SIGPIPE; a command that inherits that never ends behind a closed pipe."""
    assert run("sh", "-c", "kill -PIPE $$").exit_code == 128 + signal.SIGPIPE
    assert run("sh", "-c", "kill -INT $$").exit_code == 128 + signal.SIGINT


def test_signal_is_passed_on_and_an_ended_process_ignores_it() -> None:
    command = Command(("sleep", "30"))
    command.release()
    command.send_signal(signal.SIGTERM)
    wait(command)
    assert command.exit_code == 128 + signal.SIGTERM
    command.send_signal(signal.SIGTERM)
    assert command.exit_code == 128 + signal.SIGTERM


def test_command_that_is_still_running_has_no_code() -> None:
    command = Command(("sleep", "30"))
    command.release()
    assert command.exit_code == ExitCode.OK
    command.send_signal(signal.SIGKILL)
    wait(command)


def test_preparation_happens_before_the_program_begins(tmp_path: Path) -> None:
    command = Command(("sh", "-c", "pwd >out"), prepare=lambda: os.chdir(tmp_path))
    command.release()
    wait(command)
    assert (tmp_path / "out").read_text() == f"{tmp_path}\n"
    failing = Command(("true",), prepare=lambda: os.chdir(tmp_path / "missing"))
    failing.release()
    wait(failing)
    assert failing.failure == os.strerror(errno.ENOENT)
