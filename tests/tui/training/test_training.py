"""Training: every state of a run, its curves, its table, its exports, by keys."""

import csv
import errno
import os
import re
import socket
import stat
from xml.etree import ElementTree

import pytest
from console import plain, press, shows, until
from PIL import Image
from told_sessions import a_session, begun, dataset, model, on_training, step, trained

from core import events
from core.event_lines import event_line
from core.nvidia_smi import visible_gpus
from core.recipe_toml import load_recipe
from core.store.sessions import create_session
from cxr_tui.batch.narration import Narrator
from cxr_tui.runs.device_use import CpuTime, cpu_time, words_of_gpu
from cxr_tui.runs.run_view import RunView
from cxr_tui.training.auroc_table import AurocTable
from cxr_tui.widgets.chart_picture import chart_csv, chart_files
from cxr_tui.widgets.line_chart import Chart, Line, LineChart


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ([events.Failed(message="loss not finite", exit_code=4)], ["✗ failed", "loss not finite"]),
        (
            [events.Failed(message="x", exit_code=4)],
            ["Details are in the log:", "Once the cause is fixed: r"],
        ),
        (
            [
                events.CheckpointWritten(name="last", step=12, epoch=2, reason="stopped"),
                events.Stopped(step=12, reason="asked to stop"),
            ],
            ["■ stopped", "r continues from step 12", "cxr-tui --resume one"],
        ),
        ([], ["○ interrupted", "ended without a message", "r continues"]),
        ([events.Finished(epochs=1, best_epoch=1, seconds=3.0)], ["5 shows its results"]),
    ],
)
async def test_what_needs_attention_comes_with_what_to_do(workspace, told, words):
    a_session(workspace, *trained(1), *told)
    async with on_training(workspace) as pilot:
        for word in words:
            await shows(pilot, word)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (
            [
                events.IngestProgress(
                    done=45, total=100, images_per_second=80, seconds_left=240, quarantined=2
                )
            ],
            ["ingest ━", "45 %", "80 images/s", "4 min left of it", "2 quarantined"],
        ),
        (
            [events.DatasetProgress(stage="looking for images", done=3, total=None)],
            ["looking for images …"],
        ),
        ([model()], ["the first step takes a moment"]),
        (
            [*trained(1)[3:], events.ValidationProgress(part="val", done=5, total=20)],
            ["validating ━", "25 %"],
        ),
        ([events.TestStarted(epoch=1, images=40)], ["scoring the test part"]),
        ([model(), events.Paused(step=3, reason="asked to pause")], ["‖ paused", "P continues"]),
        (
            [events.Paused(step=3, reason=f"{os.strerror(errno.ENOSPC)}: /data/x")],
            ["‖ paused", "No space left", "Free disk space", "deletes a"],
        ),
    ],
)
async def test_each_stage_of_a_run_is_named_while_another_process_writes(workspace, told, words):
    session = create_session(workspace.sessions, load_recipe("demo"), "one")
    with session.writing() as writer:
        for event in [begun(), *told]:
            writer.append(event)
        async with on_training(workspace) as pilot:
            for word in words:
                await shows(pilot, word)
            await shows(pilot, f"written by {socket.gethostname()}:{os.getpid()}"[:20])


async def test_the_log_and_batch_output_tell_a_run_in_the_same_words(workspace, capsys):
    told = [
        *trained(2),
        events.IngestDone(images=3, seconds=9.0, quarantined={"b.png": "truncated"}),
        events.StepSkipped(step=9, epoch=2, what="loss"),
        events.LearningRateCut(epoch=2, before=0.1, after=0.01),
        events.CheckpointWritten(name="last", step=12, epoch=2, reason="stopped"),
        events.Stopped(step=12, reason="asked to stop"),
    ]
    narrator = Narrator()
    narrator.starts("one", 5)
    for event in told:
        narrator(event)
    lines = [line.split(maxsplit=1) for line in capsys.readouterr().err.splitlines()[1:]]
    a_session(workspace, *told)
    async with on_training(workspace) as pilot:
        await shows(pilot, "■ stopped")
        log = pilot.app.screen.query_one("#log").content.plain
    of_batch = [" ".join(line) for line in lines if line[0] not in ("Mass", "Hernia")]
    assert len(of_batch) > 10
    assert not [line for line in of_batch if line not in log]


async def test_the_device_is_shown_while_the_run_is_on(workspace):
    session = create_session(workspace.sessions, load_recipe("demo"), "one")
    with session.writing() as writer:
        for event in trained(1):
            writer.append(event)
        async with on_training(workspace) as pilot:
            await shows(pilot, "│ cpu")
            await shows(pilot, " GiB")


