"""Event files with well-formed absurdities: what cannot be is passed over, the rest is drawn."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from console import plain, press, shows, until

from core.errors import DataError
from core.event_lines import event_of_line
from core.events import (
    Event,
)
from core.recipe import Recipe
from core.report_shape import PartReport
from core.store.event_log import EventReader
from core.store.sessions import create_session
from core.store.summary import SessionSummary
from cxr_tui.app.app import ConsoleApp
from cxr_tui.console.workspace import Workspace
from cxr_tui.runs.run_view import RunView
from cxr_tui.terminal.safe_text import duration

sys.path.insert(0, str(Path(__file__).parent))

from fuzz_corpus import events_of_a_run
from fuzz_doors import drawn_words

ODD = "\x1b[2J\x1b]0;x\x07\u202e\r\n" + "é漢😀" * 50
KINDS = sorted({type(event) for event in events_of_a_run()}, key=lambda kind: kind.__name__)
WORST: dict[str, object] = {
    "negative": -1,
    "far below": -(10**18),
    "far above": 10**18,
    "400 digits": 10**400,
    "1e308": 1e308,
    "-1e308": -1e308,
    "NaN": float("nan"),
    "infinite": float("inf"),
    "nothing": None,
    "yes": True,
    "no text": "",
    "odd text": ODD,
    "a long text": "x" * 100_000,
    "half a character": "\ud800",
    "a list": [1, [2, [3]]],
    "a table": {"Mass": {"Mass": {}}},
    "unknown findings": {f"x{n}": 1e308 for n in range(500)},
    "a table of odd names": {ODD: 0.5, "": None, "Mass": float("nan")},
}


def lines_with(kinds: list[type[Event]], value: object) -> list[str]:
    """A run in which events of these kinds come again, another field at fault each time."""
    lines = []
    for event in events_of_a_run():
        fields = {"event": type(event).__name__} | asdict(event)
        lines.append(json.dumps(fields))
        if type(event) in kinds:
            lines += [json.dumps(fields | {name: value}) for name in asdict(event)]
    return lines


@pytest.mark.usefixtures("within_a_minute")
@pytest.mark.parametrize("fault", WORST)
def test_no_value_in_any_field_of_any_event_breaks_what_is_drawn(
    tmp_path: Path, fault: str
) -> None:
    session = create_session(tmp_path, Recipe(), "s")
    for first in range(4):
        session.events_path.write_text("\n".join([*lines_with(KINDS[first::4], WORST[fault]), ""]))
        view = RunView(epochs=2)
        for event in EventReader(session.events_path).new_events():
            view.apply(event)
        for text in drawn_words(view, tmp_path):
            assert not [sign for sign in text if sign < " " and sign != "\n"]
            text.encode()
    summary = SessionSummary.of(session)
    json.dumps(asdict(summary), allow_nan=False).encode()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("time", -1.0), ("time", 1e18), ("time", float("nan")), ("step", -5), ("epoch", 10**16)),
        *(("epoch", 10**400), ("train_loss", 10**400), ("epoch", "1"), ("epoch", True)),
    ],
)
def test_an_event_that_cannot_be_is_none(field: str, value: object) -> None:
    step = next(e for e in events_of_a_run() if type(e).__name__ == "StepRecorded")
    fields: dict[str, Any] = {"event": "StepRecorded"} | asdict(step)
    assert event_of_line(json.dumps(fields)) == step
    with pytest.raises(DataError, match="is not an event"):
        event_of_line(json.dumps(fields | {field: value}))


def test_a_loss_that_is_no_number_is_an_event_still() -> None:
    step = next(e for e in events_of_a_run() if type(e).__name__ == "StepRecorded")
    line = json.dumps({"event": "StepRecorded"} | asdict(step) | {"train_loss": "nan"})
    assert event_of_line(line) is not None


def report() -> dict[str, Any]:
    return next(dict(e.report) for e in events_of_a_run() if type(e).__name__ == "Evaluated")


@pytest.mark.parametrize("fault", WORST)
def test_a_report_with_any_value_anywhere_is_drawn_or_called_faulty(
    tmp_path: Path, fault: str
) -> None:
    for path in _paths(report()):
        changed = json.loads(json.dumps(report()))
        holder = changed
        for key in path[:-1]:
            holder = holder[key]
        holder[path[-1]] = WORST[fault]
        try:
            readable = PartReport.of(changed)
        except ValueError:
            continue
        drawn_words(RunView(report=readable), tmp_path)


def _paths(tree: object, before: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [before] if before else []
    pairs = tree.items() if isinstance(tree, dict) else ()
    pairs = enumerate(tree) if isinstance(tree, list) else pairs
    return found + [path for key, inner in pairs for path in _paths(inner, (*before, key))]


def test_an_operating_point_without_all_its_counts_is_called_faulty() -> None:
    changed = report()
    changed["findings"]["Mass"]["operating_point"]["counts"] = {"true_positives": 3}
    with pytest.raises(ValueError, match="counts"):
        PartReport.of(changed)


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), float("-inf")])
def test_a_length_of_time_that_is_none_is_a_dash(seconds: float) -> None:
    assert duration(seconds) == "–"


ABSURD: dict[str, dict[str, dict[str, object]]] = {
    "greatest numbers": {
        "StepRecorded": {"train_loss": 1.7e308, "learning_rate": -1.7e308, "step": 10**15},
        "EpochDone": {"val_loss": -1.7e308, "epoch": 10**15, "mean_auroc": 1e308},
        "ModelReady": {"base_rate_loss": 1.7e308, "steps_per_epoch": 10**15},
        "EpochStarted": {"epoch": 10**15, "steps": 10**15},
    },
    "no numbers": {
        "StepRecorded": {"train_loss": "nan", "learning_rate": "inf", "images_per_second": "nan"},
        "EpochDone": {"val_loss": "-inf", "mean_auroc": "nan", "auroc": {"Mass": "nan"}},
        "ModelReady": {"base_rate_loss": "nan"},
        "IngestProgress": {"images_per_second": "inf", "seconds_left": "nan"},
    },
    "zeros": {
        "StepRecorded": {"step": 0, "epoch": 0, "time": 0},
        "EpochDone": {"epoch": 0, "step": 0, "is_best": True},
        "ModelReady": {"steps_per_epoch": 0},
        "EpochStarted": {"epoch": 0, "steps": 0},
        "DatasetReady": {"images": {}, "patients": {}, "positives": {}, "findings": []},
    },
    "odd texts": {
        "DatasetReady": {"findings": [ODD, "", "Mass"], "table_version": ODD},
        "Warned": {"message": ODD * 20, "where": ODD},
        "ModelReady": {"weights": ODD, "device": ODD, "device_name": ODD},
        "Evaluated": {"report": {"findings": {ODD: {"auroc": 0.5}}, "warnings": [ODD]}},
        "Paused": {"reason": ODD},
    },
    "a report of nothing": {"Evaluated": {"report": {}}},
    "a report that is none": {"Evaluated": {"report": {"findings": [1, 2], "images": "many"}}},
}


@pytest.mark.parametrize(
    ("case", "last"),
    list(
        zip(
            ABSURD,
            ["Finished", "EpochDone", "Paused", "Finished", "Failed", "Stopped"],
            strict=True,
        )
    ),
)
async def test_the_screens_show_a_run_whose_events_are_absurd(
    tmp_path: Path, cache_dir: Path, case: str, last: str
) -> None:
    workspace = Workspace(tmp_path / "sessions", cache_dir, device="cpu")
    session = create_session(workspace.sessions, Recipe(), "absurd")
    kept = []
    for event in events_of_a_run():
        name = type(event).__name__
        kept.append(json.dumps({"event": name} | asdict(event) | ABSURD[case].get(name, {})))
    ends = ("Finished", "Stopped", "Failed")
    kept = [line for line in kept if not any(f'"{end}"' in line for end in ends)]
    kept += [line for line in _lines() if f'"event": "{last}"' in line][-1:]
    session.events_path.write_text("\n".join([*kept, ""]))
    app = ConsoleApp(workspace)
    async with app.run_test(size=(120, 40)) as pilot:
        for mode in ("training", "results"):
            app.open_session("absurd", mode)
            await until(pilot, lambda mode=mode: app.current_mode == mode, mode)
            await shows(pilot, "absurd", seconds=8)
            for key in ("full_stop", "l", "full_stop", "O", "z", "e", "escape"):
                await press(pilot, key)
        assert "\x1b" not in plain(app)
        await press(pilot, "1")
        await shows(pilot, "absurd", seconds=8)


def _lines() -> list[str]:
    return [
        json.dumps({"event": type(event).__name__} | asdict(event)) for event in events_of_a_run()
    ]
