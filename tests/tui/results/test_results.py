"""5 Results, by its keys: figures, curves, thresholds, references, what is missing."""

import csv
import json
import re
import shutil

import numpy as np
import pytest
from console import plain, press, shows, until
from PIL import Image
from told_sessions import FINDINGS, STARTED, opened, recipe_for, scored_session

from core.evaluation.metrics import READ_THE_INTERVAL
from core.evaluation.references import load_references, references_of
from core.events import (
    Evaluated,
    Failed,
    TestStarted,
    ValidationProgress,
)
from core.report_shape import PartReport
from core.store.sessions import create_session
from cxr_tui.app.app import ConsoleApp
from cxr_tui.reports.auroc_table import print_report
from cxr_tui.reports.figure_export import export_csv, export_markdown
from cxr_tui.reports.figure_rows import figures_of
from cxr_tui.results.most_wrong import MostWrong
from cxr_tui.results.report_table import ReportTable
from cxr_tui.results.subgroups import GroupList, Subgroups

ON_OFFICIAL_TEST = {
    "split_kind": "official",
    "images": 25_596,
    "label_table": "NIH 2017 (Data_Entry_2017.csv)",
}
"""What a report says of the test part and labels that Wang et al. measured on."""


async def says(pilot, words):
    """Wait for a message over the screen, which may be wrapped there."""
    await until(
        pilot, lambda: any(words in note.message for note in pilot.app._notifications), repr(words)
    )


def reported(app):
    return app.workspace.shown.view.report.findings


async def test_each_finding_stands_with_its_interval_the_mean_and_the_table_alone(
    workspace, phantom_dir
):
    scored_session(workspace, phantom_dir)
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        screen = plain(app)
        for finding, figures in reported(app).items():
            low, high = figures.auroc_ci
            line = next(line for line in screen.splitlines() if re.match(rf" .?{finding}", line))
            assert f"{figures.auroc:.3f} {low:.3f} – {high:.3f}" in re.sub(" +", " ", line)
        report = app.workspace.shown.view.report
        assert re.search(rf"mean +{report.mean_auroc:.3f}", screen)
        assert re.search(rf"table alone +{report.table_alone.mean_auroc:.3f}", screen)
        assert f"{report.images:,} images of {report.patients:,} patients" in screen


async def test_the_best_stands_first_and_o_orders_otherwise(workspace, phantom_dir):
    scored_session(workspace, phantom_dir)
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        by_auroc = sorted(FINDINGS, key=lambda name: -reported(app)[name].auroc)
        assert app.screen.query_one(ReportTable)._names == by_auroc
        await press(pilot, "O")
        assert app.screen.query_one(ReportTable)._names == list(FINDINGS)


async def test_the_cursor_chooses_whose_operating_point_is_told(workspace, phantom_dir):
    scored_session(workspace, phantom_dir)
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        first, second = app.screen.query_one(ReportTable)._names[:2]
        await shows(pilot, f"{first} at ")
        await press(pilot, "down")
        point = reported(app)[second].operating_point
        await shows(pilot, f"{second} at {point.threshold:.3f}, chosen on val by")
        await shows(pilot, f"sensitivity {point.sensitivity:.2f} ({point.sensitivity_ci[0]:.2f}–")


async def test_another_rule_is_refused_or_applied_to_all_findings(workspace, phantom_dir):
    scored_session(workspace, phantom_dir)
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await press(pilot, "t", *"specificity=2")
        await shows(pilot, "must be a number between 0 and 1")
        await press(pilot, "backspace", *"0.8", "enter")
        await shows(pilot, "specificity=0.8")
        await press(pilot, "down")
        await shows(pilot, "specificity=0.8")
        finding = app.screen.query_one(ReportTable).chosen
        scores = app.screen._known.scores("test")
        column = scores.val.findings.index(finding)
        threshold = float(re.search(r"at ([\d.e-]+),", plain(app))[1])
        absent = scores.val.labels_NF[:, column] == 0
        spared = (scores.val.scores_NF[absent, column] < threshold + 5e-4).mean()
        assert 0.8 <= spared < 0.8 + 2 / absent.sum()


