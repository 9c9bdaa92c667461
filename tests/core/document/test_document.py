"""The report of a session: one file that holds everything, and nothing that it shouldn't."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import precision_recall_curve

from core.document.blocks import Table
from core.document.checklists import answered, checklists
from core.document.figures.curves import precision_recall
from core.document.flow import flow_of, quarantined_by_part
from core.document.plain_tables import latex_of
from core.document.report import default_path, write_report
from core.errors import CxrError, DataError, SessionError, UsageError
from core.store.session import Session

SECTIONS = (
    *("flow", "data", "parts", "model", "recipe", "training", "health", "results"),
    *("points", "views", "curves", "calibration", "subgroups", "wrong", "environment", "ledger"),
)


class Elements(HTMLParser):
    """The elements of a page: name and attributes, and the text outside of style."""

    def __init__(self, text):
        super().__init__()
        self.found, self.words, self._in_style = [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        self._in_style = tag == "style"

    def handle_endtag(self, tag):
        self._in_style = False

    def handle_data(self, data):
        if not self._in_style:
            self.words.append(data)

    @property
    def ids(self):
        return [attrs["id"] for _, attrs in self.found if "id" in attrs]


@pytest.fixture(scope="module")
def written(trained_dir, cache_dir, tmp_path_factory):
    """The report of a trained session, as text."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    done = write_report([Session(trained_dir)], path, cache_dir)
    assert done.path == path
    assert done.size_bytes == path.stat().st_size < 5_000_000
    return path.read_text(encoding="utf-8")


@pytest.fixture
def copied(trained_dir, tmp_path):
    """A copy of the trained session, to be changed."""
    shutil.copytree(trained_dir, tmp_path / "sessions" / "trained")
    return Session(tmp_path / "sessions" / "trained")


def changed_json(session: Session, name: str, change) -> None:
    value = json.loads((session.path / name).read_text())
    change(value)
    (session.path / name).write_text(json.dumps(value))


def test_the_page_has_every_section_and_each_link_leads_somewhere(written):
    page = Elements(written)
    assert set(SECTIONS) <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    links = {attrs["href"] for tag, attrs in page.found if tag == "a"}
    assert {f"#{one}" for one in SECTIONS} <= links
    assert links <= {f"#{one}" for one in page.ids}


def test_the_page_asks_for_nothing_and_runs_nothing(written):
    page = Elements(written)
    names = {tag for tag, _ in page.found}
    assert not names & {"script", "link", "iframe", "object", "embed", "base", "form"}
    for tag, attrs in page.found:
        for name, value in attrs.items():
            assert not name.startswith("on")
            if name in ("src", "href", "xlink:href", "data", "srcset", "action"):
                assert value.startswith(("#", "data:image/jpeg;base64,")), (tag, name)
    assert "@import" not in written
    assert not re.search(r"url\((?!#)", written)


def test_the_figures_are_the_sessions_own(written, trained_dir):
    report = json.loads((trained_dir / "evaluation" / "test.json").read_text())
    text = " ".join(" ".join(Elements(written).words).split())
    assert f"{report['images']:,} images" in text
    for figures in report["findings"].values():
        if figures["auroc"] is not None:
            assert f"{figures['auroc']:.3f}" in text
    low, high = report["mean_auroc_ci"]
    assert f"{low:.3f} to {high:.3f}" in text
    assert f"{report['table_alone']['mean_auroc']:.3f}" in text


def test_the_most_wrong_images_are_pictures_in_the_page(written):
    sources = [attrs["src"] for tag, attrs in Elements(written).found if tag == "img"]
    assert len(sources) > 10
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)


def test_without_images_neither_pictures_nor_their_names_are_shown(
    copied, trained_dir, cache_dir, tmp_path
):
    names = (trained_dir / "predictions" / "test.csv").read_text().splitlines()[1:]
    told = f"{names[0].split(',')[0]} is odd"
    changed_json(copied, "evaluation/test.json", lambda report: report.update(warnings=[told]))
    path = tmp_path / "report.html"
    write_report([copied], path, cache_dir, with_images=False)
    text = path.read_text()
    assert "<img" not in text
    assert "(an image) is odd" in text
    assert not [name for name in (line.split(",")[0] for line in names) if name in text]


