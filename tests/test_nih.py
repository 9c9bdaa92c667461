"""The engine on real NIH images, where they are."""

import json
import subprocess
import sys

import pytest
from conftest import json_lines


@pytest.fixture(scope="module")
def trained(nih_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("nih")
    keys = (
        f"dataset.images={nih_dir}",
        "dataset.partial=true",
        "model.weights=none",
        "split.by=patient",
        "image.size_px=160",
        "train.epochs=2",
    )
    sets = [item for key in keys for item in ("--set", key)]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "cxr_tui", "--batch", "nih-14", "--session", "real"),
            *("--cache", str(folder / "cache"), "--json", *sets),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return folder / "sessions" / "real", json_lines(done.stdout)


def test_the_reports_first_run_trains_on_real_images_to_the_end(trained):
    _, events = trained
    assert events[-1]["event"] == "Finished"
    assert [event["epoch"] for event in events if event["event"] == "EpochDone"] == [1, 2]


def test_every_real_image_decodes(trained):
    _, events = trained
    (ingest,) = [event for event in events if event["event"] == "IngestDone"]
    assert (ingest["images"], ingest["quarantined"]) == (240, {})


def test_figures_of_a_part_of_nih_say_how_much_that_was(trained):
    session, _ = trained
    report = json.loads((session / "evaluation/test.json").read_text())
    assert len(report["findings"]) == 14
    assert report["dataset_share"] == pytest.approx(240 / 112_120, rel=1e-3)
    assert any("0.21 %" in warning for warning in report["warnings"])
    assert report["table_alone"]["mean_auroc"] is not None


def test_the_epoch_is_chosen_by_val_loss_where_patients_are_few_and_it_says_so(trained):
    _, events = trained
    done = [event for event in events if event["event"] == "EpochDone"]
    assert all(event["selected_on"] == ["val loss"] for event in done)
    assert any("min_positive_patients" in e.get("message", "") for e in events)
