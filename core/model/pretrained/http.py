"""One answer of a server over HTTP, by the standard library: proxies, redirects, ranges."""

from __future__ import annotations

import email.utils
import http.client
import re
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from typing import IO
from urllib.parse import urlsplit

from core.errors import DataError
from core.model.pretrained.part_file import PartFile, Version

_SILENT_SECONDS = 30.0
_CHUNK_BYTES = 256 * 1024
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_LONGEST_ASKED_SECONDS = 120.0
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


class FetchError(DataError):
    """Weights that can't be fetched, and trying again would not help."""


class DroppedError(Exception):
    """An attempt failed in a way that may pass; ``wait_seconds`` if the server asked for it."""

    def __init__(self, why: str, wait_seconds: float | None = None) -> None:
        super().__init__(why)
        self.wait_seconds = wait_seconds


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but never from https to http."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Message,
        newurl: str,
    ) -> urllib.request.Request | None:
        """The next request, with the same range."""
        if urlsplit(req.full_url).scheme == "https" and urlsplit(newurl).scheme != "https":
            raise FetchError(
                f"redirects from https to {newurl[:200]}",
                where=req.full_url,
                why="On the way anybody could replace the file",
                remedy="Name an https address with --url",
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Limits:
    """What a file's size must be: exactly ``wanted`` if known, and at most ``most`` bytes."""

    wanted: int | None
    most: int


def require_address(url: str) -> None:
    """Raises FetchError unless it is an http or https address."""
    try:
        parts = urlsplit(url)
        is_one = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        is_one = False
    if not is_one or not url.isascii() or re.search(r"[\s\x00-\x1f\x7f]", url):
        raise FetchError(
            f"{url[:200]!r} is not an http or https address",
            remedy="For example --url https://mirror.example/densenet121-a639ec97.pth",
        )


def receive(
    url: str,
    part: PartFile,
    limits: Limits,
    on_bytes: Callable[[int, int | None], None],
    *,
    silent_seconds: float = _SILENT_SECONDS,
) -> None:
    """Ask once, and add what comes to ``part`` until it is complete.

    Proxies are those of the environment (``https_proxy``, ``http_proxy``, ``no_proxy``).

    Args:
        url: http or https.
        part: goes on after what it holds if the server still has the same version of the file.
        limits: of the whole file.
        on_bytes: called with the bytes so far and in total, None if unknown; may raise.
        silent_seconds: a server that is silent for longer counts as gone.

    Raises:
        DroppedError: it failed in a way that may pass; ``part`` keeps what came.
        FetchError: the server has no such file, or another one.
        OSError: the disk refuses.
    """
    opener = urllib.request.build_opener(_SafeRedirects)
    request = urllib.request.Request(url, headers=_headers(url, part))
    try:
        response: http.client.HTTPResponse = opener.open(request, timeout=silent_seconds)
    except urllib.error.HTTPError as error:
        with error:
            raise _refused(error, url, part) from error
    except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
        raise _unreached(error, url) from error
    with response:
        total = _begun(response, url, part, limits)
        _read(response, part, total, limits, url, on_bytes)


def _headers(url: str, part: PartFile) -> dict[str, str]:
    headers = {"User-Agent": "cxr-tui", "Accept": "*/*", "Accept-Encoding": "identity"}
    version = part.version
    if not part.size:
        return headers
    if version.url != url or not version.mark:
        part.begin_anew()  # nothing tells whether the server still has the same file
        return headers
    return headers | {"Range": f"bytes={part.size}-", "If-Range": version.mark}


def _refused(error: urllib.error.HTTPError, url: str, part: PartFile) -> Exception:
    said = f"{error.code} {error.reason}".strip()
    if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and part.size:
        part.begin_anew()
        return DroppedError("the server has another file now")
    if error.code in _PASSING:
        return DroppedError(f"the server said {said}", _asked_seconds(error.headers))
    where = url if error.url == url else f"{url} (redirected to {error.url})"
    return FetchError(f"the server said {said}", where=where)


def _asked_seconds(headers: Message) -> float | None:
    """Retry-After, in seconds or as a date; bounded."""
    text = str(headers.get("Retry-After", "")).strip()
    if text.isdigit():
        seconds = float(text[:9])
    else:
        try:
            seconds = email.utils.parsedate_to_datetime(text).timestamp() - time.time()
        except (ValueError, TypeError, OverflowError):
            return None
    return min(max(seconds, 0.0), _LONGEST_ASKED_SECONDS)


def _unreached(error: OSError | http.client.HTTPException, url: str) -> Exception:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, ssl.SSLCertVerificationError):
        return FetchError(
            f"its certificate can't be verified ({reason.verify_message})",
            where=url,
            remedy="Behind a proxy that replaces certificates, name its own: "
            "SSL_CERT_FILE=/path/of/proxy.pem",
        )
    if isinstance(reason, http.client.InvalidURL):
        return FetchError(f"is no address ({reason})", where=url)
    return DroppedError(_in_words(reason))


def _in_words(reason: object) -> str:
    if isinstance(reason, socket.gaierror):
        return f"its name can't be resolved ({reason.strerror})"
    if isinstance(reason, TimeoutError):
        return "it is silent"
    if isinstance(reason, OSError):
        return f"it can't be reached ({reason.strerror or reason})"
    return f"no answer that HTTP allows ({str(reason)[:200] or type(reason).__name__})"


def _begun(
    response: http.client.HTTPResponse, url: str, part: PartFile, limits: Limits
) -> int | None:
    """Check the answer's head; returns the whole file's size, None if the server doesn't say."""
    length = response.headers.get("Content-Length", "")
    rest = int(length) if length.isdigit() and len(length) < 16 else None
    if response.status == http.HTTPStatus.PARTIAL_CONTENT:
        found = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if found is None or int(found[1]) != part.size:
            part.begin_anew()
            raise DroppedError("the server sent another part than asked for")
        total = None if found[3] == "*" else int(found[3])
    else:
        etag, modified = (response.headers.get(name, "") for name in ("ETag", "Last-Modified"))
        part.begin_anew(Version(url, etag[:1000], modified[:1000]))
        total = rest
    _require_size(total, limits, url, response.headers.get("Content-Type", ""))
    return total


def _require_size(total: int | None, limits: Limits, url: str, kind: str) -> None:
    if total is None:
        return
    wanted = limits.wanted
    if wanted is not None and total != wanted:
        what = f" of the type {kind[:80]}" if kind else ""
        raise FetchError(
            f"the server offers {total:,} bytes{what}, but the file has {wanted:,}",
            where=url,
            why="It is another file, or the page of a network that asks to sign in",
        )
    if total > limits.most:
        raise FetchError(f"has {total:,} bytes: too large for a DenseNet121", where=url)


def _read(
    response: http.client.HTTPResponse,
    part: PartFile,
    total: int | None,
    limits: Limits,
    url: str,
    on_bytes: Callable[[int, int | None], None],
) -> None:
    most = total if total is not None else limits.wanted or limits.most
    on_bytes(part.size, total)
    while True:
        try:
            content = response.read1(_CHUNK_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise DroppedError(f"the connection broke after {part.size:,} bytes") from error
        if not content:
            break
        if part.size + len(content) > most:
            raise FetchError(f"sends more than {most:,} bytes", where=url)
        part.append(content)
        on_bytes(part.size, total)
    if total is not None and part.size < total:
        raise DroppedError(f"the connection closed after {part.size:,} of {total:,} bytes")
