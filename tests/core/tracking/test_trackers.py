"""What TensorBoard's and MLflow's own readers find of a run."""

from __future__ import annotations

import io
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from small_runs import NAME, events_of, made_session, scores_of
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from core.event_lines import event_line
from core.events import Resumed, StepRecorded
from core.recipe_toml import changed_recipe
from core.requests import Request
from core.run import Machine, run
from core.store.session import Session
from core.tracking.export import export_session
from core.tracking.telling import Telling
from core.tracking.tensorboard_files import TensorBoardFiles

pytestmark = pytest.mark.slow
BOTH = '["tensorboard","mlflow"]'


def made(folder, phantom_dir, *, epochs=2, **changes) -> Session:
    keys = {
        "train.few_images_first": "never",
        "subset.max_images": 40,
        "dataset.findings": '["Cardiomegaly","Effusion"]',
    }
    return made_session(folder, phantom_dir, epochs=epochs, **(keys | changes))


def trained(session, cache_dir, *, ask=lambda: Request.CONTINUE, changed=None) -> Session:
    run(session, lambda _: None, ask, Machine("cpu", cache_dir), changed)
    return session


def tensorboard_of(folder: Path) -> EventAccumulator:
    found = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0, "images": 0})
    found.Reload()
    return found


def curve(found: EventAccumulator, name: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in found.Scalars(name)]


def mlflow_runs(folder: Path):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("cxr-tui")
    return client, client.search_runs([experiment.experiment_id])


@pytest.fixture(scope="module")
def tracked(tmp_path_factory, phantom_dir, cache_dir) -> Session:
    folder = tmp_path_factory.mktemp("tracked")
    return trained(made(folder, phantom_dir, **{"train.trackers": BOTH}), cache_dir)


def test_tensorboard_reads_back_every_curve_of_the_run(tracked):
    found, events = tensorboard_of(tracked.path / "tensorboard"), events_of(tracked)
    steps = [event for event in events if event["event"] == "StepRecorded"]
    epochs = [event for event in events if event["event"] == "EpochDone"]
    assert len(epochs) == 2
    for name, key in (
        ("loss/train", "train_loss"),
        ("learning_rate", "learning_rate"),
        ("images_per_second", "images_per_second"),
    ):
        assert curve(found, name) == [(one["step"], pytest.approx(one[key])) for one in steps]
    for name, values in (
        ("loss/val", [one["val_loss"] for one in epochs]),
        ("auroc/mean", [one["mean_auroc"] for one in epochs]),
        ("auroc/Effusion", [one["auroc"]["Effusion"] for one in epochs]),
    ):
        expected = [(one["step"], value) for one, value in zip(epochs, values, strict=True)]
        assert curve(found, name) == [(step, pytest.approx(value)) for step, value in expected]
    assert found.Scalars("loss/val")[0].wall_time == pytest.approx(epochs[0]["time"])


def test_tensorboard_has_the_recipe_and_the_test_figures(tracked):
    found = tensorboard_of(tracked.path / "tensorboard")
    (table,) = found.Tensors("test/figures")
    report = tracked.read_json("evaluation/test.json")
    text = table.tensor_proto.string_val[0].decode()
    effusion = report["findings"]["Effusion"]
    assert f"| Effusion | {effusion['positives']} | {effusion['auroc']:.3f} |" in text
    (recipe,) = found.Tensors("recipe")
    assert "| image.size_px | 32 |" in recipe.tensor_proto.string_val[0].decode()
    assert "_hparams_/session_start_info" in found.Tags()["tensors"]


def test_mlflow_reads_back_curves_parameters_and_figures(tracked):
    client, runs = mlflow_runs(tracked.path.parent)
    (found,) = runs
    assert (found.info.run_name, found.info.status) == (NAME, "FINISHED")
    assert found.data.params["image.size_px"] == "32"
    events = events_of(tracked)
    for name, kind, key in (
        ("loss/train", "StepRecorded", "train_loss"),
        ("loss/val", "EpochDone", "val_loss"),
        ("auroc/mean", "EpochDone", "mean_auroc"),
    ):
        expected = [(one["step"], one[key]) for one in events if one["event"] == kind]
        told = client.get_metric_history(found.info.run_id, name)
        assert sorted((point.step, point.value) for point in told) == expected
    report = tracked.read_json("evaluation/test.json")
    assert found.data.metrics["test/auroc/mean"] == report["mean_auroc"]
    assert [one.path for one in client.list_artifacts(found.info.run_id)] == ["test-figures.md"]


