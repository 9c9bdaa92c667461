"""Trackers of a run that is killed, and on a disk without room: what was told stays readable."""

import json
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import warm_start

pytest.importorskip("tensorboard")
pytest.importorskip("mlflow")

sys.path.insert(0, str(Path(__file__).parent))

from mlflow import MlflowClient
from small_disk import can_mount
from small_runs import events_of, kinds_of, made_session, program, until
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tracker_disk import KEYS, on_full_tracker_disk

pytestmark = pytest.mark.slow
BOTH = '["tensorboard","mlflow"]'


def in_tensorboard(session):
    """Step -> loss, by TensorBoard's own reader; a step that is there twice fails."""
    found = EventAccumulator(str(session.path / "tensorboard"), size_guidance={"scalars": 0})
    found.Reload()
    told = found.Scalars("loss/train") if "loss/train" in found.Tags()["scalars"] else []
    points = [(one.step, one.value) for one in told]
    assert len({step for step, _ in points}) == len(points)
    return dict(points)


def in_mlflow(session):
    """The run, and how often each step is there, by MLflow's own client."""
    client = MlflowClient(f"sqlite:///{session.path.parent / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("cxr-tui")
    (run,) = client.search_runs([experiment.experiment_id])
    told = client.get_metric_history(run.info.run_id, "loss/train")
    return run, Counter(point.step for point in told)


def taken(session):
    """How often each step was taken, by the run's own record, and its loss; what was recorded
    after the checkpoint that a run continues from is void."""
    times: Counter[int] = Counter()
    losses: dict[int, float] = {}
    for one in events_of(session):
        if one["event"] == "StepRecorded":
            times[one["step"]] += 1
            losses[one["step"]] = one["train_loss"]
        elif one["event"] == "Resumed":
            losses = {step: loss for step, loss in losses.items() if step <= one["step"]}
    return times, losses


def test_a_killed_run_leaves_readable_trackers_and_goes_on_without_doubled_steps(
    phantom_dir, cache_dir, tmp_path
):
    keys = {key: value for key, value in KEYS.items() if key != "dataset.phantom"}
    more = {"train.trackers": BOTH, "train.epochs": 30, "train.checkpoint_minutes": 0.01}
    session = made_session(tmp_path, phantom_dir, **(keys | more | {"epochs": 30}))
    said = program(cache_dir, "--resume", str(session.path))
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    run = warm_start.Popen(said, **quiet)
    until(lambda: run.poll() is not None or _is_shown(session), "both show it", seconds=300)
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert run.returncode == -signal.SIGKILL
    recorded, _ = taken(session)
    assert set(in_tensorboard(session)) <= set(recorded)
    found, told = in_mlflow(session)
    assert found.info.status == "RUNNING"  # nobody could tell it of the end
    assert told <= recorded
    # As a kill leaves it that comes after the points were told, and before that was noted.
    kept = session.read_json("tracking.json")
    kept["tensorboard"]["offset"] = session.events_path.read_bytes().index(b"\n") + 1
    session.write_json("tracking.json", kept)

    done = kinds_of(session).count("EpochDone")
    shorter = [*said, "--set", f"train.epochs={done + 1}"]
    assert warm_start.run(shorter, check=False, **quiet).returncode == 0
    recorded, losses = taken(session)
    assert in_tensorboard(session) == {step: pytest.approx(loss) for step, loss in losses.items()}
    found, told = in_mlflow(session)
    assert found.info.status == "FINISHED"
    assert set(told) == set(recorded)
    assert max(told.values()) <= 2  # MLflow can't take a point back


def _is_shown(session):
    """Whether both have points of it; their files are read as they are."""
    if (session.read_json("tracking.json") or {}).keys() < {"tensorboard", "mlflow"}:
        return False
    return "CheckpointWritten" in kinds_of(session) and bool(in_tensorboard(session))


@pytest.mark.skipif(not can_mount(), reason="no mount namespaces here")
def test_a_full_disk_of_the_trackers_costs_a_warning_each_and_no_figure(
    phantom_dir, cache_dir, tmp_path
):
    command = on_full_tracker_disk(phantom_dir, tmp_path, cache_dir)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["code"] == 0
    assert "Paused" not in seen["kinds"]  # its own disk has room
    assert sorted(one.partition(" ")[0] for one in seen["warnings"]) == ["mlflow", "tensorboard"]
    assert all("shows this run no longer" in one for one in seen["warnings"])
    assert any("No space left on device" in one for one in seen["warnings"])
    keys = {key: value for key, value in KEYS.items() if key != "dataset.phantom"}
    alone = made_session(tmp_path / "alone", phantom_dir, **(keys | {"epochs": 3}))
    run = program(cache_dir, "--resume", str(alone.path))
    warm_start.run(run, check=True, capture_output=True)
    assert (alone.predictions / "test.csv").read_text() == seen["scores"]
    shutil.rmtree(tmp_path / "alone")
