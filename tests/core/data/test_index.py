"""The label table in its versions, and its join with the images that are there."""

import os
from pathlib import Path

import numpy as np
import pytest
from tables import (
    HEADER_V2020,
    image_name,
    index_of,
    row_2017,
    row_v2020,
    write_2017,
    write_images,
    write_lines,
    write_v2020,
)

from core.data.study.index import build_index
from core.data.study.sources import locate_sources
from core.data.study.study_index import StudyIndex
from core.data.tables.label_table import read_label_table
from core.errors import DataError, RecipeError
from core.findings import FINDINGS
from core.recipe import Recipe

NIH = os.environ.get("CXR_NIH_DIR")
needs_nih = pytest.mark.skipif(not NIH, reason="CXR_NIH_DIR names no copy of NIH's files")


def reasons(counted) -> dict[str, int]:
    return {count.reason: count.images for count in counted.counts}


def nih_index(**dataset: object) -> StudyIndex:
    recipe = Recipe.model_validate({"dataset": {"images": NIH} | dataset})
    sources = locate_sources(recipe, cache=Path("unused"))
    return build_index(recipe, sources, labels_only="partial" not in dataset)


def test_both_nih_versions_are_recognised_by_content_and_give_the_same_patients(tmp_path):
    labels = ["Mass|Nodule", "No Finding", "Hernia"]
    v2020 = write_v2020(
        tmp_path / "a.csv", [row_v2020(7 + i, i, each) for i, each in enumerate(labels)]
    )
    v2017 = write_2017(
        tmp_path / "b.csv", [row_2017(7 + i, i, each) for i, each in enumerate(labels)]
    )

    new, old = read_label_table(v2020), read_label_table(v2017)

    assert (new.version, old.version) == ("NIH v2020", "NIH 2017")
    assert list(new.patients_N) == list(old.patients_N) == [7, 8, 9]
    assert np.array_equal(new.labels_NA, old.labels_NA)
    assert [FINDINGS[i] for i in np.flatnonzero(new.labels_NA[0])] == ["Mass", "Nodule"]
    assert list(old.follow_up_N) == [0, 1, 2]


def test_ages_of_2017_are_years_months_days_or_missing(tmp_path):
    ages = ["058Y", "011M", "001D", "414Y", "057Y"]
    table = read_label_table(
        write_2017(tmp_path / "t.csv", [row_2017(i, age=age) for i, age in enumerate(ages, 1)])
    )

    assert table.age_years_N[[0, 1, 4]] == pytest.approx([58, 11 / 12, 57])
    assert table.age_years_N[2] == pytest.approx(1 / 365.25)
    assert np.isnan(table.age_years_N[3])
    assert reasons(table)["age above 120 years treated as missing"] == 1


def test_a_plain_csv_has_a_column_a_finding_and_unknown_labels(tmp_path):
    path = write_lines(
        tmp_path / "t.csv",
        [
            "filename,subject_id,age,Mass,pleural thickening,remark",
            "a.png,12,40,1,,x",
            "b.png,12,41,0,0,",
            "c.png,13,,1.0,0.0,",
        ],
    )

    table = read_label_table(path, ["Pleural_Thickening", "Mass"])

    assert table.version == "plain CSV"
    assert table.findings == ("Mass", "Pleural_Thickening")
    assert np.array_equal(table.labels_NA, [[1, np.nan], [0, 0], [1, 0]], equal_nan=True)
    assert table.view_N is None
    assert np.isnan(table.age_years_N[2])


def test_patients_with_names_get_the_same_number_in_every_table(tmp_path):
    one = write_lines(tmp_path / "1.csv", ["image,patient,Mass", "a.png,P-7,1", "b.png,P-8,0"])
    two = write_lines(tmp_path / "2.csv", ["image,patient,Mass", "c.png,P-9,1", "d.png,P-7,0"])

    first, second = read_label_table(one), read_label_table(two)

    assert first.patients_N[0] == second.patients_N[1]
    assert len({*first.patients_N, *second.patients_N}) == 3
    assert first.patient_names[int(first.patients_N[0])] == "P-7"