async def test_a_session_deleted_while_it_is_shown_is_told(workspace):
    import shutil

    session = a_session(workspace, *trained(1))
    async with on_training(workspace, (200, 60)) as pilot:
        await shows(pilot, "interrupted")
        shutil.rmtree(session.path)
        await press(pilot, "1", "4")
        await shows(pilot, "Its directory is gone")
        await press(pilot, "e")
        await shows(pilot, "can't be written")


async def test_the_export_is_a_picture_and_every_number(workspace):
    session = a_session(workspace, *trained(2))
    async with on_training(workspace) as pilot:
        await shows(pilot, "base rate 0.602")
        await press(pilot, "l", "e")
        await shows(pilot, "written:", 20)
    with Image.open(session.path / "charts" / "loss.png") as picture:
        assert picture.size == (1200, 700)
        assert len(picture.getcolors(1 << 16)) > 4
    rows = list(csv.DictReader((session.path / "charts" / "loss.csv").open()))
    train = [row for row in rows if row["line"] == "train"]
    assert [float(row["value"]) for row in train[:2]] == pytest.approx([1 / 11, 1 / 12])
    assert {row["line"] for row in rows} == {"train", "val", "base rate 0.602"}


async def test_an_exported_chart_is_an_svg_too_and_says_how_it_is_smoothed(workspace):
    session = a_session(workspace, *trained(2))
    async with on_training(workspace) as pilot:
        await shows(pilot, "base rate 0.602")
        await press(pilot, "M", "e")
        await shows(pilot, "written:", 20)
    picture = (session.path / "charts" / "loss.svg").read_text()
    assert ElementTree.fromstring(picture).tag.endswith("svg")
    for words in ("loss, train as the mean of 15 records", "base rate 0.602", "epoch"):
        assert f"<!-- {words} -->" in picture
    rows = list(csv.DictReader((session.path / "charts" / "loss.csv").open()))
    train = [float(row["value"]) for row in rows if row["line"] == "train"]
    assert train[:2] == pytest.approx([1 / 11, (1 / 11 + 1 / 12) / 2])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_where_the_session_is_not_ours_to_write_the_export_says_so(workspace):
    session = a_session(workspace, *trained(1))
    session.path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        async with on_training(workspace) as pilot:
            await shows(pilot, "base rate")
            await press(pilot, "e")
            await shows(pilot, "Permission denied")
    finally:
        session.path.chmod(stat.S_IRWXU)


def test_an_exported_label_is_no_formula_and_a_gap_is_empty():
    chart = Chart((Line("=1+1", (1.0, 2.0), (float("nan"), 0.5), "blue"),))
    assert chart_csv(chart).decode().splitlines() == [
        "line,epoch,value",
        "'=1+1,1.0,",
        "'=1+1,2.0,0.5",
    ]


def test_a_chart_without_a_point_has_no_picture():
    assert not chart_files(Chart((Line("a", (), (), "blue"),)), "t", "c")


def test_dollars_in_a_session_name_are_no_formula_in_its_pictures():
    chart = Chart((Line("a", (1.0, 2.0), (0.2, 0.5), "blue"),))
    assert b"<!-- $x^ -->" in chart_files(chart, "a", "$x^")[".svg"]


async def test_o_sorts_by_each_column_and_the_head_says_which(workspace):
    a_session(workspace, *trained(2))
    async with on_training(workspace) as pilot:
        await shows(pilot, "Hernia")

        def first():
            text = plain(pilot.app)
            return "Mass" if text.index(" Mass ") < text.index(" Hernia ") else "Hernia"

        assert first() == "Mass"
        for column, leads in (
            ("finding▾", "Hernia"),
            ("positives▾", "Hernia"),
            ("last▾", "Mass"),
            ("best▾", "Mass"),
            ("trend▾", "Mass"),
        ):
            await press(pilot, "O")
            await shows(pilot, column)
            assert first() == leads, column


@pytest.mark.parametrize("size", [(80, 24), (60, 16)])
async def test_a_failed_run_points_to_its_cause_and_cuts_no_command(workspace, size):
    message = "scores of Mass, Hernia are not finite: every weight is. " * 6
    ill = events.Diagnosed(
        check="x", severity="stop", text="The learning rate is too high", evidence={}, remedy="!"
    )
    a_session(workspace, *trained(1), ill, events.Failed(message=message, exit_code=4))
    async with on_training(workspace, size) as pilot:
        await shows(pilot, "h shows the likely cause")
        await shows(pilot, "No checkpoint was saved. u opens")
        if size[0] == 80:
            await shows(pilot, "r starts it again.")
    kept = events.CheckpointWritten(name="last", step=12, epoch=2, reason="by the clock")
    a_session(workspace, *trained(1), kept, events.Failed(message=message, exit_code=4), name="two")
    async with on_training(workspace, (80, 24), name="two") as pilot:
        await shows(pilot, "r continues from step 12, or:")
        await shows(pilot, "cxr-tui --resume two")
        assert "likely cause" not in plain(pilot.app)