def test_the_figures_are_the_same_without_trackers(tracked, tmp_path, phantom_dir, cache_dir):
    alone = trained(made(tmp_path, phantom_dir), cache_dir)
    assert scores_of(alone) == scores_of(tracked)
    assert not (alone.path / "tensorboard").exists()
    assert not (alone.path.parent / "mlflow.db").exists()


def test_a_closed_folder_costs_a_warning_and_nothing_else(
    tracked, tmp_path, phantom_dir, cache_dir
):
    session = made(tmp_path, phantom_dir, **{"train.trackers": '["tensorboard"]'})
    (session.path / "tensorboard").touch()  # a file where a folder should be
    trained(session, cache_dir)
    warnings = [
        one["message"] for one in events_of(session) if one.get("where") == "train.trackers"
    ]
    assert len(warnings) == 1
    assert warnings[0].startswith("tensorboard shows this run no longer (")
    assert "cxr-tui sessions --export tensorboard" in warnings[0]
    assert events_of(session)[-1]["event"] == "Finished"
    assert scores_of(session) == scores_of(tracked)


def test_a_server_that_is_not_there_costs_a_warning_and_nothing_else(
    tracked, tmp_path, phantom_dir, cache_dir, monkeypatch
):
    with socket.socket() as taken:  # bound and not listening: every connection is refused
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        session = made(tmp_path, phantom_dir, **{"train.trackers": '["mlflow"]'})
        trained(session, cache_dir)
    (warning,) = [one for one in events_of(session) if one.get("where") == "train.trackers"]
    assert warning["message"].startswith("mlflow shows this run no longer (")
    assert events_of(session)[-1]["event"] == "Finished"
    assert scores_of(session) == scores_of(tracked)


def test_a_resumed_run_continues_the_same_curves(tmp_path, phantom_dir, cache_dir):
    asked = iter([Request.CONTINUE] * 4)
    stopped = made(tmp_path, phantom_dir, **{"train.trackers": BOTH})
    trained(stopped, cache_dir, ask=lambda: next(asked, Request.STOP))
    assert events_of(stopped)[-1]["event"] == "Stopped"
    trained(stopped, cache_dir)
    steps = {one["step"]: one for one in events_of(stopped) if one["event"] == "StepRecorded"}
    found = tensorboard_of(stopped.path / "tensorboard")
    assert curve(found, "loss/train") == [
        (step, pytest.approx(one["train_loss"])) for step, one in sorted(steps.items())
    ]
    assert len(list((stopped.path / "tensorboard").iterdir())) == 2
    client, (told,) = mlflow_runs(stopped.path.parent)
    points = client.get_metric_history(told.info.run_id, "loss/train")
    assert {point.step for point in points} == set(steps)
    assert told.info.status == "FINISHED"


def test_trackers_that_begin_late_are_told_all(tracked, tmp_path, cache_dir):
    """A finished run without trackers, which trains one epoch more with them."""
    folder = shutil.copytree(tracked.path, tmp_path / "sessions" / NAME)
    shutil.rmtree(folder / "tensorboard")
    (folder / "tracking.json").unlink()
    session = Session(folder)
    more = changed_recipe(session.recipe, ["train.epochs=3", 'train.trackers=["tensorboard"]'])
    trained(session, cache_dir, changed=more)
    epochs = [one for one in events_of(session) if one["event"] == "EpochDone"]
    found = tensorboard_of(folder / "tensorboard")
    assert curve(found, "loss/val") == [
        (one["step"], pytest.approx(one["val_loss"])) for one in epochs
    ]
    assert len(epochs) == 3


def test_an_export_of_a_past_session_is_what_its_run_would_have_written(tracked, tmp_path):
    exported = tmp_path / "exported"
    assert export_session(tracked, "tensorboard", exported) == str(exported / NAME)
    live = tensorboard_of(tracked.path / "tensorboard")
    past = tensorboard_of(exported / NAME)
    assert past.Tags() == live.Tags()
    for name in live.Tags()["scalars"]:
        assert past.Scalars(name) == live.Scalars(name)
    assert export_session(tracked, "mlflow", exported) is not None
    (_, (live_run,)), (_, (past_run,)) = mlflow_runs(tracked.path.parent), mlflow_runs(exported)
    assert past_run.data.metrics == live_run.data.metrics
    assert past_run.data.params == live_run.data.params
    assert past_run.info.status == "FINISHED"