def test_what_was_repaired_in_a_table_is_counted(tmp_path):
    rows = [
        row_v2020(1, 0, "Infiltrate"),
        row_v2020(2, 0, "Mass") + ",,",
        "",
        ",,,,,,,,,,",
        row_v2020(3),
        row_v2020(3),
        row_v2020(4, view="XX"),
    ]
    path = tmp_path / "t.csv"
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join([HEADER_V2020, *rows]).encode())

    table = read_label_table(path)

    assert list(table.images_N) == [image_name(i) for i in (1, 2, 3, 4)]
    assert table.labels_NA[0, FINDINGS.index("Infiltration")] == 1
    counted = reasons(table)
    assert "byte order mark ignored" in counted
    assert counted["finding spelled otherwise than by NIH"] == 1
    assert counted["blank rows ignored"] == 2
    assert counted["empty fields after the last column ignored"] == 1
    assert counted["duplicate row with equal values"] == 1
    assert counted["view position other than PA or AP treated as unknown"] == 1


def test_tables_and_lists_are_found_under_nih_names_and_v2020_comes_first(tmp_path):
    for name in ("Data_Entry_2017.csv", "BBox_List_2017.csv", "train_val_list.txt"):
        (tmp_path / name).write_text("x")
    recipe = Recipe.model_validate({"dataset": {"images": tmp_path}})

    before = locate_sources(recipe, cache=tmp_path)
    (tmp_path / "Data_Entry_2017_v2020.csv").write_text("x")
    after = locate_sources(recipe, cache=tmp_path)

    assert before.labels.name == "Data_Entry_2017.csv"
    assert after.labels.name == "Data_Entry_2017_v2020.csv"
    assert after.boxes == tmp_path / "BBox_List_2017.csv"
    assert after.test_list is None


def test_a_recipe_without_a_data_set_is_told_what_to_set(tmp_path):
    with pytest.raises(RecipeError, match=r"dataset\.images=.*phantom=\{patients=400\}"):
        locate_sources(Recipe(), cache=tmp_path)


def test_named_files_that_are_not_there_are_refused_by_their_key(tmp_path):
    write_v2020(tmp_path / "t.csv", [row_v2020(1)])
    for key in ("labels", "boxes", "images"):
        dataset = {"images": tmp_path, "labels": tmp_path / "t.csv"} | {key: tmp_path / "gone"}
        recipe = Recipe.model_validate({"dataset": dataset})
        with pytest.raises(DataError, match=f"dataset.{key}"):
            locate_sources(recipe, cache=tmp_path)


def test_a_phantom_is_made_once_and_a_broken_off_one_is_made_again(tmp_path):
    made = []

    def make(settings, folder):
        made.append(folder)
        folder.mkdir()
        if len(made) == 1:
            (folder / "half").write_text("x")
            raise OSError(28, "No space left on device")
        write_v2020(folder / "Data_Entry_2017_v2020.csv", [row_v2020(1)])
        return folder

    recipe = Recipe.model_validate({"dataset": {"phantom": {"patients": 4, "size_px": 64}}})
    with pytest.raises(DataError, match="No space left"):
        locate_sources(recipe, cache=tmp_path, make_phantom=make)
    for _ in range(2):
        sources = locate_sources(recipe, cache=tmp_path, make_phantom=make)

    assert len(made) == 2
    assert sources.images == tmp_path / "phantom-4-64-0"
    assert [path.name for path in tmp_path.iterdir()] == ["phantom-4-64-0"]


def test_what_a_phantom_lacks_is_drawn_again_and_what_it_has_is_left(tmp_path):
    size = {"patients": 4, "size_px": 64}
    recipe = Recipe.model_validate({"dataset": {"phantom": size}})
    folder = locate_sources(recipe, cache=tmp_path).images
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    before = {path: path.read_bytes() for path in files}
    kept = {path: path.stat().st_mtime_ns for path in files}
    images = [path for path in files if path.suffix == ".png"]
    gone, emptied, table = images[0], images[1], folder / "truth.csv"
    gone.unlink()
    emptied.write_bytes(b"")
    table.unlink()

    locate_sources(recipe, cache=tmp_path)

    assert {path: path.read_bytes() for path in files} == before
    changed = [path for path in files if path.stat().st_mtime_ns != kept[path]]
    assert changed == sorted([gone, emptied, table])
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