async def test_the_head_gives_up_what_matters_least_and_ends_in_no_half_part(workspace):
    name = "20261129-134421-densenet-on-everything"
    session = create_session(workspace.sessions, load_recipe("demo"), name)
    with session.writing() as writer:
        for event in [begun(), *trained(2)[1:], step(21, 2000.0)]:
            writer.append(event)
        async with on_training(workspace, (80, 24), name=name) as pilot:
            await shows(pilot, "running · epoch 3 of")
            await shows(pilot, "written by")
            _, head, *_ = plain(pilot.app).splitlines()
            assert len(head) < 80
            assert "images/s" not in head
            assert "…-everything"[-8:] in head
            assert head.endswith(str(os.getpid()))


async def test_home_and_end_go_to_the_first_and_the_last_row(workspace):
    a_session(workspace, *trained(2))
    async with on_training(workspace) as pilot:
        await shows(pilot, "Hernia")
        table = pilot.app.screen.query_one(AurocTable)
        table.focus()
        await press(pilot, "end")
        assert table.cursor_row == table.row_count - 1 > 0
        await press(pilot, "home")
        assert table.cursor_row == 0


async def test_wide_terminals_show_two_curves_and_narrow_ones_the_chosen(workspace):
    a_session(workspace, *trained(2))
    async with on_training(workspace, (200, 60)) as pilot:
        await shows(pilot, "base rate 0.602")
        assert "chance 0.5" in plain(pilot.app)
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: "chance 0.5" not in plain(pilot.app), "one curve")
        await press(pilot, "full_stop")
        await shows(pilot, "chance 0.5")
        for key in "zv":  # the chart alone, or messages in place of the table
            await press(pilot, key)
            await until(pilot, lambda: "positives" not in plain(pilot.app), "no table")
            await press(pilot, "escape")
            await shows(pilot, "positives")


async def test_a_chart_is_drawn_again_only_when_something_changed(workspace):
    a_session(workspace, *trained(2))
    async with on_training(workspace) as pilot:
        await shows(pilot, "base rate")
        await shows(pilot, "interrupted")
        await shows(pilot, "ended without a message")
        chart = pilot.app.screen.query(LineChart).first()
        before = None
        while before is not chart._text:  # what is said above it takes some of its lines
            before = chart._text
            await pilot.pause(0.3)
        pilot.app.screen.refresh_view()
        await pilot.pause(0)
        assert chart._text is before


async def test_a_long_session_is_shown_from_its_thinned_events(workspace):
    session = create_session(workspace.sessions, load_recipe("demo"), "one")
    lines = [event_line(event) for event in [begun(), dataset(), model()]]
    lines += [event_line(step(number, 1010.0 + number)) for number in range(1, 20_001)]
    session.events_path.write_text("\n".join(lines) + "\n")
    async with on_training(workspace) as pilot:
        await shows(pilot, "base rate 0.602")
        await until(pilot, lambda: pilot.app.workspace.shown.view.step == 20_000, "the last step")
        assert pilot.app.workspace.shown.source.past.share_read is None


def test_going_on_with_a_long_session_reads_it_off_the_screen_and_thinned(workspace, tmp_path):
    recipe = load_recipe("demo", ["dataset.phantom=none", f"dataset.images={tmp_path / 'gone'}"])
    session = create_session(workspace.sessions, recipe, "one")
    lines = [event_line(event) for event in [begun(), dataset(), model()]]
    lines += [event_line(step(number, 1010.0 + number)) for number in range(1, 100_001)]
    lines.append(event_line(events.Stopped(time=200_000.0, reason="by a signal", step=100_000)))
    session.events_path.write_text("\n".join(lines) + "\n")
    opened = workspace.resume("one")
    assert (opened.view.version, opened.view.state) == (0, "running")  # none of it read here
    while opened.is_ours:
        opened.take_events()
        assert opened.view.state in ("running", "failed")  # not as the run before was left
    opened.take_events()
    assert opened.view.state == "failed"  # the run itself: its images are gone
    assert opened.view.step > 99_900
    assert opened.view.version < 40_000