def test_names_with_html_and_escapes_are_shown_as_they_are(copied, cache_dir, tmp_path):
    evil = "<img src=x onerror=alert(1)>\x1b[31m</svg>&\u202e$x$"

    def rename(report):
        report["findings"] = {evil: next(iter(report["findings"].values()))}
        report["labels_note"] = evil
        report["warnings"] = [evil]

    changed_json(copied, "evaluation/test.json", rename)
    path = tmp_path / "report.html"
    write_report([copied], path, cache_dir)
    text = path.read_text(encoding="utf-8")
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "<img src=x" not in text
    shown = " ".join(Elements(text).words)
    assert "<img src=x onerror=alert(1)>␛[31m</svg>&\\u202e$x$" in shown


def test_a_session_without_its_data_set_is_reported_from_its_own_files(copied, tmp_path):
    recipe = copied.path / "recipe.toml"
    folder = re.search(r'images = "(.+)"', recipe.read_text())[1]
    recipe.write_text(recipe.read_text().replace(folder, str(tmp_path / "gone")))
    path = tmp_path / "report.html"
    write_report([copied], path, tmp_path / "cache")
    text = " ".join(Elements(path.read_text()).words)
    assert "Ages, sexes and views are left out" in text
    assert "No pictures" in text
    assert "00000" in text  # the names of the most wrong images


def test_tables_alone_are_markdown_or_latex(trained_dir, cache_dir, tmp_path):
    session = Session(trained_dir)
    for form, begin in (("markdown", "| finding |"), ("latex", r"\toprule")):
        path = tmp_path / f"tables.{form}"
        write_report([session], path, cache_dir, form)
        text = path.read_text()
        assert begin in text
        assert "<svg" not in text
        assert "Discrimination on test" in text


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_each_table_is_as_wide_as_the_page_of_an_article_at_most(trained_dir, cache_dir, tmp_path):
    write_report([Session(trained_dir)], tmp_path / "tables.tex", cache_dir, "latex")
    (tmp_path / "paper.tex").write_text(
        r"\documentclass{article}\usepackage{array,booktabs,graphicx}\begin{document}"
        r"\input{tables}\end{document}"
    )
    done = subprocess.run(
        ["pdflatex", "-halt-on-error", "paper.tex"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
    too_wide = re.findall(r"Overfull \\hbox \(([0-9.]+)pt", done.stdout)
    assert all(float(points) < 5 for points in too_wide), done.stdout


def test_prose_in_latex_breaks_into_lines_and_figures_are_shrunk():
    prose = Table("Health", ("check", "what it found"), [("few", "a long sentence " * 9)], left=2)
    figures = Table("AUROC", ("finding", *["95 % interval"] * 9), [("Mass", *["0.1"] * 9)])
    text = latex_of([prose, figures], "tables")
    width = re.search(r"\\begin\{tabular\}\{l>.*p\{(0\.\d+)\\linewidth", text)
    assert width is not None
    assert float(width[1]) <= 1
    assert text.count(r"\resizebox") == 1
    assert text.count("{") == text.count("}")


def test_the_default_file_lies_in_the_session(trained_dir):
    session = Session(trained_dir)
    assert default_path([session]) == trained_dir / "trained-report.html"
    assert default_path([session], "latex").name == "trained-report.tex"


def test_a_session_without_test_figures_is_refused(copied, cache_dir, tmp_path):
    (copied.path / "evaluation" / "test.json").unlink()
    with pytest.raises(DataError, match="no test figures yet"):
        write_report([copied], tmp_path / "r.html", cache_dir)
    assert not (tmp_path / "r.html").exists()


def test_a_sealed_test_part_is_refused_with_how_to_open_it(copied, cache_dir, tmp_path):
    for name in ("evaluation/test.json", "predictions/test.csv"):
        (copied.path / name).unlink()
    recipe = copied.path / "recipe.toml"
    text = recipe.read_text().replace("sealed = false\n", "")
    recipe.write_text(text.replace("[evaluate]\n", "[evaluate]\nsealed = true\n"))
    with pytest.raises(DataError, match=r"sealed.*evaluate trained --open"):
        write_report([copied], tmp_path / "r.html", cache_dir)


def test_a_session_whose_last_run_was_cut_off_says_so(copied, cache_dir, tmp_path):
    lines = copied.events_path.read_text().splitlines(keepends=True)
    copied.events_path.write_text("".join(line for line in lines if '"Finished"' not in line))
    write_report([copied], tmp_path / "r.html", cache_dir)
    assert "last run did not finish" in (tmp_path / "r.html").read_text()


def test_a_run_still_going_is_refused(copied, cache_dir, tmp_path):
    with copied.writing(), pytest.raises(SessionError, match="still going"):
        write_report([copied], tmp_path / "r.html", cache_dir)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("evaluation/test.json", '{"findings": {"Mass": {"auroc": "high"}}}'),
        ("evaluation/test.json", "["),
        ("dataset.json", "[1]"),
        ("environment.json", "\x00"),
        ("recipe.toml", "name = "),
    ],
)
def test_damaged_sessions_are_refused_with_the_files_name(
    copied, cache_dir, tmp_path, name, content
):
    (copied.path / name).write_text(content)
    with pytest.raises(CxrError, match=Path(name).name):
        write_report([copied], tmp_path / "r.html", cache_dir)
    assert not (tmp_path / "r.html").exists()


