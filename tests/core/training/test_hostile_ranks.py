"""A stranger on every channel of a run of two processes: nothing of theirs is taken or executed."""

import json
import signal
import threading
import time
from dataclasses import asdict, replace

import pytest
import torch
import torch.distributed as dist
from hostile_rank import (
    Vandal,
    free_port,
    lead_astray,
    mute_relay,
    pose_as_the_first,
    silent_at,
    store_at,
)
from small_runs import RANKS_SECRET, kinds_of, rank_arguments, rank_process, until
from torch.distributed import HashStore

from core.errors import UsageError
from core.store.session import Session
from core.training.distributed import heartbeat
from core.training.distributed.channel import Channel
from core.training.distributed.heartbeat import RankHeartbeat, RankStatus
from core.training.distributed.introductions import introduce
from core.training.distributed.job_secret import VARIABLE, ranks_secret
from core.training.distributed.meeting import Meeting
from core.training.distributed.ranks import CommandError, End, Launch, RankLostError, Restore, Step
from core.training.distributed.team import Team


def test_a_stranger_who_took_the_port_first_is_refused_by_name(tmp_path, phantom_dir, cache_dir):
    store = store_at(port := free_port())
    run = rank_process(tmp_path, 1, port, *rank_arguments(phantom_dir, cache_dir))
    pose_as_the_first(store)
    assert run.wait(60) == 2
    err = (tmp_path / "err1").read_text()
    assert "does not know this run's secret" in err
    assert "choose another MASTER_PORT" in err
    assert f"MASTER_PORT={port}" in err


@pytest.mark.parametrize("what", ["a pickle", "weights of another network"])
def test_a_first_process_that_says_what_none_says_is_refused(
    what, tmp_path, phantom_dir, cache_dir, monkeypatch
):
    port, marker = free_port(), tmp_path / "executed"
    run = rank_process(tmp_path, 1, port, *rank_arguments(phantom_dir, cache_dir))
    for name, value in (("MASTER_ADDR", "127.0.0.1"), ("MASTER_PORT", str(port))):
        monkeypatch.setenv(name, value)
    try:
        lead_astray(ranks_secret({VARIABLE: RANKS_SECRET}, tmp_path), what, marker)
        assert run.wait(60) == 4
    finally:
        dist.destroy_process_group()
        run.kill()
    assert not marker.exists()
    assert "what arrived as a command of process 0 is not one" in (tmp_path / "err1").read_text()


def test_whoever_is_silent_on_the_port_is_waited_for_aloud_and_a_stop_is_heard(
    tmp_path, phantom_dir, cache_dir
):
    port = free_port()
    with silent_at(port):
        run = rank_process(tmp_path, 1, port, *rank_arguments(phantom_dir, cache_dir))
        first = rank_process(
            tmp_path, 0, port, *rank_arguments(phantom_dir, cache_dir), "--session", "run"
        )
        assert first.wait(60) == 2
        said = (tmp_path / "err0").read_text()
        assert f"MASTER_PORT: port {port} is taken on this host" in said
        assert "MASTER_PORT=$((20000 + SLURM_JOB_ID % 10000))" in said
        err = tmp_path / "err1"
        until(lambda: "waiting " in err.read_text(), "a command of whom it waits for")
        assert f"MASTER_ADDR=127.0.0.1 MASTER_PORT={port}" in err.read_text()
        run.send_signal(signal.SIGTERM)
        assert run.wait(5) == 75
    assert kinds_of(Session(tmp_path / "sessions" / "run")) == []


def test_where_nobody_comes_patience_has_an_end_that_names_both_variables(monkeypatch):
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    for rank, what in ((0, "process 1 of 2"), (1, "process 0 at .*, where nobody answers")):
        monkeypatch.setenv("MASTER_PORT", str(port := free_port()))
        meeting = Meeting(Launch(rank, 2, rank), b"", None, lambda: False, lambda _: None, 0.3)
        wanted = rf"MASTER_PORT={port}: process {rank} of 2 has waited \d s for {what}"
        with pytest.raises(UsageError, match=wanted):
            meeting.held()
    monkeypatch.setenv("MASTER_ADDR", "no.such.host.invalid")
    with pytest.raises(UsageError, match="there is no host with that name"):
        Meeting(Launch(1, 2, 1), b"", None, lambda: False, lambda _: None, 30).held()


