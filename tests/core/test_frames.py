"""Sessions in Python: the page's examples run, and frames hold what files and reports hold."""

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from places import REPOSITORY

from core.errors import DataError, RunFailedError, UsageError
from core.evaluation.maps.cam_table import COLUMNS, add_to_table, read_maps
from core.evaluation.part_scores import read_part_scores
from core.frames import frame_of, open_run, predictions_of, score
from core.recipe_toml import load_recipe
from core.store.session import Session
from core.store.sessions import create_session


@pytest.fixture
def run(trained_dir, cache_dir):
    return open_run(trained_dir, cache=cache_dir)


def test_every_example_of_the_page_runs(trained_dir, phantom_dir, cache_dir, tmp_path, monkeypatch):
    (tmp_path / "scans").symlink_to(next(phantom_dir.rglob("*.png")).parent)
    shutil.copytree(trained_dir, tmp_path / "sessions/demo")
    shutil.copytree(cache_dir, tmp_path / "cache/cxr-tui", symlinks=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    page = (REPOSITORY / "docs/python.md").read_text()
    examples = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert len(examples) == 11
    names = {}
    for example in examples:
        exec(compile(example, "docs/python.md", "exec"), names)


def test_figures_are_those_of_the_report_and_undefined_ones_are_nan(run, trained_dir):
    kept = json.loads((trained_dir / "evaluation/test.json").read_text())
    figures = run.figures("test")
    assert list(figures.index) == [*kept["findings"], "mean"]
    for name, entry in kept["findings"].items():
        assert figures.loc[name, "auroc"] == entry["auroc"]
        low, high = entry["auroc_ci"] or (np.nan, np.nan)
        assert figures.loc[name, ["auroc_low", "auroc_high"]].tolist() == pytest.approx(
            [low, high], nan_ok=True
        )
    assert figures.loc["mean", "auroc"] == kept["mean_auroc"]
    assert figures.dtypes.eq("float64").all()


def test_predictions_come_and_go_without_a_digit_lost(run, trained_dir):
    kept = read_part_scores(Session(trained_dir), "test").predictions
    back = predictions_of(frame_of(kept))
    assert back.findings == kept.findings
    np.testing.assert_array_equal(back.scores_NF, kept.scores_NF)
    np.testing.assert_array_equal(back.labels_NF, kept.labels_NF)
    assert back.images.tolist() == kept.images.tolist()
    same_patient = kept.patients[:, None] == kept.patients
    np.testing.assert_array_equal(back.patients[:, None] == back.patients, same_patient)


def test_steps_and_epochs_have_a_row_each_and_the_last_of_a_step_taken_twice(run, trained_dir):
    events = [json.loads(line) for line in (trained_dir / "events.jsonl").open()]
    done = {e["epoch"]: e for e in events if e["event"] == "EpochDone"}
    epochs = run.epochs()
    assert list(epochs.index) == sorted(done)
    assert epochs["val_loss"].tolist() == [done[epoch]["val_loss"] for epoch in sorted(done)]
    last = {e["step"]: e for e in events if e["event"] == "StepRecorded"}
    assert run.steps()["train_loss"].to_dict() == {n: e["train_loss"] for n, e in last.items()}


def test_what_is_undefined_is_nan_and_a_session_that_has_not_begun_has_empty_tables(tmp_path):
    session = create_session(tmp_path, load_recipe("demo"), "begun")
    fresh = open_run(session.path)
    assert fresh.steps().empty
    assert fresh.epochs().empty
    figures = {"train_loss": 0.5, "val_loss": 0.5, "mean_auroc": None, "auroc": {"Mass": None}}
    done = figures | {"event": "EpochDone", "time": 1.0, "epoch": 1, "step": 2, "selected_on": []}
    done |= {"is_best": True, "learning_rate": 0.1, "seconds": 1.0}
    session.events_path.write_text(json.dumps(done) + "\n")
    epochs = fresh.epochs()
    assert epochs[["mean_auroc", "auroc_Mass"]].dtypes.eq("float64").all()
    assert epochs[["mean_auroc", "auroc_Mass"]].isna().all(axis=None)


def test_anybodys_scores_are_scored_as_a_report_scores_them():
    labels = [1, 1, 1, 0, 0, 0, 0, np.nan]
    frame = pd.DataFrame({"Mass": labels, "prob_Mass": [9, 8, 3, 7, 2, 1, 0, 5]})
    figures = score(frame, bootstrap=0)
    assert figures.loc["Mass", "auroc"] == pytest.approx(11 / 12, abs=1e-6)
    assert figures.loc["Mass", "positives"] == 3
    assert np.isnan(figures.loc["mean", "auroc_low"])


def test_without_patients_every_image_is_a_patient_of_its_own():
    frame = pd.DataFrame({"Mass": [1, 0], "prob_Mass": [0.9, 0.1]})
    assert len(set(predictions_of(frame).patients.tolist())) == 2
    named = frame.assign(**{"Patient ID": ["ann", "ann"]})
    assert len(set(predictions_of(named).patients.tolist())) == 1


def test_what_is_missing_or_not_finite_is_named():
    with pytest.raises(DataError, match="no column Nodule"):
        score(pd.DataFrame({"Mass": [1, 0], "prob_Nodule": [0.1, 0.2]}))
    with pytest.raises(DataError, match="no column prob_<Finding>"):
        score(pd.DataFrame({"Mass": [1, 0]}))
    with pytest.raises(RunFailedError, match="scores of Mass are not finite"):
        score(pd.DataFrame({"Mass": [1, 0], "prob_Mass": [0.1, np.nan]}))


def test_a_map_is_of_the_image_that_is_asked_for_and_an_unknown_one_is_refused(run):
    image = run.predictions("test").index[0]
    found = run.heat_map(image, "Effusion", device="cpu")
    size = run.recipe["image"]["size_px"]
    assert found.image_SS.shape == found.heat_SS.shape == (size, size)
    assert 0 <= found.heat_SS.min() <= found.heat_SS.max() <= 1
    row = run.predictions("test").loc[image]
    assert found.probability == pytest.approx(row["prob_Effusion"], abs=1e-3)
    with pytest.raises(DataError, match=r"no part has a scored image 'nobody\.png'"):
        run.heat_map("nobody.png", "Effusion", device="cpu")
    with pytest.raises(UsageError, match="was not trained on"):
        run.heat_map(image, "Hernia", device="cpu")


def test_the_label_table_has_what_is_known_of_each_image_by_its_name(run):
    table, scored = run.labels(), run.predictions("test")
    assert {"Patient ID", "age_years", "sex", "view", "follow_up"} <= set(table.columns)
    assert table.index.name == "Image Index"
    joined = scored.join(table, rsuffix="_in_table")
    assert (joined["Patient ID"] == joined["Patient ID_in_table"]).all()
    assert (joined["Effusion"] == joined["Effusion_in_table"]).all()
    assert len(table) == len(run.split())


def test_the_maps_table_has_names_as_text_numbers_and_truths_or_what_is_missing(run, tmp_path):
    assert run.maps().empty
    known = {"Image Index": "007", "Patient ID": "NA", "hit": 1, "peak_x": "3.5", "file": "a.png"}
    unknown = {"Image Index": "b", "Patient ID": "2", "hit": "", "peak_x": "", "file": "b.png"}
    rows = [dict.fromkeys(COLUMNS, "") | row for row in (known, unknown)]
    add_to_table(tmp_path / "cams.csv", rows)
    maps = read_maps(tmp_path / "cams.csv")
    assert maps["Image Index"].tolist() == ["007", "b"]
    assert maps["Patient ID"].tolist() == ["NA", "2"]
    assert maps["hit"].tolist() == [True, pd.NA]
    assert maps["peak_x"].tolist() == pytest.approx([3.5, np.nan], nan_ok=True)


def test_a_finding_or_part_that_is_not_there_is_named(run):
    with pytest.raises(DataError, match="no finding 'Hernia'"):
        run.roc("Hernia")
    with pytest.raises(DataError, match="no predictions for the train part"):
        run.predictions("train")


def test_any_images_get_the_probabilities_of_the_run_and_what_cannot_be_read_says_why(
    run, phantom_dir, tmp_path
):
    files = {path.name: path for path in phantom_dir.rglob("*.png")}
    kept = run.predictions("test")
    (tmp_path / "not.png").write_text("no image")
    found = run.predict([*(files[name] for name in kept.index), tmp_path / "not.png"], device="cpu")
    assert found.index[:-1].tolist() == [str(files[name]) for name in kept.index]
    for column in (name for name in kept if name.startswith("prob_")):
        assert np.allclose(found[column][:-1], kept[column], atol=1e-5)
    last = found.iloc[-1]
    assert last["error"] == "not an image"
    assert np.isnan(last["prob_Effusion"])
    assert pd.isna(last["call_Effusion"])
    assert set(found["call_Effusion"][:-1]) <= {0, 1}
    assert run.predict([], device="cpu").empty