def view_after(told):
    view = RunView(epochs=4)
    for event in told:
        view.apply(event)
    return view


def test_the_time_left_counts_validations_and_the_test_part():
    view = view_after(trained(2))
    # 20 steps of a second, two validations of 4 s on 20 images, 40 test images.
    assert view.seconds_left() == pytest.approx(20 * 1.0 + 2 * 4.0 + 8.0)
    assert not view.left_is_rough


def test_before_a_validation_was_seen_the_time_left_is_marked_as_rough():
    view = view_after(trained(1)[:-1])
    assert view.left_is_rough
    # An image takes 10/80 s to train on, a third of that to score.
    a_val = 20 * (10 / 80) / 3
    assert view.seconds_left() == pytest.approx(30 + 4 * a_val + 2 * a_val)


def test_half_a_validation_tells_how_long_a_whole_one_takes():
    told = [*trained(1)[:-1], events.ValidationProgress(time=1022.0, part="val", done=10, total=20)]
    view = view_after(told)
    assert view.seconds_left() == pytest.approx(30 + 2.0 + 3 * 4.0 + 8.0)
    assert not view.left_is_rough


def test_a_pause_is_no_part_of_the_pace():
    told = trained(2)
    told += [
        events.EpochStarted(time=2000.0, epoch=3, steps=10),
        step(21, 2001.0),
        events.Paused(time=2001.0, step=21, reason="asked to pause"),
        events.Continued(time=9001.0, step=21),
        step(22, 9002.0),
    ]
    assert view_after(told).seconds_left() == pytest.approx(18 * 1.0 + 2 * 4.0 + 8.0)


def test_scoring_the_test_part_leaves_what_is_left_of_it():
    told = [*trained(4), events.TestStarted(time=3000.0, epoch=4, images=40)]
    assert view_after(told).seconds_left() is None
    told.append(events.ValidationProgress(time=3005.0, part="test", done=10, total=40))
    assert view_after(told).seconds_left() == pytest.approx(15.0)


def test_scoring_val_once_more_is_part_of_what_is_left():
    told = trained(4)
    told.append(events.ValidationProgress(time=told[-1].time + 5, part="val", done=10, total=20))
    assert view_after(told).seconds_left() == pytest.approx(5.0 + 8.0)


def test_time_between_two_starts_is_not_counted_as_passed():
    told = trained(1)
    spent = told[-1].time - told[0].time
    told += [events.RunStarted(time=90_000.0, name="x", host="h", pid=1)]
    told += [events.Resumed(time=90_007.0, step=10, epoch=2, position=0, checkpoint="last")]
    assert view_after(told).clock.passed == pytest.approx(spent + 7.0)


def test_cores_are_the_processor_time_between_two_looks():
    before = CpuTime(7, 100.0, 50.0, 2**30)
    now = CpuTime(7, 110.0, 69.0, int(1.4 * 2**30))
    assert now.words(before) == "cpu 1.9 cores, 1.4 GiB"
    assert now.words(None) == "cpu, 1.4 GiB"
    ours = cpu_time(os.getpid())
    assert ours is None or ours.resident_bytes > 2**20
    assert cpu_time(2**22 + 1) is None


def test_a_gpu_is_told_by_its_use_and_memory():
    answer = "0, GPU-a, NVIDIA H100 80GB HBM3, 43008, 81920, 97\n1, GPU-b, X, 1024, 2048, [N/A]\n"
    gpus = visible_gpus(answer, None)
    assert words_of_gpu("cuda:0", gpus) == "cuda:0 H100 97 %, 38 of 80 GiB"
    assert words_of_gpu("cuda:1", gpus) == "cuda:1 X, 1 of 2 GiB"
    assert words_of_gpu("cuda:5", gpus) == ""


@pytest.mark.parametrize("stage", ["loading the network", "training"])
async def test_time_goes_on_between_the_events_of_a_run_at_work(workspace, stage):
    told = trained(1) if stage == "training" else [begun(), events.DatasetProgress(
        time=1001.0, stage=stage, done=0, total=None
    )]  # fmt: skip
    session = a_session(workspace, *told)
    with session.writing():
        async with on_training(workspace) as pilot:
            await shows(pilot, " passed")
            seen = set()

            def has_moved_twice():
                seen.add(re.search(r"(\d+) s passed", plain(pilot.app))[1])
                return len(seen) > 2

            await until(pilot, has_moved_twice, "the seconds", 20)
            if stage != "training":
                assert re.search(rf"{stage}, [1-9]\d* s", plain(pilot.app))
