"""Predictions of a network that was trained, spoilt as people spoil theirs, and known for it.

The network scores a synthetic set of other patients than it was trained on; a script would write
such a file, and ``cxr-tui evaluate --predictions`` is what it is asked about.
"""

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from core.data.batches import to_unit_range
from core.data.phantom import write_phantom
from core.data.tables.label_table import read_label_table
from core.evaluation.predictions import Predictions
from core.health.scores import check_scores
from core.model.weights import load_weights
from core.recipe_toml import load_recipe
from core.requests import Request
from core.run import Machine, run
from core.store.sessions import create_session

FINDINGS = ("Cardiomegaly", "Effusion", "Pneumothorax")
PATIENTS, SIZE_PX, SCORED_AT_ONCE = 200, 64, 64


@dataclass(frozen=True)
class Scored:
    """Good predictions and the label table that they are judged by."""

    predictions: Predictions
    labels: Path

    def spoilt(self, spoil: Callable) -> Predictions:
        return replace(self.predictions, scores_NF=spoil(self.predictions.scores_NF))

    def written(self, path: Path, spoil: Callable) -> Path:
        with path.open("w", newline="") as stream:
            rows = csv.writer(stream)
            rows.writerow(["Image Index", *(f"prob_{finding}" for finding in FINDINGS)])
            scores_NF = self.spoilt(spoil).scores_NF.tolist()
            for image, scores in zip(self.predictions.images, scores_NF, strict=True):
                rows.writerow([image, *scores])
        return path


KEYS = (
    f"dataset.phantom={{ patients = 180, size_px = {SIZE_PX}, seed = 59 }}",
    "train.epochs=6",
    "train.few_images_first=never",
    "evaluate.bootstrap=20",
)


@pytest.fixture(scope="module")
def healthy(tmp_path_factory, cache_dir):
    """A session whose columns are apart: each finding is learnt well."""
    session = create_session(
        tmp_path_factory.mktemp("healthy"), load_recipe("broken-nothing", KEYS), "one"
    )
    run(session, lambda _: None, lambda: Request.CONTINUE, Machine("cpu", cache_dir))
    return session.path


@pytest.fixture(scope="module")
def scored(healthy, tmp_path_factory):
    folder = tmp_path_factory.mktemp("others") / "set"
    write_phantom(folder, patients=PATIENTS, size_px=SIZE_PX, seed=11)
    table = read_label_table(folder / "Data_Entry_2017_v2020.csv")
    files = {path.name: path for path in folder.rglob("*.png")}
    pixels_NHW = np.stack(
        [np.asarray(Image.open(files[name]).convert("L")) for name in table.images_N]
    )
    model = load_weights(str(healthy), FINDINGS, seed=0).model.eval()
    with torch.inference_mode():
        logits_NF = torch.cat(
            [
                model(to_unit_range(torch.from_numpy(pixels_BHW)))
                for pixels_BHW in np.array_split(pixels_NHW, len(pixels_NHW) // SCORED_AT_ONCE)
            ]
        )
    return Scored(
        Predictions(
            images=table.images_N,
            patients=table.patients_N,
            findings=FINDINGS,
            labels_NF=table.labels_NA[:, [table.findings.index(name) for name in FINDINGS]],
            scores_NF=torch.sigmoid(logits_NF.double()).numpy(),
        ),
        folder / "Data_Entry_2017_v2020.csv",
    )


def checks(predictions):
    return [found.check for found in check_scores(predictions)]


def unspoilt(scores_NF):
    return scores_NF


def truncated(scores_NF):
    return scores_NF.astype(int)


def thresholded(scores_NF):
    return (scores_NF > 0.5).astype(int)


def with_last_two_swapped(scores_NF):
    return scores_NF[:, [0, 2, 1]]


def squashed_again(scores_NF):
    return 1 / (1 + np.exp(-scores_NF))


def of_a_third_rounded(scores_NF):
    return np.where(np.arange(len(scores_NF))[:, None] % 3 == 0, scores_NF.round(), scores_NF)


SPOILT = [
    (unspoilt, []),
    (truncated, ["scores-hard"]),
    (thresholded, ["scores-hard"]),
    (lambda scores_NF: scores_NF.round(1), ["scores-rounded"]),
    (lambda scores_NF: np.full_like(scores_NF, 0.2), ["scores-hard"]),
    (squashed_again, ["sigmoid-twice"]),
    (of_a_third_rounded, ["scores-saturated"]),
    (lambda scores_NF: 1 - scores_NF, ["scores-inverted"]),
    (with_last_two_swapped, ["columns-swapped"]),
]


@pytest.mark.parametrize(("spoil", "expected"), SPOILT)
def test_each_way_of_spoiling_a_networks_scores_is_known(scored, spoil, expected):
    assert checks(scored.spoilt(spoil)) == expected


def test_swapped_columns_are_named(scored):
    (found,) = check_scores(scored.spoilt(with_last_two_swapped))
    assert "Effusion in the column of Pneumothorax" in found.text
    assert found.evidence["mean_auroc_if_moved"] > found.evidence["mean_auroc"]


@pytest.mark.parametrize(
    ("spoil", "mistake"), [(truncated, ".astype(int)"), (thresholded, "thresholded")]
)
def test_evaluate_names_the_mistake_once(cxr_tui, scored, tmp_path, spoil, mistake):
    arguments = evaluating(scored, tmp_path, spoil)
    as_json = cxr_tui(*arguments, "--json")
    report = json.loads(as_json.stdout)
    (answer,) = report["health"]
    assert (answer["check"], answer["severity"]) == ("scores-hard", "warning")
    assert mistake in answer["text"]
    assert all(figures["note"] for figures in report["findings"].values()), "the contract's"
    for_people = cxr_tui(*arguments)
    words = " ".join(for_people.stdout.split())
    assert f"▲ {answer['text']}" in words
    assert "two values" not in words
    assert "every score is" not in words
    assert (as_json.returncode, for_people.returncode) == (0, 0)


def test_evaluate_is_silent_on_good_predictions(cxr_tui, scored, tmp_path):
    arguments = evaluating(scored, tmp_path, unspoilt)
    report = json.loads(cxr_tui(*arguments, "--json").stdout)
    assert report["health"] == []
    assert report["mean_auroc"] > 0.7
    for_people = cxr_tui(*arguments).stdout
    assert "▲" not in for_people
    assert "■" not in for_people


def evaluating(scored, folder, spoil):
    predictions = scored.written(folder / "mine.csv", spoil)
    places = ("--predictions", predictions, "--labels", scored.labels)
    return ("evaluate", *places, "--bootstrap", "50")