def test_missing_images_stop_unless_a_part_is_asked_for(tmp_path):
    names = [image_name(i) for i in (1, 2, 3, 4)]
    write_v2020(tmp_path / "Data_Entry_2017_v2020.csv", [row_v2020(i) for i in (1, 2, 3, 4)])
    write_images(tmp_path / "images_001" / "images", [names[0], names[2], "other.png"])
    whole = Recipe.model_validate({"dataset": {"images": tmp_path}})
    part = Recipe.model_validate({"dataset": {"images": tmp_path, "partial": True}})
    sources = locate_sources(whole, cache=tmp_path)

    with pytest.raises(DataError) as refused:
        build_index(whole, sources)
    index = build_index(part, sources)

    message = str(refused.value)
    assert refused.value.exit_code == 3
    assert "2 of the table's 4 images are missing" in message
    assert "images_001" in message
    assert "dataset.partial=true" in message
    assert list(index.images) == [names[0], names[2]]
    assert index.absent == {names[1], names[3]}
    assert (index.missing_images, index.extra_images) == (2, 1)
    assert reasons(index)["in the table, but not found"] == 2
    assert set(index.files) == {names[0], names[2]}


def test_the_fingerprint_survives_a_move_and_notices_a_change(tmp_path):
    def fingerprint(name: str, *, labels: str = "Mass", last_image: bytes = b"as it was") -> str:
        folder = tmp_path / name
        write_images(folder / "images", [image_name(1)])
        (folder / "images" / image_name(2)).write_bytes(last_image)
        write_v2020(folder / "Data_Entry_2017_v2020.csv", [row_v2020(1, 0, labels), row_v2020(2)])
        recipe = Recipe.model_validate({"dataset": {"images": folder}})
        return build_index(recipe, locate_sources(recipe, cache=folder)).fingerprint()

    here = fingerprint("here")

    assert fingerprint("moved") == here
    assert fingerprint("other_labels", labels="Nodule") != here
    assert fingerprint("other_size", last_image=b"longer than it was") != here


def test_labels_of_a_finding_outside_the_recipe_are_kept(tmp_path):
    _, _, index = index_of(
        tmp_path,
        [row_v2020(1, 0, "Mass|Hernia"), row_v2020(2, 0, "Nodule")],
        dataset={"images": tmp_path, "findings": ["Nodule"]},
    )

    assert index.findings == ("Nodule",)
    assert index.labels_NF.tolist() == [[0], [1]]
    assert index.table.labels_of("Hernia").tolist() == [1, 0]


@needs_nih
def test_nih_v2020_has_its_published_numbers():
    index = nih_index()

    assert index.table.version == "NIH v2020"
    assert (len(index.images), index.num_patients) == (112_120, 30_805)
    assert index.missing_images is None
    assert index.extra_images is None
    assert len(set(index.images)) == 112_120
    assert (np.nanmin(index.table.age_years_N), np.nanmax(index.table.age_years_N)) == (0, 95)
    assert not np.isnan(index.labels_NF).any()


@needs_nih
def test_nih_2017_has_the_same_patients_and_fewer_labels_on_181_images():
    new = nih_index()
    old = nih_index(labels=f"{NIH}/Data_Entry_2017.csv")

    assert old.table.version == "NIH 2017"
    row_of = {name: row for row, name in enumerate(old.images)}
    old_rows = np.array([row_of[name] for name in new.images])
    assert np.array_equal(old.patients[old_rows], new.patients)
    fewer_N = old.labels_NF[old_rows].sum(axis=1) < new.labels_NF.sum(axis=1)
    assert fewer_N.sum() == 181
    assert reasons(old)["age above 120 years treated as missing"] == 16


@needs_nih
def test_nih_images_on_disk_are_joined_with_the_table():
    index = nih_index(partial=True)

    assert len(index.images) == len(index.files) == 240
    assert index.missing_images == 112_120 - 240
    assert index.num_table_images == 112_120
