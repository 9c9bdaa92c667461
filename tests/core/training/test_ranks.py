"""More than one process: the same run, one writer, and an end for all of them."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import warm_start
from hostile_rank import free_port
from places import SUPPORT
from rank_steps import losses_of, trainer_of
from small_runs import (
    children_of,
    events_of,
    json_lines,
    kinds_of,
    off_the_networks,
    rank_arguments,
    rank_process,
    state_of,
    until,
)
from torch.distributed import HashStore

from core.data.batches import micro_batches
from core.errors import RecipeError, UsageError
from core.evaluation.predict import predict_logits
from core.evaluation.predictions import read_predictions
from core.requests import Request
from core.store.session import Session
from core.training.distributed.exchange import pieces_of
from core.training.distributed.heartbeat import RankHeartbeat, RankStatus
from core.training.distributed.rank_device import device_for
from core.training.distributed.ranks import ALONE, Launch, RankLostError, launch_of
from core.training.distributed.team import Team

TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone")
FOR_EVER = 500


def started(folder, ranks, *what, program=("-m", "cxr_tui"), **environment):
    """The program in as many processes, with its output in files."""
    launcher = [sys.executable] if ranks == 1 else [*TORCHRUN, f"--nproc-per-node={ranks}"]
    with (folder / "out").open("w") as out, (folder / "err").open("w") as err:
        return warm_start.Popen(
            [*launcher, *program, *map(str, what)],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env=os.environ | environment,
        )


def ran(folder, ranks, *what, **how):
    folder.mkdir(exist_ok=True)
    run = started(folder, ranks, *what, **how)
    code = run.wait(120)
    return code, (folder / "out").read_text(), (folder / "err").read_text()


def scheduled(folder, *what):
    """Two processes as SLURM starts them: their exit codes, and what both wrote."""
    port = free_port()
    runs = [rank_process(folder, rank, port, *what) for rank in range(2)]
    codes = [run.wait(120) for run in runs]
    return codes, *(
        "".join(map(Path.read_text, folder.glob(f"{name}?"))) for name in ("out", "err")
    )


def rank_of(pid):
    """The rank of a process that torchrun started."""
    variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return next((int(item[5:]) for item in variables if item.startswith(b"RANK=")), None)


@pytest.fixture(scope="module")
def two(tmp_path_factory, phantom_dir, cache_dir):
    """A run of two processes to its end: its session, and what was printed."""
    folder = tmp_path_factory.mktemp("two")
    what = rank_arguments(phantom_dir, cache_dir)
    codes, out, err = scheduled(folder, *what, "--session", "run", "--json")
    assert codes == [0, 0], err
    return Session(folder / "sessions" / "run"), out, err


@pytest.fixture(scope="module")
def one(tmp_path_factory, phantom_dir, cache_dir):
    """One process that accumulates the same pieces."""
    folder = tmp_path_factory.mktemp("one")
    what = rank_arguments(phantom_dir, cache_dir, **{"train.micro_batch_size": 4})
    code, _, err = ran(folder, 1, *what, "--session", "run")
    assert code == 0, err
    return Session(folder / "sessions" / "run")


@pytest.fixture(scope="module")
def steps(tmp_path_factory):
    """Twenty steps of two ranks, and what happens to both where one has trouble."""
    folder = tmp_path_factory.mktemp("steps")
    script = SUPPORT / "rank_steps.py"
    told = warm_start.run(
        [*TORCHRUN, "--nproc-per-node=2", str(script)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout)


@pytest.fixture(scope="module")
def accumulated():
    """One process that accumulates the same two micro-batches: the trainer and its losses."""
    trainer = trainer_of(ALONE, 5)
    return trainer, losses_of(trainer)


def test_two_ranks_have_the_losses_of_one_process_that_accumulates_their_pieces(steps, accumulated):
    _, losses = accumulated
    assert len(losses) == 20
    assert np.abs(np.array(steps["losses"]) - losses).max() < 1e-5
    assert len(set(losses)) == 20


def test_two_ranks_take_a_recorded_step_together_with_the_losses_of_plain_ones(steps):
    assert steps["has_graph"]
    assert steps["losses_by_graph"] == steps["losses"][:8]


def test_a_recorded_step_that_fails_on_one_rank_is_given_up_by_both(steps):
    assert steps["had_graph"]
    assert not steps["still_has_graph"]
    assert steps["losses_by_graph_that_fails"] == steps["losses"][:8]
    assert steps["micro_batch_after_graph"] is None
    assert not steps["has_graph_that_one_refuses"]


def test_two_ranks_score_each_image_once_in_its_order_as_one_process_does(steps, accumulated):
    trainer, _ = accumulated
    logits_NF = predict_logits(trainer.model, trainer.part, trainer.placement, batch_size=10)
    assert torch.allclose(torch.tensor(steps["logits"]), logits_NF, atol=1e-4)
    assert len({tuple(row) for row in steps["logits"]}) == len(trainer.part)


def test_where_one_rank_runs_out_of_memory_both_take_smaller_pieces(steps):
    assert steps["micro_batch_size"] == 2
    assert np.isfinite(steps["losses_short_of_memory"]).all()
    assert steps["losses_short_of_memory"][0] != steps["losses"][0]


def test_a_step_that_is_not_finite_on_one_rank_is_left_out_on_both(steps):
    (updated, statistics), (updated_next, _) = steps["poisoned"], steps["next"]
    assert not updated
    assert np.isfinite(statistics)
    assert updated_next


def test_the_whole_run_of_two_ranks_is_that_of_one(one, two):
    session, _, _ = two
    ours, theirs = (
        [event for event in events_of(run) if event["event"] == "EpochDone"]
        for run in (session, one)
    )
    assert [event["epoch"] for event in ours] == [1, 2]
    for here, there in zip(ours, theirs, strict=True):
        assert here["train_loss"] == pytest.approx(there["train_loss"], abs=1e-5)
        assert here["val_loss"] == pytest.approx(there["val_loss"], abs=1e-3)
    for name in ("val.csv", "test.csv"):
        ours, theirs = (read_predictions(run.predictions / name) for run in (session, one))
        assert list(ours.images) == list(theirs.images)
        assert np.abs(ours.scores_NF - theirs.scores_NF).max() < 1e-3


@pytest.mark.slow
def test_a_step_that_the_first_chooses_is_taken_by_both(tmp_path, two, phantom_dir, cache_dir):
    """Compiled as far as it goes without a C++ compiler, with the words of a real run."""
    what = rank_arguments(phantom_dir, cache_dir, **{"train.step": "compiled"})
    program = [str(SUPPORT / "compiled_run.py")]
    code, _, err = ran(tmp_path, 2, *what, "--session", "run", program=program)
    assert code == 0, err
    session = Session(tmp_path / "sessions" / "run")
    (chosen,) = (event for event in events_of(session) if event["event"] == "StepChosen")
    assert chosen["kind"] == "compiled"
    assert "steps are eager" not in err
    compiled, plain = (
        [event["train_loss"] for event in events_of(run) if event["event"] == "EpochDone"]
        for run in (session, two[0])
    )
    assert len(plain) == 2
    assert compiled == pytest.approx(plain, rel=1e-4)


@pytest.mark.slow
def test_both_ranks_score_in_fp32_what_is_kept_of_a_run_in_bf16(tmp_path, phantom_dir, cache_dir):
    changes = {"train.precision": "bf16", "train.epochs": 1}
    what = rank_arguments(phantom_dir, cache_dir, **changes)
    codes, _, err = scheduled(tmp_path, *what, "--session", "run")
    assert codes == [0, 0], err
    session = Session(tmp_path / "sessions" / "run")
    for part in ("val", "test"):
        assert off_the_networks(session, cache_dir, part, "fp32") < 1e-5


def test_one_rank_alone_writes_and_speaks(two):
    session, out, err = two
    kinds = kinds_of(session)
    assert kinds.count("RunStarted") == 1
    assert kinds[-1] == "Finished"
    (ready,) = [event for event in events_of(session) if event["event"] == "DatasetReady"]
    assert ready["images"]["train"] % 8 == 3  # the last batch is smaller than a piece
    assert json_lines(out) == events_of(session)
    assert err.count("base rate") == 1
    assert err.count("2 × ") == 1


def test_a_pause_holds_both_and_a_signal_to_one_stops_all_and_one_process_goes_on(
    tmp_path, phantom_dir, cache_dir
):
    what = rank_arguments(phantom_dir, cache_dir, **{"train.epochs": FOR_EVER})
    run, session = begun(tmp_path, what)
    session.ask(Request.PAUSE)
    until(lambda: kinds_of(session)[-1] == "Paused", "a pause")
    session.ask(Request.CONTINUE)
    until(lambda: "EpochDone" in kinds_of(session)[kinds_of(session).index("Paused") :], "an epoch")
    os.kill(pid_of(run, 1), signal.SIGUSR1)
    run.wait(60)
    err = (tmp_path / "err").read_text()
    assert err.count("exitcode  : 75") == 2, err
    events = events_of(session)
    assert [event["event"] for event in events[-2:]] == ["CheckpointWritten", "Stopped"]
    epochs = events[-1]["step"] // 4 + 1
    code, _, err = ran(tmp_path, 1, "--resume", session.path, *goes_on(cache_dir, epochs))
    assert code == 0, err
    assert [e["step"] for e in events_of(session) if e["event"] == "Resumed"] == [
        events[-1]["step"]
    ]
    assert kinds_of(session)[-1] == "Finished"


def test_two_processes_go_on_where_one_stopped(tmp_path, one, cache_dir):
    shutil.copytree(one.path, tmp_path / "sessions" / "run")
    codes, _, err = scheduled(tmp_path, "--resume", "run", *goes_on(cache_dir, 3))
    assert codes == [0, 0], err
    events = events_of(Session(tmp_path / "sessions" / "run"))
    assert [event["step"] for event in events if event["event"] == "Resumed"] == [8]
    assert [event["epoch"] for event in events if event["event"] == "EpochDone"] == [1, 2, 3]


def test_a_rank_that_is_killed_ends_the_run_by_name_with_a_checkpoint(
    tmp_path, phantom_dir, cache_dir
):
    what = rank_arguments(phantom_dir, cache_dir, **{"train.epochs": FOR_EVER})
    run, session = begun(tmp_path, what)
    lost = pid_of(run, 1)
    killed = time.monotonic()
    os.kill(lost, signal.SIGKILL)
    run.wait(60)
    assert time.monotonic() - killed < 60
    *_, kept, last = events_of(session)
    assert (kept["event"], kept["reason"]) == ("CheckpointWritten", "lost a process")
    assert last["event"] == "Stopped"
    assert (
        f"process 1 of 2 (host {os.uname().nodename}, process number {lost}) is gone"
        in (last["reason"])
    )
    err = (tmp_path / "err").read_text()
    assert "exitcode  : 75" in err
    assert f"The checkpoint of step {kept['step']} is intact" in err
    assert any(session.checkpoints.glob("last-*.json"))


def lost_at(word, folder, *what):
    """A run whose second rank dies at the word, which it has to say: what it wrote to stderr."""
    program = [str(SUPPORT / "lost_rank.py")]
    began = time.monotonic()
    _, _, err = ran(folder, 2, *what, program=program, DIES_AT=word)
    assert time.monotonic() - began < 90  # a minute, and what two processes take to begin
    said = err[: err.index("Traceback")]  # torchrun's own, after what we said
    assert said.count("cxr-tui: process 1 of 2 ") == 1
    return err


@pytest.mark.slow
def test_a_rank_that_is_lost_while_a_part_is_scored_costs_no_step(
    tmp_path, one, phantom_dir, cache_dir
):
    in_first_val = lost_at(
        "Score:1", tmp_path, *rank_arguments(phantom_dir, cache_dir), "--session", "run"
    )
    # Val of the first epoch anew, val of the second, and then the test part.
    on = ["--resume", "run", *goes_on(cache_dir, 2)]
    in_test = lost_at("Score:3", tmp_path, *on)
    codes, _, err = scheduled(tmp_path, *on)
    assert codes == [0, 0], err
    assert ["exitcode  : 75" in err for err in (in_first_val, in_test)] == [True, True]
    session = Session(tmp_path / "sessions" / "run")
    events = events_of(session)
    assert [event["step"] for event in events if event["event"] == "Resumed"] == [4, 8]
    ours, theirs = (
        [event["val_loss"] for event in events_of(run) if event["event"] == "EpochDone"]
        for run in (session, one)
    )
    assert ours == pytest.approx(theirs, abs=1e-3)
    assert kinds_of(session)[-1] == "Finished"


def test_a_rank_that_is_lost_before_the_first_step_ends_the_run_by_name(tmp_path, phantom_dir):
    # A cache that is empty: torchrun's signal to rank 0 comes while it is filled.
    what = rank_arguments(phantom_dir, tmp_path / "cache")
    err = lost_at("Prepare:1", tmp_path, *what, "--session", "run")
    assert "exitcode  : 4" in err
    assert kinds_of(Session(tmp_path / "sessions" / "run"))[-1] == "Failed"


def test_a_stop_is_believed_where_all_are_there_and_torchruns_after_a_death_is_not():
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    store = HashStore()
    store.set("heartbeat/1", RankStatus(os.uname().nodename, other.pid).sealed(b"", 1))
    heartbeat = RankHeartbeat(store, 0, 2)
    try:
        heartbeat.look()
        ask = Team(Launch(0, 2, 0), heartbeat).watched(lambda: Request.STOP)
        assert ask() is Request.STOP
        other.kill()
        until(lambda: state_of(other.pid) == "Z", "its end")
        with pytest.raises(RankLostError, match=rf"process 1 of 2 .* {other.pid}\) is gone"):
            ask()
    finally:
        heartbeat.stop()
        other.kill()
        other.communicate()


def test_a_wrong_recipe_is_refused_once_and_all_leave(tmp_path, phantom_dir, cache_dir):
    what = rank_arguments(phantom_dir, cache_dir, **{"train.batch_size": 4})
    codes, out, err = scheduled(tmp_path, *what)
    assert err.count("needs three images per pass in each of 2 processes, got 2") == 1
    assert codes == [2, 2]
    assert not out


@pytest.mark.parametrize("num_images", [10, 9, 6, 5, 4, 1])
def test_pieces_are_the_micro_batches_of_one_process(num_images):
    pieces = pieces_of(num_images, 10, 2)
    assert len(pieces) == 2
    assert [piece for piece in pieces if piece.stop > piece.start] == micro_batches(num_images, 5)


@pytest.mark.parametrize(("batch_size", "size"), [(9, 4), (7, 2), (5, 4), (64, 8)])
def test_a_full_batch_has_a_piece_for_every_rank(batch_size, size):
    pieces = pieces_of(batch_size, batch_size, size)
    lengths = [piece.stop - piece.start for piece in pieces]
    assert sum(lengths) == batch_size
    assert min(lengths) >= 1
    assert max(lengths) - min(lengths) <= 1
    assert [piece.start for piece in pieces[1:]] == [piece.stop for piece in pieces[:-1]]


def test_a_batch_that_is_too_small_for_its_ranks_is_refused():
    ranks = type("Ten", (type(ALONE),), {"size": 11})()
    with pytest.raises(RecipeError, match="one image per pass in each of 11 processes, got 0"):
        trainer_of(ranks, None)


def test_half_an_environment_is_refused_and_none_means_alone():
    whole = {
        "RANK": "1",
        "WORLD_SIZE": "2",
        "LOCAL_RANK": "1",
        "MASTER_ADDR": "here",
        "MASTER_PORT": "1",
    }
    assert launch_of({}) is None
    assert launch_of(whole | {"WORLD_SIZE": "1"}) is None
    assert launch_of(whole) == Launch(1, 2, 1)
    with pytest.raises(UsageError, match=r"but not .*MASTER_PORT"):
        launch_of({key: value for key, value in whole.items() if key != "MASTER_PORT"})
    with pytest.raises(UsageError, match="no rank 2"):
        launch_of(whole | {"RANK": "2"})


def test_one_device_by_number_is_not_for_several_ranks():
    assert device_for(Launch(1, 2, 1), "cpu") == "cpu"
    with pytest.raises(UsageError, match="'cuda:1' can't be the device of 2 processes"):
        device_for(Launch(1, 2, 1), "cuda:1")


def test_alone_nothing_of_torch_is_loaded_before_the_session_is_there():
    code = "import sys, cxr_tui.batch.command; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def begun(folder, what):
    """Two ranks that have trained an epoch, and their session."""
    run = started(folder, 2, *what, "--session", "run")
    session = Session(folder / "sessions" / "run")
    until(lambda: "EpochDone" in kinds_of(session) or run.poll() is not None, "an epoch")
    assert run.poll() is None, (folder / "err").read_text()
    return run, session


def pid_of(run, rank):
    (pid,) = [child for child in children_of(run.pid) if rank_of(child) == rank]
    return pid


def goes_on(cache_dir, epochs):
    return ["--cache", cache_dir, "--device", "cpu", "--set", f"train.epochs={epochs}"]
