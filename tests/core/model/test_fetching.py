"""Weights are fetched from a server that misbehaves; what is put in place is whole, or nothing."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import fetch_on_small_disk
import pytest
import torch
from file_server import Answer, FileServer, served

from core.errors import DataError, StoppedError
from core.model.input_spec import IMAGENET
from core.model.pretrained.fetching import Patience, Progress, fetch
from core.model.pretrained.http import FetchError
from core.model.pretrained.known import KNOWN, KnownWeights
from core.model.pretrained.part_file import alone_with_part, part_path

CONTENT = os.urandom(900_000)
SOON = Patience(tries=3, first_wait_seconds=0.001, silent_seconds=10)


def known(server: FileServer, **changes: object) -> KnownWeights:
    """An entry for what the server offers."""
    entry = KnownWeights(
        name="stand-in",
        family="a stand-in",
        trained_on="nothing",
        file="stand-in.pth",
        url=server.url,
        page="https://weights.example",
        licence="none",
        input_spec=IMAGENET,
        num_bytes=len(server.content),
        sha256=server.sha256,
    )
    return replace(entry, **changes)  # type: ignore[arg-type]


def nothing_is_left(folder: Path) -> bool:
    """Whether neither a file nor a part of one lies there."""
    return not any(folder.iterdir())


def test_a_file_comes_whole_and_nothing_else_is_left(tmp_path: Path) -> None:
    told: list[Progress] = []
    with served(CONTENT) as server:
        place = fetch(known(server), tmp_path / "weights", tell=told.append)
    assert place.read_bytes() == CONTENT
    assert [path.name for path in place.parent.iterdir()] == ["stand-in.pth"]
    assert [progress.done for progress in told] == sorted(progress.done for progress in told)
    assert (told[-1].done, told[-1].total) == (len(CONTENT), len(CONTENT))


def test_dropped_connections_cost_no_byte_twice(tmp_path: Path) -> None:
    drops = [Answer(closes_after=300_000), Answer(closes_after=200_000), Answer()]
    told: list[Progress] = []
    with served(CONTENT, drops) as server:
        place = fetch(known(server), tmp_path, patience=SOON, tell=told.append)
    assert place.read_bytes() == CONTENT
    assert server.ranges == ["", "bytes=300000-", "bytes=500000-"]
    notes = [progress.note for progress in told if progress.note]
    assert notes[0].startswith("the connection closed after 300,000 of 900,000 bytes; trying again")


def test_the_next_call_goes_on_where_the_last_one_gave_up(tmp_path: Path) -> None:
    gone = Answer(status=503)
    with served(CONTENT, [Answer(closes_after=400_000), gone]) as server:
        with pytest.raises(FetchError, match=r"came and stay.*weights get stand-in goes on"):
            fetch(known(server), tmp_path, patience=SOON)
        assert not (tmp_path / "stand-in.pth").exists()
        server.answers = [Answer()]
        fetch(known(server), tmp_path)
    assert (tmp_path / "stand-in.pth").read_bytes() == CONTENT
    assert server.ranges[-1] == "bytes=400000-"


@pytest.mark.parametrize(
    "changed",
    [Answer(etag='"two"'), Answer(ranges=False), Answer(etag="")],
    ids=["another version", "no ranges", "no mark"],
)
def test_parts_of_two_versions_are_never_joined(tmp_path: Path, changed: Answer) -> None:
    # The first part is of another file; a client that joined them would fail at the digest.
    other = Answer(content=os.urandom(len(CONTENT)), closes_after=400_000, etag=changed.etag)
    first = other if changed.etag != '"two"' else replace(other, etag='"one"')
    told: list[Progress] = []
    with served(CONTENT, [first, changed]) as server:
        place = fetch(known(server), tmp_path, patience=SOON, tell=told.append)
    assert place.read_bytes() == CONTENT
    assert not any("SHA-256" in progress.note for progress in told)


def test_a_damaged_part_is_noticed_and_fetched_anew(tmp_path: Path) -> None:
    with served(CONTENT, [Answer(closes_after=400_000), Answer(status=503)]) as server:
        with pytest.raises(FetchError):
            fetch(known(server), tmp_path, patience=SOON)
        part = part_path(tmp_path / "stand-in.pth")
        part.write_bytes(bytes(400_000))
        server.answers = [Answer()]
        place = fetch(known(server), tmp_path)
    assert place.read_bytes() == CONTENT
    assert server.ranges[-2:] == ["bytes=400000-", ""]


def test_a_complete_part_of_a_killed_fetch_needs_no_server(tmp_path: Path) -> None:
    with served(CONTENT) as server:
        entry = known(server)
    part_path(tmp_path / entry.file).write_bytes(CONTENT)
    assert fetch(entry, tmp_path, patience=SOON).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (Answer(content=bytes(len(CONTENT))), "its SHA-256 is [0-9a-f]{64}, not"),
        (Answer(content=CONTENT[:-1]), "offers 899,999 bytes, but the file has 900,000"),
        (Answer(content=CONTENT[:-1], length=False), "has 899,999 bytes instead of 900,000"),
        (Answer(content=CONTENT + b"x", length=False), "sends more than 900,000 bytes"),
        (
            Answer(content=b"<html>", headers=(("Content-Type", "text/html"),)),
            "6 bytes of the type text/html.*a network that asks to sign in",
        ),
        (Answer(status=404), "the server said 404 Not Found"),
        (Answer(status=403), "the server said 403"),
        (
            Answer(status=302, headers=(("Location", "/weights.pth"),)),
            "infinite loop",
        ),
        (Answer(status=302, headers=(("Location", "file:///etc/passwd"),)), "file:///etc/passwd"),
    ],
)
def test_another_file_is_refused_and_thrown_away(tmp_path: Path, answer: Answer, says: str) -> None:
    with served(CONTENT, [answer]) as server, pytest.raises(FetchError, match=says) as caught:
        fetch(known(server), tmp_path, patience=SOON)
    assert not (tmp_path / "stand-in.pth").exists()
    assert len(server.ranges) <= 11  # asked once, where a redirect is no loop
    message = str(caught.value)
    assert f"stand-in.pth (0.9 MiB, SHA-256 {server.sha256})" in message
    assert server.url in message


def test_a_passing_refusal_is_waited_out_as_long_as_the_server_asks(tmp_path: Path) -> None:
    busy = Answer(status=503, headers=(("Retry-After", "0"),))
    told: list[Progress] = []
    with served(CONTENT, [busy, busy, Answer()]) as server:
        patience = Patience(tries=3, first_wait_seconds=1000)
        place = fetch(known(server), tmp_path, patience=patience, tell=told.append)
    assert place.read_bytes() == CONTENT
    assert told[0].note == "the server said 503 Service Unavailable; trying again in 0 s"


def test_a_redirect_is_followed_with_the_range(tmp_path: Path) -> None:
    with served(CONTENT, [Answer(closes_after=300_000), Answer()]) as target:
        moved = Answer(status=302, headers=(("Location", target.url),))
        with served(CONTENT, [moved]) as server:
            place = fetch(known(server), tmp_path, patience=SOON)
    assert place.read_bytes() == CONTENT
    assert target.ranges == ["", "bytes=300000-"]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost, with its key, that nobody has signed."""
    folder = tmp_path_factory.mktemp("certificate")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost"
    files = ["-addext", "subjectAltName=DNS:localhost", "-keyout", "key.pem", "-out", "cert.pem"]
    try:
        subprocess.run([*command.split(), *files], cwd=folder, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    both = folder / "both.pem"
    both.write_bytes((folder / "key.pem").read_bytes() + (folder / "cert.pem").read_bytes())
    return both


def test_https_is_verified_and_never_left_for_http(
    tmp_path: Path, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(CONTENT) as plain:
        moved = Answer(status=302, headers=(("Location", plain.url),))
        with served(CONTENT, [Answer(), moved], certificate=certificate) as server:
            entry = known(server)
            with pytest.raises(FetchError, match=r"certificate can't be verified.*SSL_CERT_FILE"):
                fetch(entry, tmp_path, patience=SOON)
            monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
            assert fetch(entry, tmp_path, patience=SOON).read_bytes() == CONTENT
            (tmp_path / entry.file).unlink()
            with pytest.raises(FetchError, match="redirects from https to http:"):
                fetch(entry, tmp_path, patience=SOON)
    assert plain.paths == []


def test_the_proxy_of_the_environment_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(CONTENT) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.removesuffix("/weights.pth"))
        address = "http://weights.invalid/stand-in.pth"
        place = fetch(known(proxy, url=address), tmp_path, patience=SOON)
        assert proxy.paths == [address]
    assert place.read_bytes() == CONTENT


def test_without_a_server_the_message_says_what_to_bring(tmp_path: Path) -> None:
    with served(CONTENT) as server:
        entry = known(server)
    with pytest.raises(FetchError) as caught:
        fetch(entry, tmp_path, patience=SOON)
    message = str(caught.value)
    assert "it can't be reached (Connection refused)" in message
    assert f"Without a network, download {entry.url} elsewhere" in message
    assert "Tried 3 times" in message


def test_a_silent_server_is_given_up(tmp_path: Path) -> None:
    speak = threading.Event()
    with served(CONTENT, [Answer(waits_for=speak)]) as server:
        patience = Patience(tries=2, first_wait_seconds=0.001, silent_seconds=0.1)
        with pytest.raises(FetchError, match="it is silent"):
            fetch(known(server), tmp_path, patience=patience)
        speak.set()


def test_a_stop_keeps_what_came(tmp_path: Path) -> None:
    stop = threading.Event()

    def stop_at_once(progress: Progress) -> None:
        if progress.done:
            stop.set()

    with served(CONTENT) as server:
        with pytest.raises(StoppedError, match="goes on where it broke off"):
            fetch(known(server), tmp_path, tell=stop_at_once, stop=stop)
        kept = part_path(tmp_path / "stand-in.pth").stat().st_size
        assert kept > 0
        assert fetch(known(server), tmp_path).read_bytes() == CONTENT
    assert server.ranges in (["", f"bytes={kept}-"], [""])  # it may have been complete


def test_two_fetchers_are_not_mixed(tmp_path: Path) -> None:
    with served(CONTENT) as server:
        entry = known(server)
        with (
            alone_with_part(tmp_path / entry.file),
            pytest.raises(DataError, match="another process is fetching it"),
        ):
            fetch(entry, tmp_path)
        fetch(entry, tmp_path)
        fetch(entry, tmp_path)  # it is here
    assert len(server.ranges) == 1


def test_a_damaged_file_in_place_is_replaced(tmp_path: Path) -> None:
    with served(CONTENT) as server:
        (tmp_path / "stand-in.pth").write_bytes(b"damaged")
        assert fetch(known(server), tmp_path).read_bytes() == CONTENT


def test_a_folder_that_refuses_is_named(tmp_path: Path) -> None:
    (tmp_path / "weights").write_text("a file where the folder should be")
    with served(CONTENT) as server, pytest.raises(DataError, match=os.strerror(errno.EEXIST)):
        fetch(known(server), tmp_path / "weights")
    assert server.ranges == []


def test_a_full_disk_is_named_and_the_rest_comes_once_there_is_room(tmp_path: Path) -> None:
    script = Path(fetch_on_small_disk.__file__)
    command = ["unshare", "--map-root-user", "--mount", sys.executable, str(script), str(tmp_path)]
    folders = os.pathsep.join((str(script.parent), str(Path(__file__).parents[3])))
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": folders}
    )
    if done.returncode != 0 and ("unshare" in done.stderr or "mount" in done.stderr):
        pytest.skip("this user can't mount in a namespace of their own")
    assert done.returncode == 0, done.stderr
    filled, lacks, fetched, first, *rest = json.loads(done.stdout)
    assert "no room on the disk" in filled
    assert "goes on where it broke off" in filled
    assert "more, and the disk has" in lacks
    assert fetched == "stand-in.pth"
    assert first == ""
    assert [one.startswith("bytes=") for one in rest] == [True]


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://host/file", "weights.pth", "http://", "http://a b/c"]
)
def test_only_addresses_of_the_web_are_asked(tmp_path: Path, url: str) -> None:
    with served(CONTENT) as server, pytest.raises(FetchError, match="http or https address"):
        fetch(known(server), tmp_path, url=url)
    assert nothing_is_left(tmp_path)


