import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import events
from core.errors import DataError
from core.event_lines import event_line, event_of_line
from core.events import (
    EpochDone,
    StepRecorded,
)

numbers = st.floats(allow_nan=False)


@given(
    st.dictionaries(st.text(max_size=20), st.none() | st.floats(0, 1), max_size=5),
    numbers,
    st.lists(st.text(max_size=10), max_size=3),
    st.booleans(),
)
def test_an_event_survives_its_line(auroc, loss, selected, is_best):
    event = EpochDone(
        time=1.5,
        epoch=3,
        step=90,
        train_loss=loss,
        val_loss=0.5,
        auroc=auroc,
        mean_auroc=None,
        selected_on=tuple(selected),
        is_best=is_best,
        learning_rate=0.1,
        seconds=3.0,
    )
    line = event_line(event)
    assert "\n" not in line
    assert event_of_line(line) == event


def test_a_loss_that_is_not_a_number_stays_one_and_the_line_stays_json():
    event = StepRecorded(
        step=1,
        epoch=1,
        train_loss=float("nan"),
        learning_rate=0.1,
        gradient_norm=float("inf"),
        images_per_second=1.0,
    )
    line = event_line(event)
    assert json.loads(line)["train_loss"] == "nan"
    again = event_of_line(line)
    assert isinstance(again, StepRecorded)
    assert again.train_loss != again.train_loss
    assert again.gradient_norm == float("inf")


def test_a_kind_from_a_newer_version_is_passed_over():
    assert event_of_line('{"event": "Teleported", "time": 1.0, "where": "Mars"}') is None


def test_a_field_from_a_newer_version_is_passed_over():
    line = '{"event": "EarlyStopped", "time": 1.0, "epoch": 3, "best_epoch": 1, "mood": "calm"}'
    assert event_of_line(line) == events.EarlyStopped(time=1.0, epoch=3, best_epoch=1)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{",
        "[]",
        "3",
        '{"time": 1}',
        '{"event": 5}',
        '{"event": "EarlyStopped", "epoch": "three", "best_epoch": 1}',
        '{"event": "EarlyStopped", "epoch": 3}',
        '{"event": "StepRecorded", "step": [1]}',
        "[" * 100_000,
    ],
)
def test_a_damaged_line_is_a_data_error(line):
    with pytest.raises(DataError):
        event_of_line(line)


def test_exactly_three_kinds_end_a_run():
    ending = {kind.__name__ for kind in events.Event.__subclasses__() if kind.ends_run}
    assert ending == {"Finished", "Stopped", "Failed"}