def test_a_run_whose_signs_of_life_are_overwritten_all_the_time_comes_to_its_end(
    tmp_path, phantom_dir, cache_dir
):
    port = free_port()
    what = [*rank_arguments(phantom_dir, cache_dir, **{"train.epochs": 1}), "--session", "run"]
    first, second = (rank_process(tmp_path, rank, port, *what) for rank in range(2))
    session = Session(tmp_path / "sessions" / "run")
    until(lambda: "RunStarted" in kinds_of(session) or first.poll() is not None, "its start")
    vandal = Vandal(port)
    vandal.start()
    codes = first.wait(120), second.wait(60)
    vandal.ended.set()
    assert codes == (0, 0), (tmp_path / "err0").read_text()
    assert vandal.written > 100
    assert kinds_of(session)[-1] == "Finished"


def test_a_rank_whose_sign_somebody_keeps_away_is_missed_by_name():
    store, status = HashStore(), RankStatus("there", 7, beat=5, stage="cached")
    store.set("heartbeat/1", status.sealed(b"key", 1))
    ours = RankHeartbeat(store, 0, 2, b"key")
    team = Team(Launch(0, 2, 0), ours)
    try:
        assert ours.statuses[1] == status
        older = replace(status, beat=4, stage="")
        forged = replace(status, beat=9, code=0, trouble="\x1b]0;taken")
        for value in (
            "{",
            older.sealed(b"key", 1),
            forged.sealed(b"another key", 1),
            forged.sealed(b"key", 0),
            status.sealed(b"key", 1)[:64] + json.dumps(asdict(forged)),
            "x" * 1_000_000,
        ):
            store.set("heartbeat/1", status.sealed(b"key", 1))
            ours.look()
            assert not ours.usurped
            store.set("heartbeat/1", value)
            ours.look()
            assert (ours.statuses[1], ours.usurped) == (status, {1}), value[:99]
        until(lambda: ours.silent_ranks(0.3) or ours.look(), "its silence")
        ours.silent_ranks = lambda: [1]
        with pytest.raises(RankLostError, match="was overwritten: somebody else writes there"):
            team.check()
    finally:
        ours.stop()


class Dies(HashStore):
    """A store that raises what none does."""

    def check(self, _keys):
        raise ZeroDivisionError


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_watches_no_more_and_a_place_that_answers_no_more_end_the_run_by_name(
    monkeypatch,
):
    died = RankHeartbeat(Dies(), 0, 2)
    team = Team(Launch(0, 2, 0), died)
    with pytest.raises(RankLostError, match="what watches the other processes of this run has fai"):
        team.check()
    monkeypatch.setattr(heartbeat, "SILENT_SECONDS", 0.5)
    monkeypatch.setattr(heartbeat, "_ANSWER_SECONDS", 0.6)
    with mute_relay(store_at(port := free_port()), port) as (store, mute):
        deaf = RankHeartbeat(store, 0, 2)
        team = Team(Launch(0, 2, 0), deaf)
        team.check()
        mute()
        began = time.monotonic()
        deaf.show(stage="built")
        assert time.monotonic() - began < 5
        with pytest.raises(RankLostError, match="no longer answers"):
            team.check()
    deaf.stop()


class Broadcast:
    """Bytes as rank 0 sends them, and as a rank hears them after somebody was at them."""

    def __init__(self):
        self.sent = []

    def send(self, message, _between):
        self.sent.append(message.clone())

    def take(self, message, _between):
        message.copy_(self.sent.pop(0))


def channels(ours=b"key", theirs=b"key"):
    wire = Broadcast()
    return Channel(ours, wire.send), Channel(theirs, wire.take), wire


def heard(channel):
    return channel.receive(lambda: None, lambda _heading: None)


