"""Reading events: thinned, followed, and from files that are being written or are damaged."""

import math
import shutil
from dataclasses import replace

import pytest

from core.event_lines import event_line
from core.events import (
    EpochDone,
    EpochStarted,
    Finished,
    ModelReady,
    Resumed,
    RunStarted,
    StepRecorded,
)
from core.recipe import Recipe
from core.recipe_toml import load_recipe
from core.store.event_log import EventReader
from core.store.sessions import create_session
from core.store.summary import SessionWatch
from cxr_tui.runs.run_view import RunView
from cxr_tui.runs.step_series import MAX_POINTS


def step(number, epoch=1):
    return StepRecorded(
        time=float(number),
        step=number,
        epoch=epoch,
        train_loss=1.0 / number,
        learning_rate=0.1,
        gradient_norm=1.0,
        images_per_second=10.0,
    )


def epoch_done(number, at, **changes):
    fields = {
        "time": float(at),
        "epoch": number,
        "step": at,
        "train_loss": 0.5,
        "val_loss": 0.4,
        "auroc": {"Mass": 0.7},
        "mean_auroc": 0.7,
        "selected_on": ("Mass",),
        "is_best": True,
        "learning_rate": 0.1,
        "seconds": 1.0,
    } | changes
    return EpochDone(**fields)


def on_device(name):
    return ModelReady(
        device="cpu",
        device_name=name,
        precision="fp32",
        weights="none",
        matched_tensors=0,
        total_tensors=0,
        steps_per_epoch=10,
        base_rate_loss=0.5,
    )


def write(path, events):
    with path.open("a") as stream:
        stream.writelines(event_line(event) + "\n" for event in events)


def viewed(path):
    view = RunView()
    for chunk in EventReader(path).thinned(max_steps=1000):
        for event in chunk:
            view.apply(event)
    return view


def test_a_long_run_is_thinned_but_keeps_every_milestone_and_its_last_step(tmp_path):
    path = tmp_path / "events.jsonl"
    for epoch in range(1, 6):
        first = (epoch - 1) * 10_000
        write(path, [step(n, epoch) for n in range(first + 1, first + 10_001)])
        write(path, [epoch_done(epoch, first + 10_000)])
    write(path, [step(50_001, 6)])
    view = viewed(path)
    assert sorted(view.epochs_done) == [1, 2, 3, 4, 5]
    assert view.step == 50_001
    assert 500 < len(view.series.step) <= MAX_POINTS


def test_a_reader_takes_up_where_it_left_and_leaves_a_torn_line_for_later(tmp_path):
    path = tmp_path / "events.jsonl"
    reader = EventReader(path)
    assert reader.new_events() == []
    write(path, [step(1)])
    assert reader.new_events() == [step(1)]
    line = event_line(step(2))
    with path.open("a") as stream:
        stream.write(line[:40])
    assert reader.new_events() == []
    with path.open("a") as stream:
        stream.write(line[40:] + "\n")
    assert reader.new_events() == [step(2)]


def test_damaged_lines_are_passed_over(tmp_path):
    path = tmp_path / "events.jsonl"
    write(path, [step(1)])
    with path.open("ab") as stream:
        stream.write(b"\xff\xfe garbage\n{}\n\n")
    write(path, [step(2)])
    assert [event.step for event in EventReader(path).new_events()] == [1, 2]


def test_steps_after_a_resumed_checkpoint_never_were():
    view = RunView(epochs=3)
    events = [
        *(step(n) for n in range(1, 11)),
        epoch_done(1, 10),
        *(step(n, 2) for n in range(11, 16)),
        Resumed(step=10, epoch=2, position=0, checkpoint="last"),
        *(step(n, 2) for n in range(11, 13)),
    ]
    for event in events:
        view.apply(event)
    assert view.series.step == list(range(1, 13))
    assert view.step == 12
    view.apply(Resumed(step=5, epoch=1, position=5, checkpoint="last"))
    assert not view.epochs_done


def test_points_are_bounded_and_keep_their_order():
    view = RunView()
    for number in range(1, 3 * MAX_POINTS):
        view.apply(step(number))
    assert len(view.series.step) < MAX_POINTS
    assert view.series.step == sorted(view.series.step)
    assert len(view.series.step) == len(view.series.train_loss) == len(view.series.learning_rate)


def test_time_left_is_unknown_until_there_is_a_pace():
    view = RunView(epochs=2)
    view.apply(RunStarted(time=0.0, name="x", host="h", pid=1))
    assert view.seconds_left() is None
    view.apply(on_device("cpu"))
    view.apply(EpochStarted(time=100.0, epoch=1, steps=10))
    assert view.seconds_left() is None
    for number in range(1, 6):
        view.apply(
            StepRecorded(
                time=100.0 + number,
                step=number,
                epoch=1,
                train_loss=1.0,
                learning_rate=0.1,
                gradient_norm=None,
                images_per_second=1.0,
            )
        )
    assert view.seconds_left() == pytest.approx(15.0)
    assert view.share_done() == 0.25


def test_a_watch_reads_only_what_is_new(tmp_path):
    session = create_session(tmp_path, Recipe(), "x")
    watch = SessionWatch(session)
    assert watch.summary().epoch == 0
    with session.writing() as writer:
        writer.append(RunStarted(name="x", host="h", pid=1))
        writer.append(epoch_done(1, 10))
        assert watch.summary().epoch == 1
        writer.append(epoch_done(2, 20, mean_auroc=0.9))
        writer.append(Resumed(step=10, epoch=2, position=0, checkpoint="last"))
        assert watch.summary().best_val_auroc == 0.7
        writer.append(Finished(epochs=2, best_epoch=1, seconds=1.0))
    assert watch.summary().state == "finished"


def test_a_watch_knows_what_was_trained_and_how_fast_the_last_step_was(tmp_path):
    session = create_session(tmp_path, load_recipe("nih-mass", ["image.size_px=320"]), "x")
    watch = SessionWatch(session)
    summary = watch.summary()
    assert (summary.findings, summary.size_px) == (("Mass",), 320)
    assert (summary.images_per_second, summary.device) == (None, "")
    with session.writing() as writer:
        writer.append(on_device("NVIDIA H200 (cuda:0)"))
        for number, rate in ((1, 5.0), (2, 2913.0)):
            writer.append(replace(step(number), images_per_second=rate))
        assert watch.summary().images_per_second == 2913.0
        assert watch.summary().device == "NVIDIA H200 (cuda:0)"
        writer.append(replace(step(3), images_per_second=math.nan))
        assert watch.summary().images_per_second is None
        writer.append(epoch_done(1, 10))
    assert watch.summary().epoch == 1
    session.change_recipe(load_recipe("nih-mass", ["train.epochs=77"]))
    assert watch.summary().epochs == 77
    details = watch.details()
    assert details.recipe.image.size_px == 224
    assert [one.epoch for one in details.epochs] == [1]
    assert details.base_rate_loss == 0.5


def test_a_session_that_is_gone_since_it_was_listed_ends_no_look_at_it(tmp_path):
    session = create_session(tmp_path, Recipe(), "x")
    watch = SessionWatch(session)
    shutil.rmtree(session.path)
    assert watch.summary().epochs == 0
