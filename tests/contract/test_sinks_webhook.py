"""Webhooks: what a server gets, and what its answers lead to."""

from __future__ import annotations

import email.utils
import hashlib
import hmac
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sink_receivers import Web, alert, event, until

from etracee.problems import ProblemsError
from etracee.sinks import open_sinks
from etracee.sinks.queue import close_all

KEY = b"key \xff of bytes"


@pytest.fixture
def web() -> Iterator[Web]:
    server = Web()
    server.start()
    yield server
    server.stop()


def deliver(target: str, *messages: str) -> dict[str, int]:
    """Send an alert for each message and return what was dropped."""
    [sink] = open_sinks([f"webhook:{target}"])
    sink.write([alert(message) for message in messages])
    close_all([sink])
    return dict(sink.dropped)


def headers_of(web: Web) -> dict[str, str]:
    [(_, path, headers, _)] = web.requests
    assert path == "/hook?token=of-the-url"
    return headers


def test_what_is_posted(web: Web) -> None:
    assert deliver(web.target, "one", "two") == {}
    headers = headers_of(web)
    assert headers["Content-Type"] == "application/json"
    assert headers["Host"] == f"127.0.0.1:{web.port}"
    assert "X-Etracee-Signature" not in headers
    [body] = web.bodies()
    assert body["host"] == os.uname().nodename
    assert [(item["type"], item["message"]) for item in body["items"]] == [
        ("alert", "one"),
        ("alert", "two"),
    ]


def test_the_body_is_signed(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "key"
    file.write_bytes(KEY + b"\n")
    for name, value in (("", os.fsdecode(KEY)), ("_FILE", str(file))):
        with monkeypatch.context() as patch:
            patch.setenv(f"ETRACEE_WEBHOOK_SECRET{name}", value)
            deliver(web.target, "one")
        digest = hmac.new(KEY, web.requests[0][3], hashlib.sha256).hexdigest()
        assert headers_of(web)["X-Etracee-Signature"] == f"sha256={digest}"
        web.requests.clear()


def test_a_key_that_cannot_be_used_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETRACEE_WEBHOOK_SECRET", "")
    with pytest.raises(ProblemsError, match="the key of ETRACEE_WEBHOOK_SECRET is empty"):
        open_sinks(["webhook:http://127.0.0.1"])
    monkeypatch.setenv("ETRACEE_WEBHOOK_SECRET_FILE", str(tmp_path / "none"))
    with pytest.raises(ProblemsError, match=r"cannot read .*/none of ETRACEE_WEBHOOK_SECRET_FILE"):
        open_sinks(["webhook:http://127.0.0.1"])


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503])
def test_what_passes_is_tried_again(web: Web, status: int) -> None:
    """The same body comes again, so that a receiver can know it."""
    web.answers = [(status, {})]
    [sink] = open_sinks([f"webhook:{web.target}"])
    sink.write([alert("one")])
    until(lambda: len(web.requests) == 1, "the first try")
    sink.write([alert("two")])
    close_all([sink])
    assert sink.dropped == {}
    bodies = [body for *_, body in web.requests]
    assert bodies[0] == bodies[1]
    assert [item["message"] for body in web.bodies() for item in body["items"]] == [
        "one",
        "one",
        "two",
    ]


@pytest.mark.parametrize("status", [301, 307, 400, 401, 404, 413])
def test_what_is_refused_is_dropped(
    web: Web, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """A redirection too: what is signed for one address goes to no other."""
    web.answers = [(status, {"Location": web.target})]
    assert deliver(web.target, "one", "two") == {"alerts": 2}
    assert len(web.requests) == 1
    assert f"answers {status} " in capsys.readouterr().err


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_honoured(web: Web, form: str) -> None:
    wanted = {"seconds": "2", "date": email.utils.formatdate(time.time() + 2, usegmt=True)}
    web.answers = [(429, {"Retry-After": wanted[form]})]
    [sink] = open_sinks([f"webhook:{web.target}"])
    sink.write([alert("one")])
    until(lambda: len(web.requests) == 2, "a second try")
    close_all([sink])
    assert web.requests[1][0] - web.requests[0][0] > 0.9, "no pause of ours is so long"


@pytest.mark.parametrize("wanted", ["100", "9" * 5000, "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_long_retry_after_ends_the_run_at_once(web: Web, wanted: str) -> None:
    web.answers = [(503, {"Retry-After": wanted})] * 5
    start = time.monotonic()
    assert deliver(web.target, "one") == {"alerts": 1}
    assert time.monotonic() - start < 3
    assert len(web.requests) == 1


@pytest.mark.parametrize("wanted", ["", "soon", "-5", "1e9", "\u00b2"])
def test_a_retry_after_that_says_nothing(web: Web, wanted: str) -> None:
    web.answers = [(503, {"Retry-After": wanted})]
    assert deliver(web.target, "one") == {}
    assert len(web.requests) == 2


def test_batches_are_bounded(web: Web) -> None:
    [sink] = open_sinks([f"all@webhook:{web.target}"])
    sink.write([event(f"{number}-" + "x" * 2000) for number in range(1000)])
    sink.write([event(f"{number}-") for number in range(1000, 3000)])
    close_all([sink])
    bodies = [body for *_, body in web.requests]
    assert max(map(len, bodies)) < 300_000
    assert max(len(body["items"]) for body in web.bodies()) == 500
    names = [item["filename"] for body in web.bodies() for item in body["items"]]
    assert [int(name.partition("-")[0]) for name in names] == list(range(3000))


@pytest.mark.parametrize(
    "answer", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 999 \x1b[31m\r\n\r\n", b"HTTP/1.1 2" * 10_000]
)
def test_what_is_no_web_server(answer: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing that a receiver answers ends the thread or steers the terminal."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        [sink] = open_sinks([f"webhook:http://127.0.0.1:{server.getsockname()[1]}"])
        sink.write([alert("one")])
        told = ""

        def was_told() -> bool:
            nonlocal told
            told += capsys.readouterr().err
            return "trying again" in told

        until(was_told, "a note on stderr")
        sink.finish(time.monotonic())
        sink.close()
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
    assert sink.dropped == {"alerts": 1}
    assert "\x1b" not in told
    assert "Traceback" not in told


def test_tls_is_checked(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A certificate that nobody vouches for gets nothing; SSL_CERT_FILE vouches for it."""
    certificate, key = tmp_path / "certificate", tmp_path / "key"
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make a certificate with")
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x"]
    words += ["-addext", "subjectAltName=IP:127.0.0.1", "-out", certificate, "-keyout", key]
    subprocess.run(words, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    assert web._server is not None
    web._server.socket = context.wrap_socket(web._server.socket, server_side=True)
    target = f"https://127.0.0.1:{web.port}/hook?token=of-the-url"
    [sink] = open_sinks([f"webhook:{target}"])
    sink.write([alert("for nobody")])
    sink.finish(time.monotonic() + 1)
    sink.close()
    assert sink.dropped == {"alerts": 1}
    assert "certificate verify failed" in capsys.readouterr().err.lower()
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert deliver(target, "one") == {}
    assert [body["items"][0]["message"] for body in web.bodies()] == ["one"]