def test_a_word_counts_once_from_whom_it_is_and_as_it_was_said():
    first, second, wire = channels()
    first.say(Step())
    again = wire.sent[0].clone()
    assert heard(second) == Step()
    wire.sent.append(again)
    with pytest.raises(CommandError, match="does not bear this run's seal"):
        heard(second)
    first, second, _ = channels(theirs=b"another run's")
    first.say(End(0))
    with pytest.raises(CommandError, match="does not bear this run's seal"):
        heard(second)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_word_that_was_changed_on_its_way_is_refused(which):
    """The message, its long text, its tensors."""
    first, second, wire = channels()
    first.say(Restore({"weight": torch.ones(9)}, {}, {"long": "x" * 5000}))
    assert len(wire.sent) == 3
    wire.sent[which][3] ^= 1
    with pytest.raises(
        CommandError, match=r"this run's seal|differ from those that process 0 sealed"
    ):
        heard(second)


def introduced(secrets, recipes, spoil=lambda _store: None):
    """Two processes that introduce themselves to each other: a key or an error of each."""
    store, told = HashStore(), {}
    spoil(store)

    def act(rank):
        try:
            key = introduce(
                store, Launch(rank, 2, rank), secrets[rank], recipes[rank], lambda _: None
            )
            told[rank] = key
        except UsageError as error:
            told[rank] = str(error)

    threads = [threading.Thread(target=act, args=(rank,), daemon=True) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    return told


def test_processes_of_one_secret_and_recipe_have_one_key_a_new_one_each_time():
    once, again = (introduced([b"s", b"s"], ["r", None]) for _ in range(2))
    assert once[0] == once[1]
    assert len(once[0]) == 32
    assert once[0] != again[0]


def test_another_secret_or_recipe_is_refused_by_both_with_the_others_name():
    for secrets, recipes, what in (
        ([b"s", b"t"], ["r", "r"], "does not know this run's secret"),
        ([b"s", b"s"], ["r", "q"], "was asked to run a different recipe"),
    ):
        told = introduced(secrets, recipes)
        for rank, other in ((0, 1), (1, 0)):
            assert f"process {other} of 2 (host " in told[rank]
            assert what in told[rank]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('{"rank": 1}', "does not belong to this run"),
        ("x" * 100_000, "does not belong to this run"),
        ("[" * 4000, "does not belong to this run"),
        (
            '{"rank":1,"size":2,"host":"h","pid":1,"version":"0.0.9","recipe":null,"once":""}',
            r"process 1 of 2 \(host h, process number 1\) runs cxr-tui 0.0.9, this one runs",
        ),
        (
            '{"rank":1,"size":3,"host":"h","pid":1,"version":"0.1.0","recipe":null,"once":""}',
            "is not one of 2",
        ),
    ],
)
def test_what_introduces_itself_otherwise_is_refused_by_name(text, what):
    store = HashStore()
    store.set("first/1", text)
    with pytest.raises(UsageError, match=what):
        introduce(store, Launch(0, 2, 0), b"s", None, lambda _: None)
    with pytest.raises(UsageError, match="another process has introduced itself as process 1"):
        introduce(store, Launch(1, 2, 1), b"s", None, lambda _: None)


def test_the_secret_is_made_once_for_its_owner_alone_and_believed_only_so(tmp_path):
    secret = ranks_secret({}, tmp_path)
    (kept,) = tmp_path.iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600
    assert ranks_secret({}, tmp_path) == secret != ranks_secret({}, tmp_path / "other")
    assert ranks_secret({VARIABLE: RANKS_SECRET}, tmp_path) != secret
    with pytest.raises(UsageError, match="has 5 characters"):
        ranks_secret({VARIABLE: "short"}, tmp_path)
    kept.chmod(0o644)
    with pytest.raises(UsageError, match="others may open it"):
        ranks_secret({}, tmp_path)
    kept.unlink()
    kept.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="can't be read or created"):
        ranks_secret({}, tmp_path)
    assert not (tmp_path / "elsewhere").exists()