def test_an_export_overwrites_nothing(tracked, tmp_path):
    for tracker in ("tensorboard", "mlflow"):
        assert export_session(tracked, tracker, tmp_path) is not None
        before = {path: path.read_bytes() for path in tmp_path.rglob("events.out*")}
        assert export_session(tracked, tracker, tmp_path) is None
        assert {path: path.read_bytes() for path in tmp_path.rglob("events.out*")} == before
    assert len(mlflow_runs(tmp_path)[1]) == 1


def test_overlays_go_with_an_export(tracked, tmp_path):
    session = Session(shutil.copytree(tracked.path, tmp_path / NAME))
    Image.new("RGB", (20, 10), "red").save(session.path / "cams" / "Effusion-001.png")
    export_session(session, "tensorboard", tmp_path / "tb")
    (overlay,) = tensorboard_of(tmp_path / "tb" / NAME).Images("overlays/Effusion-001")
    assert (overlay.width, overlay.height) == (20, 10)
    assert Image.open(io.BytesIO(overlay.encoded_image_string)).getpixel((0, 0)) == (255, 0, 0)
    export_session(session, "mlflow", tmp_path / "ml")
    client, (run_of,) = mlflow_runs(tmp_path / "ml")
    (told,) = client.list_artifacts(run_of.info.run_id, "overlays")
    assert told.path == "overlays/Effusion-001.png"


def test_steps_that_a_resume_made_void_are_in_no_export(tracked, tmp_path):
    """A run that was killed after step 3 of which only step 1 was saved, and went on from there."""
    session = Session(shutil.copytree(tracked.path, tmp_path / NAME))
    losses = [(1, 0.9), (2, 0.8), (3, 0.7), (2, 0.6)]
    events = [
        StepRecorded(
            time=1000.0 + number,
            step=step,
            epoch=1,
            train_loss=loss,
            learning_rate=0.1,
            gradient_norm=None,
            images_per_second=1.0,
        )
        for number, (step, loss) in enumerate(losses)
    ]
    back = Resumed(time=1002.5, step=1, epoch=1, position=8, checkpoint="last-000001")
    lines = [event_line(event) for event in (*events[:3], back, events[3])]
    session.events_path.write_text("".join(f"{line}\n" for line in lines))
    export_session(session, "tensorboard", tmp_path / "tb")
    found = tensorboard_of(tmp_path / "tb" / NAME)
    assert curve(found, "loss/train") == [(1, pytest.approx(0.9)), (2, pytest.approx(0.6))]
    export_session(session, "mlflow", tmp_path / "ml")
    client, (run_of,) = mlflow_runs(tmp_path / "ml")
    told = client.get_metric_history(run_of.info.run_id, "loss/train")
    assert sorted((point.step, point.value) for point in told) == [(1, 0.9), (2, 0.6)]
    assert run_of.info.status == "KILLED"


def test_a_long_run_is_told_in_thousands_of_points(tracked, tmp_path):
    """Two days at two records a second, which are 345,600."""

    class Counting(TensorBoardFiles):
        told = 0

        def scalars(self, time, step, values):
            self.told += 1

    tracker = Counting(tmp_path / "tb", tracked.recipe, NAME, is_known=False)
    telling = Telling(tracker, tmp_path)
    one = StepRecorded(
        step=1, epoch=1, train_loss=1, learning_rate=1, gradient_norm=1, images_per_second=1
    )
    for number in range(1, 691_200, 2):
        telling.take(replace(one, time=1000 + number / 4, step=number))
    assert 5000 < tracker.told < 15_000
    tracker.close()


def test_without_their_libraries_nothing_begins_and_the_extra_is_named(tmp_path, phantom_dir):
    """In a process that can't see them."""
    hidden = "import sys; sys.meta_path.insert(0, type('Hidden', (), {'find_spec': hide}))"
    script = f"""
def hide(name, path=None, target=None):
    if name.split('.')[0] in ('tensorboard', 'mlflow'):
        raise ModuleNotFoundError(name)
{hidden}
from cxr_tui.cli import main
sys.exit(main(sys.argv[1:]))
"""
    sessions = tmp_path / "sessions"
    arguments = ["--batch", "demo", "--sessions", str(sessions), "--set", f"train.trackers={BOTH}"]
    arguments += ["--set", "dataset.phantom=none", "--set", f"dataset.images={phantom_dir}"]
    told = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 2
    assert "train.trackers: tensorboard needs tensorboard, which is not installed" in told.stderr
    assert 'pip install "cxr-tui[trackers]"' in told.stderr
    assert not sessions.exists()
