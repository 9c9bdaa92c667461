"""Whether another data set shares patients or images with what the network was trained on."""

import csv
import json
import shutil
from pathlib import Path

import pytest
from tables import image_name, row_v2020, write_images, write_v2020

from core.data.study.study import prepare_study
from core.errors import DataError
from core.evaluation.external.external_data import external_recipe, open_external
from core.evaluation.external.own_side import OwnSide
from core.evaluation.external.seen_before import (
    names_seen_before,
    patients_seen_before,
    refuse_seen,
)
from core.model.provenance import FRESH, OWN, XRV_NIH, XRV_OTHER, Provenance
from core.recipe import Recipe
from core.store.session import Session

COLLECTIONS = Path(__file__).parents[2] / "collections"
FINDINGS = ("Mass", "Pneumonia", "Pneumothorax")


def nih_folder(folder, patients):
    """A folder in NIH's form; every other patient has a mass."""
    rows = [
        row_v2020(one, labels="Mass" if place % 2 else "No Finding")
        for place, one in enumerate(patients)
    ]
    write_images(folder / "images", [image_name(one) for one in patients])
    write_v2020(folder / "Data_Entry_2017_v2020.csv", rows)
    return folder


def own_table(folder, images, patients):
    """A table of somebody's own."""
    write_images(folder, images)
    rows = [
        [name, one, place % 2]
        for place, (name, one) in enumerate(zip(images, patients, strict=True))
    ]
    with (folder / "ours.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["Image Index", "Patient ID", "Mass"], *rows])
    return folder


def opened(folder, tmp_path):
    recipe = external_recipe(Recipe(), [f"dataset.images={folder}", "dataset.partial=true"])
    return open_external(recipe, "all", FINDINGS, tmp_path / "cache", chosen=False)


@pytest.fixture
def on_nih(tmp_path):
    """A session on NIH's patients 1 to 12: its own side."""
    folder = nih_folder(tmp_path / "nih", range(1, 13))
    recipe = Recipe.model_validate(
        {"dataset": {"images": folder, "findings": ["Mass"]}, "split": {"by": "patient"}}
    )
    session = tmp_path / "session"
    session.mkdir()
    (session / "dataset.json").write_text(json.dumps({"kind": "nih"}))
    study = prepare_study(recipe, tmp_path / "cache", labels_only=True)
    return OwnSide(Session(session), None, None, study)


def own(numbers, dataset="nih", started_from=None):
    return Provenance(OWN, "session a", frozenset(numbers), dataset, started_from)


def test_nihs_patients_are_the_same_people_in_every_copy_of_it(on_nih, tmp_path):
    data = opened(nih_folder(tmp_path / "copy", [2, 40, 41]), tmp_path)
    seen = patients_seen_before(own({1, 2, 3}), on_nih, data)
    assert (seen.level, seen.patients) == ("named", 1)
    with pytest.raises(DataError, match=r"1 of 3 patients are among .* session a .*--insist"):
        refuse_seen(seen, data)
    others = opened(nih_folder(tmp_path / "others", [40, 41]), tmp_path)
    refuse_seen(patients_seen_before(own({1, 2, 3}), on_nih, others), others)


def test_earlier_stages_of_the_weights_count_too(on_nih, tmp_path):
    data = opened(nih_folder(tmp_path / "copy", [2, 40]), tmp_path)
    weights = own({500}, started_from=own({2}, started_from=Provenance(FRESH, "none")))
    assert patients_seen_before(weights, on_nih, data).level == "named"


def test_a_hospitals_numbers_are_not_nihs_but_nihs_files_are_known_by_their_names(on_nih, tmp_path):
    ours = opened(own_table(tmp_path / "ours", ["a.png", "b.png"], [1, 2]), tmp_path)
    assert patients_seen_before(own({1, 2}), on_nih, ours).level == "none"
    trained = [image_name(1), image_name(2)]
    assert names_seen_before(trained, ours).level == "none"
    files = ["x/" + image_name(2), image_name(77)]
    (tmp_path / "relabelled" / "x").mkdir(parents=True)
    relabelled = opened(own_table(tmp_path / "relabelled", files, [8, 9]), tmp_path)
    seen = names_seen_before(trained, relabelled)
    assert (seen.level, seen.images) == ("named", 1)
    assert image_name(2) in seen.messages[0]


def test_equal_numbers_in_two_tables_of_ones_own_may_be_the_same_people(on_nih, tmp_path):
    ours = opened(own_table(tmp_path / "ours", ["a.png", "b.png"], [1, 2]), tmp_path)
    hospital = OwnSide(on_nih.session, None, None, None)
    seen = patients_seen_before(own({2, 3}, dataset="0f3a"), hospital, ours)
    assert seen.level == "possible"
    assert "of one hospital" in seen.messages[0]
    assert patients_seen_before(own({7}, dataset="0f3a"), hospital, ours).level == "none"


def test_rsnas_images_are_nihs_so_without_its_mapping_any_patient_may_have_been_trained_on(
    on_nih, tmp_path
):
    folder = shutil.copytree(COLLECTIONS / "rsna_pneumonia", tmp_path / "rsna")
    with_mapping = opened(folder, tmp_path)
    assert with_mapping.study.patients_known_as == "nih"
    theirs = {int(one) for one in with_mapping.index.patients}
    assert patients_seen_before(own({1}), on_nih, with_mapping).level == "none"
    assert patients_seen_before(own(theirs), on_nih, with_mapping).level == "named"
    next(folder.glob("*mappings*.json")).unlink()
    seen = patients_seen_before(own({1}), on_nih, opened(folder, tmp_path))
    assert seen.level == "possible"
    assert "are NIH's" in seen.messages[0]


@pytest.mark.parametrize(
    ("kind", "trained_on", "level"),
    [
        (XRV_NIH, "torchxrayvision, trained on nih", "possible"),
        (XRV_OTHER, "torchxrayvision, trained on chex, pc", "none"),
    ],
)
def test_published_weights_have_seen_what_they_were_trained_on(
    on_nih, tmp_path, kind, trained_on, level
):
    data = opened(nih_folder(tmp_path / "copy", [40, 41]), tmp_path)
    weights = own({1}, started_from=Provenance(kind, trained_on))
    assert patients_seen_before(weights, on_nih, data).level == level
