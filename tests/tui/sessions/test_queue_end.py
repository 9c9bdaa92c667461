"""The queue's expected end: measured times of runs of the same kind, added up over the workers."""

import pytest

from core.events import EpochDone, EpochStarted, Finished, RunStarted
from core.recipe_toml import load_recipe
from core.store.queue.queue import Queue
from core.store.queue.taking import take_next
from core.store.sessions import create_session
from cxr_tui.runs.queue_end import QueueClock
from cxr_tui.runs.queue_words import end_in_words

BEFORE, EPOCH, AFTER = 10, 20, 6


@pytest.fixture
def queue(tmp_path):
    return Queue(tmp_path / "sessions")


def recipe(epochs=3, **changes):
    changes = {"train.epochs": epochs, **changes}
    return load_recipe("demo", [f"{key}={value}" for key, value in changes.items()])


def epoch_done(number, time):
    nothing = {"auroc": {}, "mean_auroc": None, "selected_on": (), "is_best": False}
    return EpochDone(
        time=time, epoch=number, step=10 * number, train_loss=0.5, val_loss=0.5,
        learning_rate=0.01, seconds=1.0, **nothing,
    )  # fmt: skip


def a_run(queue, name, made, epochs, *, start=1000.0, is_finished=True):
    """A session whose run took so long; Session.append would stamp other times."""
    session = create_session(queue.sessions, made, name)
    with session.writing() as writer:
        writer.append(RunStarted(time=start, name=name, host="h", pid=1))
        at = start + BEFORE
        for number in range(1, epochs + 1):
            writer.append(EpochStarted(time=at, epoch=number, steps=10))
            at += EPOCH
            writer.append(epoch_done(number, at))
        if is_finished:
            writer.append(Finished(time=at + AFTER, epochs=epochs, best_epoch=1, seconds=1.0))
    return session


def end_of(queue, now=None):
    rows = [(entry, entry.state()) for entry in queue.entries()]
    return QueueClock(queue.sessions).end(rows, now), [state for _, state in rows]


def test_before_anything_was_timed_the_end_is_unknown(queue):
    queue.add(recipe(), "a")
    end, states = end_of(queue)
    assert (end.num_unknown, end.seconds) == (1, 0)
    assert end_in_words(end, states).startswith("expected end unknown")


def test_entries_of_a_kind_that_was_timed_add_up(queue):
    a_run(queue, "before", recipe(2), 2)
    queue.add(recipe(3), "a")
    queue.add(recipe(5, **{"train.seed": 7, "train.learning_rate": 0.1}), "b")
    end, states = end_of(queue)
    assert end.by_entry == {
        "0001-demo": BEFORE + 3 * EPOCH + AFTER,
        "0002-demo": BEFORE + 5 * EPOCH + AFTER,
    }
    assert end.seconds == sum(end.by_entry.values())
    assert end_in_words(end, states) == "takes 3 min once a worker begins"


def test_another_input_size_is_scaled_by_its_pixels_and_another_kind_is_left_out(queue):
    a_run(queue, "before", recipe(2, **{"image.size_px": 32}), 2)
    queue.add(recipe(3, **{"image.size_px": 64}), "larger")
    queue.add(recipe(3, **{"train.batch_size": 5}), "another-batch")
    end, states = end_of(queue)
    assert end.by_entry == {"0001-demo": 4 * (BEFORE + 3 * EPOCH + AFTER)}
    assert end.num_unknown == 1
    assert "without 1 entry of a kind that was never timed" in end_in_words(end, states)


def test_of_a_run_that_is_on_only_the_rest_counts_and_workers_share_what_waits(queue):
    a_run(queue, "before", recipe(2), 2)
    for name in ("a", "b", "c"):
        queue.add(recipe(3), name)
    held = [take_next(queue) for _ in range(2)]
    for taken, start in zip(held, (5000.0, 5020.0), strict=True):
        name = taken.entry.session.name
        a_run(queue, name, taken.entry.recipe, 1, start=start, is_finished=False)
    end, states = end_of(queue, now=5055.0)
    assert states == ["running", "running", "waiting"]
    # a: its first epoch was done at 5030, b's at 5050; both have two to go.
    first, second = 2 * EPOCH + AFTER - 25, 2 * EPOCH + AFTER - 5
    whole = BEFORE + 3 * EPOCH + AFTER
    assert end.by_entry == {"0001-demo": first, "0002-demo": second, "0003-demo": whole}
    assert end.seconds == first + whole
    for taken in held:
        taken.release()
    begun, states = end_of(queue, now=5055.0)
    assert states == ["begun", "begun", "waiting"]
    assert begun.by_entry["0001-demo"] == BEFORE + 2 * EPOCH + AFTER
