"""Receivers for sinks, one for each kind: what came there, told apart without etracee's help."""

from __future__ import annotations

import array
import json
import os
import re
import select
import shutil
import socket
import struct
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from etracee.event import Alert, Count, Event, Loss

PATIENCE = 20.0
"""Seconds after which what should have come is a failure."""


class Openat(Event, omit_defaults=True):
    """An event as the decoder makes it."""

    timestamp: object
    type: object
    comm: object
    filename: object
    human_time: object
    tid: object
    ret: object
    texts: ClassVar = ("comm", "filename")
    truncated: object = None
    raw: object = None


def event(filename: str, comm: str = "cat") -> Openat:
    return Openat(
        timestamp="1703123456789012345",
        type="openat",
        comm=comm,
        filename=filename,
        human_time="2023-12-21 10:30:56.789",
        tid=1235,
        ret=3,
    )


def alert(message: str, level: str = "high", title: str = "Title") -> Alert:
    return Alert(
        timestamp="1703123456789012345",
        human_time="2023-12-21 10:30:56.789",
        rule="a-rule",
        title=title,
        level=level,
        tags=("attack.t1003.008", "attack.t1003"),
        message=message,
        key=None,
        count=1,
        events=(event("/etc/shadow"),),
    )


def loss(count: int) -> Loss:
    return Loss("openat", count, "1703123456000000000", "1703123457000000000", ("a-rule",))


def count(comm: str) -> Count:
    key = {"comm": comm, "ret": -2}
    return Count("openat", key, 5, "1703123456000000000", "1703123457000000000")


def until(condition: Callable[[], bool], what: str) -> None:
    """Poll `condition`; a failure names what did not come."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"waited in vain for {what}")
        select.select([], [], [], 0.01)


class Receiver:
    """Something that listens at `target`, from `start` to `stop`, as often as one likes."""

    target: str

    def start(self) -> None:
        """Be there, and take what comes."""
        raise NotImplementedError

    def stop(self) -> None:
        """Be gone, so that nothing can be delivered."""
        raise NotImplementedError

    def hang(self) -> None:
        """Be there, and take nothing."""
        raise NotImplementedError

    def units(self) -> list[str]:
        """Return what has come, as one text for each item."""
        raise NotImplementedError

    def await_units(self, count: int) -> list[str]:
        until(lambda: len(self.units()) >= count, f"{count} items at {self.target}")
        return self.units()


class File(Receiver):
    """A file in a folder that can vanish; one that hangs is a pipe that nobody reads."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "logs" / "file"
        self.target = str(self.path)
        self._saved = b""
        self._reader = -1

    def start(self) -> None:
        self.path.parent.mkdir()

    def stop(self) -> None:
        if self._reader >= 0:
            os.close(self._reader)
        elif self.path.exists():
            self._saved += self.path.read_bytes()
        shutil.rmtree(self.path.parent)

    def hang(self) -> None:
        self.start()
        os.mkfifo(self.path)
        self._reader = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)

    def units(self) -> list[str]:
        data = self._saved + (self.path.read_bytes() if self.path.exists() else b"")
        assert data == b"" or data.endswith(b"\n")
        return [line.decode() for line in data.split(b"\n")[:-1]]


class JsonLines(File):
    """A file each line of which is an object."""

    def units(self) -> list[str]:
        return [json.dumps(json.loads(line), ensure_ascii=False) for line in super().units()]


class TextLines(File):
    """A file each line of which begins with day and time, and steers no terminal."""

    def units(self) -> list[str]:
        lines = super().units()
        for line in lines:
            assert re.match(r"2023-12-2\d \d\d:\d\d:\d\d\.\d{3} \S", line)
            assert line.isprintable()
        return lines