async def test_a_value_holds_for_one_finding_and_nothing_brings_the_recipes_rule_back(
    workspace, phantom_dir
):
    scored_session(workspace, phantom_dir)
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await press(pilot, "t", *"0", "enter")
        await shows(pilot, "at 0, set by hand")
        assert "sensitivity 1.00 (" in plain(app)
        assert "specificity 0.00 (0.00–" in plain(app)
        await press(pilot, "down")
        await shows(pilot, "Youden")
        await press(pilot, "up")
        await shows(pilot, "set by hand")
        await press(pilot, "t", "backspace", "enter")
        await shows(pilot, "Youden")


async def test_escape_leaves_the_threshold_and_digits_stay_in_its_field(workspace, phantom_dir):
    scored_session(workspace, phantom_dir)
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await press(pilot, "t", "1")
        assert app.current_mode == "results"
        await press(pilot, "escape")
        await until(pilot, lambda: "esc back" not in plain(app), "the screen below")
        assert "Youden" in plain(app)


async def test_a_published_column_is_blank_with_its_reason_on_another_split(workspace, phantom_dir):
    scored_session(workspace, phantom_dir)
    app = ConsoleApp(workspace)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        await press(pilot, "B")
        await shows(pilot, "reference wang2017_official is left blank")
        assert "Δ" not in plain(app)
        for _ in references_of("nih"):
            await press(pilot, "B")
        await says(pilot, "no reference")


@pytest.mark.parametrize(
    ("changes", "split"),
    [
        ({}, "its lists are not NIH's own"),
        ({"split_kind": "patient"}, "drawn by patient"),
    ],
)
async def test_the_answer_to_g_is_short_and_the_notes_say_of_which_split_the_figures_are(
    workspace, phantom_dir, changes, split
):
    scored_session(workspace, phantom_dir, **changes)
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await press(pilot, "B")
        await says(pilot, "wang2017_official is left blank: the notes say why (v)")
        assert all(len(note.message) <= 100 for note in app._notifications), "two lines at most"
        app.clear_notifications()
        await press(pilot, "v")
        await shows(pilot, "reference wang2017_official is left blank")
        assert f"these figures are of another split ({split})" in " ".join(plain(app).split())


async def test_a_published_column_stands_beside_the_official_test_part_with_its_difference(
    workspace, phantom_dir
):
    scored_session(workspace, phantom_dir, **ON_OFFICIAL_TEST)
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await press(pilot, "B")
        await shows(pilot, "Δ")
        published = load_references()["wang2017_official"].auroc_by_finding["Mass"]
        auroc = reported(app)["Mass"].auroc
        delta = f"{auroc - published:+.3f}".replace("-", "−")
        line = next(line for line in plain(app).splitlines() if "Mass " in line)
        assert f"{published:.3f} {delta}" in re.sub(" +", " ", line)


async def test_the_recipes_own_published_column_stands_there_from_the_start(workspace, phantom_dir):
    reference = {"column": "wang2017_official", "note": None}
    scored_session(workspace, phantom_dir, **ON_OFFICIAL_TEST, reference=reference)
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await shows(pilot, "Wang17")
        assert re.search(r"mean .*[+−]0\.\d{3}", plain(app))


async def test_the_figures_of_val_are_computed_and_say_that_their_threshold_flatters(
    workspace, phantom_dir
):
    scored_session(workspace, phantom_dir)
    app = ConsoleApp(workspace)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        await press(pilot, "full_stop")
        await shows(pilot, "scored · val: ")
        await shows(pilot, "so it looks too good")
        val_report = app.screen._report()
        assert val_report.split == "val"
        await press(pilot, "comma")
        await shows(pilot, "scored · test: ")
        await press(pilot, "comma")
        await shows(pilot, "so it looks too good")
        assert app.screen._report() is val_report, "computed once"


async def test_val_whose_table_is_gone_says_why_it_has_no_figures(workspace, phantom_dir, tmp_path):
    folder = tmp_path / "moved"
    folder.mkdir()
    for path in phantom_dir.iterdir():
        if path.is_file():
            (folder / path.name).write_bytes(path.read_bytes())
    scored_session(workspace, folder)
    (folder / "Data_Entry_2017_v2020.csv").unlink()
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await press(pilot, "full_stop")
        await shows(pilot, "The figures of val can't be computed.")
        await press(pilot, "full_stop")
        await shows(pilot, "scored · test: ")


