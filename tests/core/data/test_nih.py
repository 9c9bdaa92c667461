"""The engine on real NIH images, where they are."""

import json
import sys

import numpy as np
import pytest
import warm_start
from PIL import Image
from small_runs import json_lines

from core.data.tables.boxes import read_boxes
from core.evaluation.maps.cams import draw_cams
from core.evaluation.maps.candidates import Candidate
from core.evaluation.maps.map_geometry import is_inside
from core.evaluation.maps.map_source import open_map_source
from core.evaluation.maps.usual_place import usual_places
from core.store.session import Session


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
    done = warm_start.run(
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


@pytest.mark.parametrize(
    ("finding", "share"),
    [
        ("Effusion", 0.353),
        ("Pneumothorax", 0.286),
        ("Mass", 0.318),
        ("Pneumonia", 0.408),
        ("Cardiomegaly", 0.986),
    ],
)
def test_the_usual_place_hits_nihs_boxes_as_often_as_known(nih_dir, finding, share):
    """The shares take the first of several highest points; others of them move a share by 0.04."""
    table = read_boxes(nih_dir / "BBox_List_2017.csv")
    table = table.take(table.finding == finding)
    boxes_B4 = np.column_stack([table.x, table.y, table.w, table.h])
    patients_B = np.array([int(image.split("_")[0]) for image in table.image])
    places = usual_places(patients_B, [box[None] for box in boxes_B4], table.size_px)
    hits = [
        is_inside(*places[patient].peak, box[None])
        for patient, box in zip(patients_B.tolist(), boxes_B4, strict=True)
    ]
    assert np.mean(hits) == pytest.approx(share, abs=0.04)


def test_maps_of_real_images_meet_their_boxes_and_are_saved(trained, nih_dir):
    session, _ = trained
    done = warm_start.run(
        [
            *(sys.executable, "-m", "cxr_tui", "cam", str(session), "--count", "4", "--json"),
            *("--cache", str(session.parents[1] / "cache"), "--device", "cpu"),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=session.parents[1],
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["with_boxes"] > 0
    for one in told["cams"]:
        # Twice NIH's own 1024 pixels across, the image as it is and with its map; the scale.
        assert 2048 < Image.open(one["file"]).size[0] < 2400
    assert told["localization"]["maps"] > 0
    assert told["localization"]["cell_px_of_1024"] == pytest.approx(1024 / 5, abs=0.1)


def test_images_with_four_channels_get_an_overlay_too(trained, nih_dir):
    session, _ = trained
    source = open_map_source(Session(session), session.parents[1] / "cache", "cpu")
    index = source.study.index
    rgba = [name for name in index.images if Image.open(index.files[name].path).mode == "RGBA"]
    assert len(rgba) == 4
    candidates = [
        Candidate(
            image=image,
            patient=source.patient(image),
            finding="Mass",
            label=source.label(image, "Mass"),
            probability=None,
            boxes_K4=np.zeros((0, 4)),
            kind="false negative",
        )
        for image in rgba
    ]
    drawn = draw_cams(source, candidates, "grad-cam")
    assert [found.width_px for found in drawn.shown] == [1024] * 4