class Datagrams(Receiver):
    """A socket of the local kind; `received` holds datagrams, or the content of a sent file."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "socket"
        self.target = str(self.path)
        self.received: list[bytes] = []
        self.files = 0
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None

    def _bind(self) -> socket.socket:
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        bound.bind(self.target)
        return bound

    def start(self) -> None:
        self._socket = self._bind()
        self._thread = threading.Thread(target=self._receive, args=(self._socket,))
        self._thread.start()

    def hang(self) -> None:
        self._socket = self._bind()

    def stop(self) -> None:
        assert self._socket is not None
        if self._thread:
            self._socket.shutdown(socket.SHUT_RD)
            self._thread.join(PATIENCE)
        self._thread = None
        self._socket.close()
        self.path.unlink(missing_ok=True)

    def _receive(self, bound: socket.socket) -> None:
        while True:
            data, ancillary, _, _ = bound.recvmsg(1 << 20, socket.CMSG_SPACE(4))
            for _, _, descriptors in ancillary:
                [descriptor] = array.array("i", descriptors)
                data += _content(descriptor)
                self.files += 1
            if not data:
                return
            self.received.append(data)


def _content(descriptor: int) -> bytes:
    """Return what a sealed file in memory holds."""
    with os.fdopen(descriptor, "r+b") as file:
        file.seek(0)
        data = file.read()
        with pytest.raises(PermissionError):
            os.write(file.fileno(), b"changed behind the reader's back")
        return data


class Syslog(Datagrams):
    """A system log daemon: one line a datagram."""

    def units(self) -> list[str]:
        return [syslog_text(message) for message in self.received]


def syslog_text(message: bytes) -> str:
    """Return the text behind the head of a local message, which must be whole and plain."""
    text = message.decode()
    assert text.isprintable()
    match = re.fullmatch(r"<(\d{1,3})>Dec 2\d \d\d:\d\d:\d\d etracee\[\d+\]: (.+)", text)
    assert match, text[:200]
    assert int(match[1]) >> 3 == 10, "the facility is authpriv"
    return match[2]


class Journal(Datagrams):
    """The journal's socket: fields, by the rules of the native protocol."""

    def units(self) -> list[str]:
        return [fields_of(entry)["MESSAGE"][0].decode() for entry in self.received]


def fields_of(entry: bytes) -> dict[str, list[bytes]]:
    """Return the fields of an entry in the native protocol."""
    fields: dict[str, list[bytes]] = {}
    while entry:
        head, _, rest = entry.partition(b"\n")
        name, sign, value = head.partition(b"=")
        if not sign:
            (length,) = struct.unpack_from("<Q", rest)
            value, end = rest[8 : 8 + length], rest[8 + length : 9 + length]
            assert end == b"\n"
            rest = rest[9 + length :]
        assert re.fullmatch(rb"[A-Z][A-Z0-9_]{0,63}", name)
        fields.setdefault(name.decode(), []).append(value)
        entry = rest
    return fields


class Web(Receiver):
    """A server that keeps each request and gives the answers it is told to, then 200."""

    def __init__(self, _directory: Path | None = None) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.target = f"http://127.0.0.1:{self.port}/hook?token=of-the-url"
        self.requests: list[tuple[float, str, dict[str, str], bytes]] = []
        self.answers: list[tuple[int, dict[str, str]]] = []
        self._server: ThreadingHTTPServer | None = None
        self._listener: socket.socket | None = None

    def start(self) -> None:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.requests.append((time.monotonic(), self.path, dict(self.headers), body))
                status, headers = receiver.answers.pop(0) if receiver.answers else (200, {})
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.01,)).start()

    def hang(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))

    def stop(self) -> None:
        if self._listener:
            self._listener.close()
        if self._server:
            self._server.shutdown()
            self._server.server_close()

    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(body) for *_, body in self.requests]

    def units(self) -> list[str]:
        items = [item for body in self.bodies() for item in body["items"]]
        return [json.dumps(item, ensure_ascii=False) for item in items]


RECEIVERS: dict[str, Callable[[Path], Receiver]] = {
    "json": JsonLines,
    "text": TextLines,
    "syslog": Syslog,
    "journald": Journal,
    "webhook": Web,
}
