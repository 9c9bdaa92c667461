"""The report in a real browser: nothing is asked for, nothing goes wrong, it shows and prints."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from core.document.report import write_report
from core.store.session import Session

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-extensions", "--disable-default-apps", "--metrics-recording-only"),
    *("--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", "--log-level=0"),
)


@pytest.fixture(scope="module")
def report(trained_dir, cache_dir, tmp_path_factory):
    if CHROMIUM is None:
        pytest.skip("Debian's package chromium is not installed")
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_report([Session(trained_dir)], path, cache_dir)
    return path


def opened(page, folder, *options):
    """What the browser asked for, and what stood on its console."""
    log = folder / "net.json"
    done = subprocess.run(
        [CHROMIUM, *QUIET, f"--user-data-dir={folder / 'user'}", f"--log-net-log={log}",
         *options, page.as_uri()],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    # Each request has the number of the browser's part that made it; its own go on meanwhile.
    lines = re.findall(
        r'"traffic_annotation":(\d+),"url":"([^"]+)"', log.read_text(errors="replace")
    )
    outside = {(maker, url) for maker, url in lines if re.match(r"(https?|wss?|ftp):", url)}
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return outside, console


@pytest.fixture(scope="module")
def made_by_pages(report, tmp_path_factory):
    """The number of requests that pages make, by one that asks; its fault is on the console."""
    folder = tmp_path_factory.mktemp("bad")
    page = folder / "bad.html"
    page.write_text('<img src="http://elsewhere.invalid/x.png"><script>nothing()</script>')
    outside, console = opened(page, folder, f"--screenshot={folder / 's.png'}")
    assert any("nothing is not defined" in line for line in console)
    numbers = {maker for maker, url in outside if url == "http://elsewhere.invalid/x.png"}
    assert len(numbers) == 1
    return numbers


def test_no_request_leaves_and_nothing_is_on_the_console(report, made_by_pages, tmp_path):
    shot = tmp_path / "shot.png"
    outside, console = opened(report, tmp_path, f"--screenshot={shot}", "--window-size=1100,6000")
    assert [url for maker, url in outside if maker in made_by_pages] == []
    assert console == []
    grey_HW = np.asarray(Image.open(shot).convert("L"))
    for part in np.split(grey_HW, 6):
        assert (part < 128).mean() > 0.003  # there is something on each screen
    assert (grey_HW > 240).mean() > 0.5


def test_it_prints_on_pages_as_wide_as_paper(report, tmp_path):
    pdf = tmp_path / "report.pdf"
    _, console = opened(report, tmp_path, f"--print-to-pdf={pdf}", "--no-pdf-header-footer")
    assert console == []
    content = pdf.read_bytes()
    pages = len(re.findall(rb"/Type\s*/Page\b", content))
    assert 8 <= pages <= 40
    sizes = {tuple(map(float, found)) for found in re.findall(
        rb"/MediaBox\s*\[0 0 ([\d.]+) ([\d.]+)\]", content)}  # fmt: skip
    assert {(round(width), round(height)) for width, height in sizes} == {(595, 842)}


def test_nothing_is_wider_than_the_screen(report, tmp_path):
    """At the width of a laptop and of a telephone; a table may scroll by itself."""
    probe = tmp_path / "probe.html"
    # The page's own policy forbids scripts, so the probe is a copy without it.
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", report.read_text())
    said = (
        "<script>addEventListener('load', () => { document.title = JSON.stringify("
        "[document.documentElement.scrollWidth, innerWidth]); document.body.innerHTML ="
        " '<p id=said>' + document.title + '</p>'; });</script></body>"
    )
    probe.write_text(text.replace("</body>", said))
    for width in (1280, 500):
        done = subprocess.run(
            [CHROMIUM, *QUIET, f"--user-data-dir={tmp_path / 'user'}", "--dump-dom",
             f"--window-size={width},900", probe.as_uri()],
            capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
        whole, room = json.loads(re.search(r"<p id=\"said\">(.+?)</p>", done.stdout)[1])
        assert whole <= room, (width, whole, room)
