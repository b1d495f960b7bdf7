"""An HTTP receiver: batches of items as JSON, signed, sent again until they are taken."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import os
import ssl
import time
from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import msgspec

from etracee import __version__
from etracee.event import Item
from etracee.problems import wrong
from etracee.sinks.base import Outlet, RefusedError, SinkKind, UnreachableError, reason_of
from etracee.sinks.datagram import TIMEOUT

SECRET = "ETRACEE_WEBHOOK_SECRET"  # noqa: S105 - the name of the variable
"""The environment variable with the key; with _FILE behind it, the one with a file's name."""
_LONGEST_WAIT = 300.0
"""Seconds of a Retry-After that are honoured."""
_PASSING = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS)
"""What is worth another try, besides the server's own failures."""
_ENCODER = msgspec.json.Encoder()


class Webhook(Outlet):
    """Posts `{"host": …, "items": […]}`; any status from 200 to 299 says that it was taken.

    Each batch has a connection of its own: one that idles would fail when it is needed. Proxies
    are not used and redirections not followed, since both would hand the batch to somebody else.
    """

    batch_messages = 500
    batch_bytes = 256 << 10

    def __init__(self, url: SplitResult, secret: bytes | None) -> None:
        self.address = f"{url.scheme}://{url.netloc}"
        self._url = url
        self._secret = secret
        self._host = _ENCODER.encode(os.uname().nodename)
        self._tls = ssl.create_default_context() if url.scheme == "https" else None

    def encode(self, items: Sequence[Item]) -> bytes:
        return _ENCODER.encode(items[0])

    def send(self, messages: Sequence[bytes]) -> int:
        body = b'{"host":%s,"items":[%s]}' % (self._host, b",".join(messages))
        try:
            answer = self._post(body)
        except (OSError, http.client.HTTPException) as error:
            reason = reason_of(error) if isinstance(error, OSError) else "no answer in HTTP"
            raise UnreachableError(f"cannot be reached: {reason}") from None
        if 200 <= answer.status < 300:
            return len(messages)
        said = f"answers {answer.status} {answer.reason[:100]}"
        if answer.status >= 500 or answer.status in _PASSING:
            raise UnreachableError(said, _seconds(answer.getheader("Retry-After", "")))
        raise RefusedError(said)

    def _post(self, body: bytes) -> http.client.HTTPResponse:
        """Return the answer's head; nobody needs the rest."""
        connection = self._connect()
        query = f"?{self._url.query}" if self._url.query else ""
        target = f"{self._url.path or '/'}{query}"
        try:
            connection.request("POST", target, body, self._headers(body))
            return connection.getresponse()
        finally:
            connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        host, port = self._url.hostname or "", self._url.port
        if self._tls:
            return http.client.HTTPSConnection(host, port, timeout=TIMEOUT, context=self._tls)
        return http.client.HTTPConnection(host, port, timeout=TIMEOUT)

    def _headers(self, body: bytes) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"etracee/{__version__}",
            "Connection": "close",
        }
        if self._secret:
            digest = hmac.new(self._secret, body, hashlib.sha256).hexdigest()
            headers["X-Etracee-Signature"] = f"sha256={digest}"
        return headers


def _seconds(retry_after: str) -> float | None:
    """Return what Retry-After asks for, a number or a date; None where it is neither."""
    if retry_after.isascii() and retry_after.isdigit():
        return min(float(retry_after), _LONGEST_WAIT)
    try:
        seconds = parsedate_to_datetime(retry_after).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None
    return min(max(seconds, 0.0), _LONGEST_WAIT)


def _open(target: str) -> Outlet:
    return Webhook(_parse(target), _secret())


def _parse(target: str) -> SplitResult:
    hint = "such as https://siem.example.org/etracee"
    if not target.isascii() or not target.isprintable() or " " in target:
        raise wrong(None, f"--sink webhook: {target!r} has characters that no URL has", hint)
    try:
        url = urlsplit(target)
        is_whole = url.scheme in ("http", "https") and url.hostname and url.port != 0
        (url.hostname or "").encode("idna")
    except ValueError:
        is_whole = False
    if not is_whole:
        raise wrong(None, f"--sink webhook: {target!r} is no URL of http or https", hint)
    if "@" in url.netloc:
        message = "--sink webhook: a name or password in the URL would be seen by every process"
        raise wrong(None, message, f"sign with {SECRET}_FILE instead")
    return url


def _secret() -> bytes | None:
    """Return the key; None where none is given, and batches go unsigned."""
    file = os.environ.get(f"{SECRET}_FILE")
    if file is None:
        secret = os.environb.get(SECRET.encode())
        name = SECRET
    else:
        name = f"{SECRET}_FILE"
        try:
            secret = Path(file).read_bytes().rstrip(b"\r\n")
        except OSError as error:
            raise wrong(None, f"cannot read {file} of {name}: {error.strerror}") from None
    if secret == b"":
        raise wrong(None, f"the key of {name} is empty", "or unset it, and nothing is signed")
    return secret


SINK = SinkKind(
    name="webhook",
    target="URL",
    doc=f"POST of JSON, signed with the key in {SECRET}, or in the file {SECRET}_FILE.",
    takes_events=False,
    open=_open,
)