async def test_enter_lists_the_images_by_error_and_escape_goes_back(workspace, phantom_dir):
    session = scored_session(workspace, phantom_dir)
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        finding = app.screen.query_one(ReportTable).chosen
        scores = app.screen._known.scores("test").predictions
        column = scores.findings.index(finding)
        labels, values = scores.labels_NF[:, column], scores.scores_NF[:, column]
        await press(pilot, "enter")
        await shows(pilot, "labelled absent, scored highest")
        worst = np.flatnonzero(labels == 0)[np.argmax(values[labels == 0])]
        missed = np.flatnonzero(labels == 1)[np.argmin(values[labels == 1])]
        lines = plain(app).splitlines()
        head = next(i for i, line in enumerate(lines) if line.lstrip().startswith("image "))
        assert f"{scores.images[worst]}" in lines[head + 1]
        assert f"{scores.images[missed]}" in lines[head + 1]
        assert f"{values[worst]:.4f}" in lines[head + 1]
        await press(pilot, "e")
        path = session.path / f"images-by-error-{finding}-test.csv"
        await until(pilot, path.is_file, "the export")
        rows = list(csv.reader(path.open()))
        assert rows[1][0] == scores.images[worst]
        picture = path.with_suffix(".png")
        await until(pilot, picture.is_file, "the sheet")
        sheet = Image.open(picture)
        assert json.loads(sheet.text["cxr-tui"])["finding"] == finding
        assert sheet.size[0] > 4 * 400
        # The first tile is the image that is worst, as its file has it.
        (file,) = phantom_dir.rglob(scores.images[worst])
        side = Image.open(file).convert("L").resize((400, 400), Image.Resampling.BICUBIC)
        tiles = np.asarray(sheet.convert("L")).astype(float)
        tops = range(30, 120)
        off = min(np.abs(tiles[y : y + 400, 13:413] - np.asarray(side)).mean() for y in tops)
        assert off < 1
        await press(pilot, "escape")
        await until(pilot, lambda: not isinstance(app.screen, MostWrong), "the table")
        assert app.current_mode == "results"