def test_odd_values_in_a_sessions_files_are_left_out(copied, cache_dir, tmp_path):
    def spoil(described):
        described |= {
            "parts": {"train": 3, "test": []},
            "counts": [7, {"reason": 3}],
            "images": "x",
        }

    changed_json(copied, "dataset.json", spoil)
    changed_json(
        copied, "environment.json", lambda found: found.update(versions=[1], processors={})
    )
    (copied.path / "evaluation" / "localization.json").write_text('{"findings": {"Mass": [1]}}')
    write_report([copied], tmp_path / "r.html", cache_dir)
    assert "Results on test" in (tmp_path / "r.html").read_text()


def test_an_old_report_stays_if_the_new_one_cant_be_written(copied, cache_dir, tmp_path):
    with pytest.raises(UsageError, match="folder isn't there"):
        write_report([copied], tmp_path / "none" / "r.html", cache_dir)
    with pytest.raises(UsageError, match="is a folder"):
        write_report([copied], tmp_path, cache_dir)
    with pytest.raises(UsageError, match="named twice"):
        write_report([copied, copied], tmp_path / "r.html", cache_dir)


def test_several_sessions_are_chapters_of_one_page(copied, trained_dir, cache_dir, tmp_path):
    renamed = copied.path.rename(copied.path.with_name("again"))
    path = tmp_path / "both.html"
    write_report([Session(trained_dir), Session(renamed)], path, cache_dir)
    page = Elements(path.read_text())
    assert {"comparison", "s1-results", "s2-results", "s1-flow", "s2-flow"} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    links = {attrs["href"] for tag, attrs in page.found if tag == "a"}
    assert {"#comparison", "#s1-flow"} <= links <= {f"#{one}" for one in page.ids}
    shown = " ".join(" ".join(page.words).split())
    assert "can't tell" in shown  # the same scores twice
    assert "answered here" in shown


def test_precision_and_recall_are_scikit_learns():
    rng = np.random.default_rng(0)
    labels_N = rng.integers(0, 2, 300).astype(np.float32)
    labels_N[:20] = np.nan
    scores_N = np.round(rng.random(300) + 0.3 * np.nan_to_num(labels_N), 2)
    recall_T, precision_T = precision_recall(labels_N, scores_N, most_points=10_000)
    known = ~np.isnan(labels_N)
    precision, recall, _ = precision_recall_curve(
        labels_N[known], scores_N[known], drop_intermediate=False
    )
    # It goes on to recall 0 with precision 1, and each recall from the highest score on.
    np.testing.assert_allclose(recall_T[1:], recall[-2::-1])
    np.testing.assert_allclose(precision_T[1:], precision[-2::-1])
    few_recall, _ = precision_recall(labels_N, scores_N, most_points=50)
    assert len(few_recall) <= 50
    assert few_recall[0] == 0
    assert few_recall[-1] == 1


