"""A network that learnt what the label table knows (age, view position) is told as such, by a run.

Two findings are made up: one is the view position, the other the patient's age. The healthy twin,
whose findings are in the images, is run in ``test_replay.py``.
"""

import csv

import numpy as np
import pytest

from core.data.phantom import write_phantom
from core.events import Evaluated
from core.recipe_toml import load_recipe
from core.requests import Request
from core.run import Machine, run
from core.store.sessions import create_session

OTHERWISE = 0.1
"""Share of images whose finding is not what the view position says."""

KEYS = {
    "dataset.phantom": "none",
    "dataset.findings": "Edema,Emphysema",
    "image.size_px": 32,
    "split.by": "patient",
    "split.train": 0.35,
    "split.val": 0.05,
    "split.test": 0.6,
    "train.precision": "fp32",
    "evaluate.bootstrap": 100,
}


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Of the test part, as a run tells it at its end."""
    folder = tmp_path_factory.mktemp("table")
    write_phantom(folder / "set", patients=300, size_px=64, seed=1)
    edema_is_ap_and_emphysema_is_old(folder / "set" / "Data_Entry_2017_v2020.csv")
    keys = KEYS | {"dataset.images": folder / "set"}
    recipe = load_recipe("broken-nothing", [f"{key}={value}" for key, value in keys.items()])
    events = []
    session = create_session(folder, recipe, "one")
    run(session, events.append, lambda: Request.CONTINUE, Machine("cpu", folder / "cache"))
    (evaluated,) = [event for event in events if isinstance(event, Evaluated)]
    return evaluated.report


def edema_is_ap_and_emphysema_is_old(table):
    with table.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    median_age = np.median([int(row["Patient Age"]) for row in rows])
    rng = np.random.default_rng(0)
    for row in rows:
        is_edema = (row["View Position"] == "AP") != bool(rng.random() < OTHERWISE)
        is_emphysema = bool(int(row["Patient Age"]) >= median_age)
        found = [*["Edema"] * is_edema, *["Emphysema"] * is_emphysema]
        row["Finding Labels"] = "|".join(found) or "No Finding"
    with table.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def told(report, check):
    return next(answer for answer in report["health"] if answer["check"] == check)


def test_a_network_no_better_than_the_table_is_told(report):
    found = told(report, "reads-the-table")
    assert found["severity"] == "warning"
    assert found["evidence"]["above_table"] < 0
    assert found["evidence"]["interval_low"] <= 0


def test_an_auroc_that_is_the_view_position_is_told(report):
    found = told(report, "collapses-within-view")
    assert found["severity"] == "warning"
    assert found["evidence"]["finding"] == "Edema"
    assert found["evidence"]["auroc"] > 0.7