@pytest.mark.parametrize("size", [(60, 16), (70, 20), (80, 24), (120, 40)])
async def test_no_digit_of_a_wrong_images_score_is_cut(workspace, phantom_dir, size):
    scored_session(workspace, phantom_dir)
    app = ConsoleApp(workspace)
    async with app.run_test(size=size) as pilot:
        await opened(pilot)
        await press(pilot, "enter")
        await shows(pilot, "score ")
        lists = [(app.screen._lowest, 0), (app.screen._highest, size[0] // 2)]
        for images, left in lists:
            lines = [line[left : left + size[0] // 2] for line in plain(app).splitlines()]
            head = next(i for i, line in enumerate(lines) if line.startswith(" image "))
            assert f" {images[0].score:.4f}" in lines[head + 1]
            assert images[0].image[:12] in lines[head + 1]
            assert f" {images[0].patient} " in lines[head + 1]
        title = " ".join(plain(app).split())
        assert f"({len(lists[0][0])})" in title


async def test_without_the_images_the_lists_are_exported_and_it_says_why_no_picture_is(
    workspace, phantom_dir, tmp_path
):
    folder = tmp_path / "set"
    shutil.copytree(phantom_dir, folder)
    session = scored_session(workspace, folder)
    for path in folder.rglob("*.png"):
        path.unlink()
    app = ConsoleApp(workspace)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        await press(pilot, "enter", "e")
        await says(pilot, "there is no picture:")
    assert [path.suffix for path in session.path.glob("images-by-error-*")] == [".csv"]


async def test_w_shows_the_finding_by_group_and_escape_goes_back(workspace, phantom_dir):
    scored_session(workspace, phantom_dir)
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await press(pilot, "W")
        await until(pilot, lambda: isinstance(app.screen, Subgroups), "the groups")
        await shows(pilot, "sex female")
        await shows(pilot, "fewer than 10 give no figure")
        table = app.screen.query_one(GroupList)
        assert table.virtual_size.width <= 80
        await press(pilot, "escape")
        await until(pilot, lambda: not isinstance(app.screen, Subgroups), "the figures")


async def test_images_of_one_session_do_not_stay_over_another(workspace, phantom_dir):
    scored_session(workspace, phantom_dir)
    scored_session(workspace, phantom_dir, "other")
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await press(pilot, "enter")
        await shows(pilot, "labelled absent")
        app.open_session("other", "sessions")
        await press(pilot, "5")
        await until(pilot, lambda: not isinstance(app.screen, MostWrong), "the table")
        await shows(pilot, "other · test: ")


async def test_e_writes_the_table_with_its_notes(workspace, phantom_dir):
    session = scored_session(workspace, phantom_dir)
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await press(pilot, "e")
        await says(pilot, "written: results-test.csv and results-test.md")
        with (session.path / "results-test.csv").open() as stream:
            rows = {row["finding"]: row for row in csv.DictReader(stream)}
        assert float(rows["Mass"]["auroc"]) == reported(app)["Mass"].auroc
        assert {*FINDINGS, "mean", "table alone"} == set(rows)
        page = (session.path / "results-test.md").read_text()
        assert "| Mass |" in page
        assert "Labels are exact: the images were drawn with them." in page


async def test_e_writes_the_charts_of_the_finding_at_hand(workspace, phantom_dir):
    session = scored_session(workspace, phantom_dir)
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await press(pilot, "down", "e")
        finding = app.screen.query_one(ReportTable).chosen
        await says(pilot, f"the charts of {finding} in charts/")
    names = [f"{name}-{finding}-test" for name in ("calibration", "roc", "spread")]
    files = sorted(path.name for path in (session.path / "charts").iterdir())
    assert files == [f"{name}.{kind}" for name in names for kind in ("csv", "png", "svg")]
    roc = (session.path / "charts" / f"{names[1]}.svg").read_text()
    assert f"<!-- ROC of {finding}, test -->" in roc
    assert "<!-- sensitivity -->" in roc


async def test_the_screen_and_the_command_line_say_the_same_of_the_figures(
    workspace, phantom_dir, capsys
):
    scored_session(workspace, phantom_dir)
    app = ConsoleApp(workspace)
    async with app.run_test(size=(200, 60)) as pilot:
        await opened(pilot)
        table = app.screen.query_one(ReportTable).table
        heads = [str(column.label) for column in table.ordered_columns]
        rows = [heads, *(table.get_row_at(row) for row in range(table.row_count))]
        shown = [" ".join(map(str, row[1:])) for row in rows]  # without the marks
        await shows(pilot, "has been looked at once")
        _, texts = app.screen.query_one("#words").content.columns
        said = [note.plain for note in texts.cells]
        report = app.screen._report()  # with the count of looks
    print_report(report)
    printed = " ".join(capsys.readouterr().out.split())
    said = [note for note in said if READ_THE_INTERVAL not in note]
    assert len(said) > 3
    assert not [words for words in (*shown, *said) if " ".join(words.split()) not in printed]


def test_exported_text_is_no_formula_and_breaks_no_table():
    findings = {"=cmd|' /C calc'!A0": {"auroc": 0.5, "note": "@SUM(1)\n| x"}}
    figures = figures_of(PartReport.of({"split": "test", "findings": findings}))
    cells = next(iter(list(csv.reader(export_csv(figures).decode().splitlines()))[1:]))
    assert cells[0].startswith("'=")
    assert cells[-1].startswith("'@")
    page = export_markdown(figures, "t", ["a|b\x1b[2J"]).decode()
    assert "=cmd\\|' /C calc'!A0" in page
    assert "\x1b" not in page


def test_exported_columns_stand_where_they_always_did():
    mass = {"auroc": 0.5, "auroc_by_view": {"PA": 0.5}, "auprc_natural": 0.1}
    found = {"split": "test", "findings": {"Mass": mass | {"natural_prevalence": 0.1}}}
    head = export_csv(figures_of(PartReport.of(found))).decode().splitlines()[0]
    assert head == (
        "finding,positives,auroc,interval,view.PA,auprc,auprc_interval,prevalence,"
        "auprc_natural,natural,patients,effective,table_alone,note"
    )


async def test_large_charts_and_notes_come_and_go(workspace, phantom_dir):
    scored_session(workspace, phantom_dir)
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await press(pilot, "z")
        await until(pilot, lambda: "95 % interval" not in plain(app), "the chart alone")
        await shows(pilot, "ROC of ")
        await press(pilot, "c")
        await shows(pilot, "calibration of ")
        await press(pilot, "c")
        await shows(pilot, "images by log-odds")
        await press(pilot, "v")
        await shows(pilot, "Labels are exact")
        await press(pilot, "escape")
        await shows(pilot, "95 % interval")
        assert app.current_mode == "results"
        second = app.screen.query_one(ReportTable)._names[1]
        await press(pilot, "down")
        await shows(pilot, f"{second} at ")
        await press(pilot, "escape")
        await until(pilot, lambda: app.current_mode == "sessions", "the sessions")


async def test_nothing_is_made_large_before_there_are_figures(workspace, phantom_dir):
    scored_session(workspace, phantom_dir, "without", test_is_there=False)
    scored_session(workspace, phantom_dir)
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        app.open_session("without", "results")
        await shows(pilot, "without · test")
        await press(pilot, "v", "z", "v")
        await opened(pilot)
        await shows(pilot, "95 % interval")


async def test_both_parts_are_read_though_one_is_left_at_once(workspace, phantom_dir):
    scored_session(workspace, phantom_dir)
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        screen = app.screen
        screen._known.follow(None)  # as when the session is opened: nothing is read yet
        for by in (1, 1, 1, 1):
            screen.action_part(by)
            screen._known.scores(screen._reading.part)
        for part in ("val", "test"):
            screen.action_part(0 if screen._reading.part == part else 1)
            await until(
                pilot, lambda part=part: not isinstance(screen._known.scores(part), str), part
            )


async def test_a_wide_terminal_shows_all_charts_and_the_notes_beside_the_table(
    workspace, phantom_dir
):
    scored_session(workspace, phantom_dir)
    app = ConsoleApp(workspace)
    async with app.run_test(size=(200, 60)) as pilot:
        await opened(pilot)
        words = (
            "95 % interval",
            "sensitivity vs",
            "calibration",
            "log-odds",
            "table alone: AUROC from",
        )
        for part in words:
            await shows(pilot, part)
        lines = plain(app).splitlines()
        assert any("Mass" in line and "│" in line for line in lines), "charts beside the table"


async def test_with_nothing_shown_the_next_step_is_named(workspace):
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "5")
        await shows(pilot, "No session is shown.")


async def test_before_the_end_it_says_what_is_missing_and_shows_val_meanwhile(
    workspace, phantom_dir
):
    scored_session(workspace, phantom_dir, "cut", test_is_there=False)
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        app.open_session("cut", "results")
        await shows(pilot, "the test part is scored once")
        screen = plain(app)
        assert "was interrupted" in screen
        assert "cxr-tui --resume cut" in screen
        await press(pilot, "full_stop")
        await shows(pilot, "cut · val: ")
        await shows(pilot, "sensitivity ")


async def test_a_run_whose_test_part_is_being_scored_says_how_far_it_is(workspace, phantom_dir):
    session = create_session(workspace.sessions, recipe_for(phantom_dir), "live")
    app = ConsoleApp(workspace)
    with session.writing() as writer:
        writer.append(STARTED)
        writer.append(TestStarted(epoch=1, images=90))
        writer.append(ValidationProgress(part="test", done=40, total=90))
        async with app.run_test(size=(80, 24)) as pilot:
            app.open_session("live", "results")
            await shows(pilot, "The test part is being scored: 40 of 90 images.")


async def test_a_failed_run_says_why_it_has_no_figures(workspace, phantom_dir):
    session = create_session(workspace.sessions, recipe_for(phantom_dir), "bad")
    with session.writing() as writer:
        writer.append(STARTED)
        writer.append(Failed(message="loss not finite \x1b[31m", exit_code=4))
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        app.open_session("bad", "results")
        await shows(pilot, "The run failed at epoch 0 of 5: loss not finite ␛[31m")


async def test_damaged_predictions_leave_the_figures_and_say_why_there_is_no_curve(
    workspace, phantom_dir
):
    session = scored_session(workspace, phantom_dir)
    (session.predictions / "test.csv").write_bytes(b"Image Index\n\xff\x00")
    app = ConsoleApp(workspace)
    async with app.run_test(size=(120, 40)) as pilot:
        app.open_session("scored", "results")
        await shows(pilot, "no curve: ")
        await shows(pilot, "95 % interval")
        await press(pilot, "enter")
        assert not isinstance(app.screen, MostWrong)
        await press(pilot, "e")
        await says(pilot, "without charts: ")


async def test_scores_that_were_cut_to_integers_are_an_alarm_beside_their_row(
    workspace, phantom_dir
):
    session = scored_session(workspace, phantom_dir)
    report = session_report(session)
    report["findings"]["Mass"]["note"] = "every score is 0, so this AUROC of 0.5 says nothing"
    with session.writing() as writer:
        writer.append(Evaluated(report=report))
    app = ConsoleApp(workspace)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        await shows(pilot, "▲Mass")
        assert "▲ Mass: every score is 0" in plain(app)


def session_report(session):
    return next(dict(e.report) for e in session.events() if isinstance(e, Evaluated))


async def test_ascii_only_draws_no_braille_and_no_triangles(workspace, phantom_dir):
    scored_session(workspace, phantom_dir)
    app = ConsoleApp(workspace, ascii_only=True)
    async with app.run_test(size=(200, 60)) as pilot:
        await opened(pilot)
        assert not re.search("[\u2800-\u28ff▲●]", plain(app))


def test_at_80_columns_the_views_and_the_published_figures_fit():
    names = ("Atelectasis", "Pleural_Thickening")
    report = {
        "split": "test",
        "split_kind": "official",
        "images": 25_596,
        "findings": {n: {"auroc_by_view": {"PA": 0.8, "AP": 0.7}, "auroc": 0.8} for n in names},
    }
    figures = figures_of(PartReport.of(report), "swinchex2022_official")
    kept = figures.fitting(79 - 2, 1)
    assert {"PA", "AP", "Swinch22", "Δ"} <= {column.head for column in kept}
    assert sum(figures.width(column) + 1 for column in kept) <= 79 - 2


async def test_figures_of_another_data_set_stand_beside_test_and_val(workspace, phantom_dir):
    session = scored_session(workspace, phantom_dir)
    report = session_report(session)
    report["split"] = "all"
    for figures in report["findings"].values():
        compared = {"internal": 0.9, "difference": -0.125, "difference_ci": [-0.2, -0.05]}
        figures |= compared | {
            "because": {"case_mix": -0.025, "rest": -0.1},
            "because_ci": {"case_mix": [-0.05, 0.01], "rest": None},
            "log_loss": 0.5,
            "internal_log_loss": 0.25,
            "log_loss_difference": 0.25,
            "log_loss_difference_ci": [0.125, 0.375],
            "because_log_loss": {"case_mix": 0.0, "prevalence": 0.0625, "rest": 0.1875},
            "because_log_loss_ci": {"prevalence": [-0.031, 0.156]},
        }
    place = session.path / "external/other"
    place.mkdir(parents=True)
    (place / "report.json").write_text(json.dumps(report))
    shutil.copy(session.predictions / "test.csv", place / "predictions.csv")
    app = ConsoleApp(workspace)
    async with app.run_test(size=(140, 48)) as pilot:
        await opened(pilot)
        await press(pilot, "comma")
        await shows(pilot, "scored · external/other · all: ")
        await shows(pilot, "internal 0.900: −0.125 (−0.200 to −0.050)")
        await press(pilot, "v")  # the notes alone
        await shows(pilot, "log loss 0.500, internal 0.250: +0.250 (+0.125 to +0.375)")
        shown = " ".join(plain(app).split())
        assert "of it case mix −0.025 (−0.050 to +0.010), the rest −0.100" in shown
        assert "prevalence +0.062 (−0.031 to +0.156), the rest +0.188" in shown
        await press(pilot, "escape")
        scores = app.screen._known.scores
        await until(pilot, lambda: not isinstance(scores("external/other"), str), "its scores")
        await press(pilot, "enter")
        await shows(pilot, "· external/other · images by error")
        await press(pilot, "escape", "e")
        await says(pilot, "results-external-other.csv")
        await press(pilot, "full_stop")
        await shows(pilot, "scored · test: ")


@pytest.mark.parametrize("size", [(80, 24), (120, 50)])
async def test_one_key_shows_what_a_score_is_worth_at_ones_own_prevalence(
    workspace, phantom_dir, size
):
    scored_session(workspace, phantom_dir)
    app = ConsoleApp(workspace)
    async with app.run_test(size=size) as pilot:
        await opened(pilot)
        report = app.screen._report()
        finding = app.screen.query_one(ReportTable).chosen
        await press(pilot, "D")
        await shows(pilot, f"{finding}, test: what a score is worth")
        await shows(pilot, "observed/expected")
        await shows(pilot, "act from  net benefit")
        await press(pilot, *"0.02")
        await shows(pilot, "2.0 %")
        point = report.findings[finding].operating_point
        true, false = 0.02 * point.sensitivity, 0.98 * (1 - point.specificity)
        await shows(pilot, f"{true / (true + false):.3f}")
        await shows(pilot, f"{1000 * (true + false):.0f}")
        await press(pilot, *"9x")
        await shows(pilot, "lies between 0 and 1")
        await press(pilot, "escape")
        await shows(pilot, "sensitivity 0.")
