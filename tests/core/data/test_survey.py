"""A data set read once and looked at again after each change, against reading it anew."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tables import (
    image_name,
    names_in,
    random_rows,
    row_v2020,
    write_boxes,
    write_images,
    write_lines,
    write_v2020,
)

from core.data.cache.quarantine import write_quarantine
from core.data.images.image_files import images_fingerprint
from core.data.study.split import make_split
from core.data.study.study import audit_study
from core.data.study.survey import picture_of, read_survey, with_found_images
from core.errors import DataError
from core.recipe import Recipe


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nih")
    rows = random_rows(80)
    write_v2020(folder / "Data_Entry_2017_v2020.csv", rows)
    names = [row.partition(",")[0] for row in rows]
    test = [name for name in names if int(name[:8]) % 4 == 0]
    write_lines(folder / "train_val_list.txt", sorted({*names} - {*test}))
    write_lines(folder / "test_list.txt", test)
    write_boxes(folder / "BBox_List_2017.csv", [f"{test[0]},Nodule,100,100,64,56"])
    return folder


def recipe_of(folder, **sections):
    sections["dataset"] = {"images": folder} | sections.get("dataset", {})
    return Recipe.model_validate(sections)


@given(
    by=st.sampled_from(["official", "patient"]),
    seed=st.integers(0, 5),
    findings=st.sampled_from([("Mass",), ("Hernia", "Nodule"), ("Nodule", "Mass", "Edema")]),
    prevalence=st.sampled_from([None, 0.3, 0.6]),
)
@settings(max_examples=20, deadline=None)
def test_a_change_gives_what_a_fresh_audit_gives(folder, by, seed, findings, prevalence):
    changed = recipe_of(
        folder,
        dataset={"findings": findings},
        split={"by": by, "seed": seed},
        subset={"finding": "Mass", "prevalence": prevalence} if prevalence else {},
    )
    survey = read_survey(recipe_of(folder), folder / "cache")
    picture_of(survey, recipe_of(folder))
    assert picture_of(survey, changed).report == audit_study(
        changed, folder / "cache", labels_only=True
    )


def test_images_before_the_subset_are_those_of_the_split(folder):
    recipe = recipe_of(folder, subset={"finding": "Mass", "prevalence": 0.5})
    survey = read_survey(recipe, folder / "cache")
    picture = picture_of(survey, recipe)
    split = make_split(survey.index, recipe.split, survey.sources)
    assert picture.images_before_subset == {part: len(split.rows[part]) for part in split.rows}
    assert picture.images_before_subset["train"] > picture.report["parts"]["train"]["images"]


def test_a_finding_that_the_table_does_not_know_is_refused_with_those_it_knows(tmp_path):
    lines = ["Image Index,Patient ID,Mass,Edema"]
    lines += [f"{image_name(patient)},{patient},{patient % 2},1" for patient in range(1, 9)]
    write_lines(tmp_path / "Data_Entry_2017.csv", lines)
    survey = read_survey(recipe_of(tmp_path), tmp_path)  # all 14 asked for: read all the same
    assert set(survey.index.findings) == {"Mass", "Edema"}
    with pytest.raises(DataError, match=r"Atelectasis.*It has Mass, Edema"):
        picture_of(survey, recipe_of(tmp_path, split={"by": "patient"}))
    mass = recipe_of(tmp_path, dataset={"findings": ["Mass"]}, split={"by": "patient"})
    assert picture_of(survey, mass).report["findings"] == ["Mass"]


def test_images_that_are_there_are_counted_and_those_an_ingest_refused_are_named(tmp_path):
    rows = [row_v2020(patient) for patient in range(1, 7)]
    write_v2020(tmp_path / "Data_Entry_2017_v2020.csv", rows)
    write_images(tmp_path / "images", [image_name(patient) for patient in (1, 2, 3, 4)])
    write_images(tmp_path / "images", ["99999999_000.png"])
    cache = tmp_path / "cache"
    survey = read_survey(recipe_of(tmp_path), cache)
    assert survey.index.missing_images is None
    found = with_found_images(survey, cache)
    assert (found.index.missing_images, found.index.extra_images) == (2, 1)
    assert found.quarantined == {}
    place = cache / f"224px-squash-v2-{images_fingerprint(found.index.files)}"
    place.mkdir(parents=True)
    write_quarantine(place / "quarantine.csv", {image_name(2): "truncated"})
    assert with_found_images(survey, cache).quarantined == {image_name(2): "truncated"}


def test_parts_are_drawn_over_the_images_that_are_there(folder, tmp_path):
    survey = read_survey(recipe_of(folder), tmp_path)
    some = names_in(survey.index, slice(0, None, 2))
    there = write_images(tmp_path / "there", some)
    for name in ("Data_Entry_2017_v2020.csv", "train_val_list.txt", "test_list.txt"):
        (there / name).write_bytes((folder / name).read_bytes())
    found = with_found_images(read_survey(recipe_of(there), tmp_path), tmp_path)
    report = picture_of(found, recipe_of(there)).report
    assert report["images_in_parts"] == len(some)
    assert report["partial"]
