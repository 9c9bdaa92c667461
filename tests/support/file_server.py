"""A real HTTP server of one file on a thread, which misbehaves as it is told, by request."""

from __future__ import annotations

import contextlib
import hashlib
import re
import ssl
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass(frozen=True)
class Answer:
    """How one request is answered; the last of a list goes on for ever.

    Attributes:
        status: other than 200 and 206: an empty body with it.
        headers: added.
        closes_after: bytes of the body after which the connection is closed.
        content: in place of the file's.
        ranges: whether the server knows them.
        length: whether it says the length.
        etag: of the version; '' for none.
        waits_for: silent until this is set.
    """

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    closes_after: int | None = None
    content: bytes | None = None
    ranges: bool = True
    length: bool = True
    etag: str = '"one"'
    waits_for: threading.Event | None = None


@dataclass
class FileServer:
    """What it was asked for: paths, and the Range of each request ('' for none)."""

    url: str
    content: bytes
    answers: list[Answer]
    paths: list[str] = field(default_factory=list)
    ranges: list[str] = field(default_factory=list)

    @property
    def sha256(self) -> str:
        """Of the file."""
        return hashlib.sha256(self.content).hexdigest()


@contextlib.contextmanager
def served(
    content: bytes, answers: Sequence[Answer] = (Answer(),), *, certificate: Path | None = None
) -> Iterator[FileServer]:
    """Serve the content; ``certificate`` is a PEM with its key, and makes it https."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _answer(self, server)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        httpd.socket = context.wrap_socket(httpd.socket, server_side=True)
    scheme = "http" if certificate is None else "https"
    url = f"{scheme}://localhost:{httpd.server_address[1]}/weights.pth"
    server = FileServer(url, content, list(answers))
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()


def _answer(request: BaseHTTPRequestHandler, server: FileServer) -> None:
    server.paths.append(request.path)
    asked = request.headers.get("Range", "")
    server.ranges.append(asked)
    answer = server.answers[0] if len(server.answers) == 1 else server.answers.pop(0)
    if answer.waits_for is not None:
        answer.waits_for.wait(60)
    body = server.content if answer.content is None else answer.content
    begin = re.fullmatch(r"bytes=(\d+)-", asked)
    is_same = request.headers.get("If-Range") == answer.etag
    start, status, whole = 0, answer.status, len(body)
    if status == 200 and begin and is_same and answer.ranges:
        start, status = int(begin[1]), 206 if int(begin[1]) < whole else 416
    body = body[start:] if status in (200, 206) else b""
    request.send_response(status)
    for name, value in answer.headers:
        request.send_header(name, value)
    if answer.etag:
        request.send_header("ETag", answer.etag)
    if status == 206:
        request.send_header("Content-Range", f"bytes {start}-{whole - 1}/{whole}")
    if answer.length:
        request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    # A client that has seen enough closes.
    with contextlib.suppress(OSError):
        request.wfile.write(body[: answer.closes_after])