def test_without_a_known_digest_only_https_is_asked_and_the_tensors_are_checked(
    tmp_path: Path, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with served(CONTENT) as server, pytest.raises(FetchError, match="only https"):
        fetch(known(server, sha256=""), tmp_path)
    with (
        served(CONTENT, certificate=certificate) as server,
        pytest.raises(FetchError, match="no DenseNet121 that can be read"),
    ):
        fetch(known(server, sha256="", num_bytes=None), tmp_path)
    assert nothing_is_left(tmp_path)
    torch.set_num_threads(1)
    from core.model.densenet import build_model

    torch.save(build_model(["a"], seed=0, input_spec=IMAGENET).state_dict(), tmp_path / "own.pth")
    content = (tmp_path / "own.pth").read_bytes()
    with served(content, certificate=certificate) as server:
        place = fetch(known(server, sha256="", num_bytes=None), tmp_path)
    assert place.read_bytes() == content


def test_what_is_known_by_name_is_told_apart_and_has_what_a_fetch_needs() -> None:
    assert len({one.name for one in KNOWN}) == len(KNOWN)
    for one in KNOWN:
        assert one.licence
        assert one.page.startswith("https://")
        assert not one.url or one.url.startswith("https://")
        assert not one.sha256 or (len(one.sha256) == 64 and one.num_bytes)
    imagenet = KNOWN[0]
    assert imagenet.file == f"densenet121-{imagenet.sha256[:8]}.pth"