def test_the_checklists_have_the_publications_numbers():
    claim, tripod = checklists()
    assert [item.number for item in claim.items] == [str(number) for number in range(1, 45)]
    assert len(tripod.items) == 52
    mains = dict.fromkeys(item.number.rstrip("abcdefg") for item in tripod.items)
    assert list(mains) == [str(number) for number in range(1, 28)]
    letters = {"12": "abcdefg", "18": "abcdef", "8": "abc", "20": "abc", "23": "ab", "27": "abc"}
    for main, wanted in letters.items():
        of_it = [item.number for item in tripod.items if item.number.rstrip("abcdefg") == main]
        assert of_it == [f"{main}{letter}" for letter in wanted]


def test_an_item_is_answered_only_by_a_section_that_is_there():
    claim, _ = checklists()
    without, with_flow = answered(claim, ()), answered(claim, ("flow",))
    assert without.number_of("yours to write") == 44
    flow = [one.item.number for one in with_flow.items if one.links]
    assert "35" in flow
    assert all("flow" in one.item.sections for one in with_flow.items if one.links)
    for checklist in checklists():
        for item in checklist.items:
            assert bool(item.sections) == bool(item.answer), item.number
            assert item.sections or not item.left


def test_the_flow_says_what_left_and_why_and_adds_up():
    counts = [("in the table, but not found", 40), ("lateral view left out (dataset.views)", 300)]
    described = {
        "label_table": "NIH v2020 (labels.csv)",
        "images": 960,
        "patients": 300,
        "missing_images": 40,
        "counts": [
            *({"reason": reason, "images": images} for reason, images in counts),
            {"reason": "byte order mark ignored", "images": 0},
        ],
        "parts": {
            "train": {"images": 600, "patients": 180},
            "val": {"images": 100, "patients": 40},
            "test": {"images": 200, "patients": 80},
        },
    }
    reasons = {"a.png": "truncated", "b.png": "truncated", "c.png": "empty"}
    by_part = quarantined_by_part(reasons, {"a.png": "train", "b.png": "train", "c.png": "test"})
    report = {"images": 199, "patients": 79}
    flow = flow_of(described, report, by_part, {"stored as RGBA": 7}, "Mass: train 29 %")
    assert flow.table.lines[-1] == "1,300 images"
    assert [(one.why, one.images) for one in flow.left_of_table] == counts
    (unused,) = flow.left_of_found
    assert unused.images == 60
    assert "Mass: train 29 %" in unused.why
    train, val, test = flow.parts
    assert [(one.images, one.why) for one in train.left] == [(2, "can't be decoded: truncated")]
    assert (train.used.lines, val.used.lines) == (("598 images",), ("100 images",))
    assert (val.left, test.used.lines) == ((), ("199 images", "79 patients"))
    assert flow.remarks == ("byte order mark ignored", "7 × stored as RGBA")


def test_recalibration_is_told_with_the_figures_before_it(copied, cache_dir, tmp_path):
    def recalibrated(report):
        before = {name: row | {"slope": 0.4321} for name, row in report["calibration"].items()}
        report["recalibration"] = {"method": "platt", "findings": ["Mass"], "notes": {},
                                   "before": before}  # fmt: skip

    changed_json(copied, "evaluation/test.json", recalibrated)
    path = tmp_path / "report.html"
    write_report([copied], path, cache_dir)
    page = Elements(path.read_text())
    shown = " ".join(" ".join(page.words).split())
    assert "recalibrated (platt), fitted on val alone" in shown
    assert "0.43" in shown
    assert "recalibration" in page.ids
    links = [attrs["href"] for tag, attrs in page.found if tag == "a"]
    assert links.count("#recalibration") >= 3  # contents, and two items of TRIPOD+AI
