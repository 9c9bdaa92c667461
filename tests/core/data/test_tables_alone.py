"""``audit --labels-only`` with one table of a collection, whatever lies beside it."""

import gzip
import json
import shutil
from pathlib import Path

import pytest
from collection_tables import COLLECTIONS

from cxr_tui.cli import main

TABLES = {
    "chexpert": "chexpert/CheXpert-v1.0-small/train.csv",
    "chexpert valid": "chexpert/CheXpert-v1.0-small/valid.csv",
    "chexpert test": "chexpert/chexlocalize/CheXpert/test_labels.csv",
    "chexpert batch": "chexpert/batches/CheXpert-v1.0 batch 1 (validate & csv)/train_cheXbert.csv",
    "chexpert plus": "chexpert_plus/df_chexpert_plus_240401.csv",
    "mimic-cxr": "mimic_cxr_jpg/mimic-cxr-2.0.0-chexpert.csv.gz",
    "mimic-cxr negbio": "mimic_cxr_jpg/mimic-cxr-2.0.0-negbio.csv.gz",
    "mimic-cxr metadata": "mimic_cxr_jpg/mimic-cxr-2.0.0-metadata.csv.gz",
    "mimic-cxr split": "mimic_cxr_jpg/mimic-cxr-2.0.0-split.csv.gz",
    "mimic-cxr test": "mimic_cxr_jpg/mimic-cxr-2.1.0-test-set-labeled.csv",
    "padchest": "padchest/PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv",
    "vindr": "vindr_cxr/kaggle/train.csv",
    "vindr boxes": "vindr_cxr/physionet/annotations/annotations_train.csv",
    "vindr test boxes": "vindr_cxr/physionet/annotations/annotations_test.csv",
    "vindr whole": "vindr_cxr/physionet/annotations/image_labels_train.csv",
    "vindr test": "vindr_cxr/physionet/annotations/image_labels_test.csv",
    "rsna": "rsna_pneumonia/stage_2_train_labels.csv",
}
RECIPES = ("chexpert", "mimic-cxr", "padchest", "vindr", "rsna")
NAMES_BESIDE = (
    *("train.csv", "valid.csv", "test.csv", "test_labels.csv", "val_labels.csv"),
    *("image_labels_train.csv", "image_labels_test.csv", "BBox_List_2017.csv"),
    *("stage_2_detailed_class_info.csv", "pneumonia-challenge-dataset-mappings_2018.json"),
    *("mimic-cxr-2.0.0-metadata.csv.gz", "mimic-cxr-2.0.0-split.csv", "patients.csv"),
    *("test_list.txt", "train_val_list.txt", "Data_Entry_2017_v2020.csv", "truth.csv"),
    *("impression_fixed.json", "mimic-cxr-2.0.0-chexpert.csv"),
)
JUNK = (b"", b"\0\xff\xfe", b"a,b\n1\n", b'x,"y\n', b"<html>", b"../../x\n", b"\x1f\x8b\x08cut")


def audit(recipe, table, capsys):
    command = ["audit", recipe, "--labels-only", "--json", "--set", f"dataset.labels={table}"]
    assert main(command) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("name", TABLES)
def test_what_lies_beside_a_table_disturbs_nothing(tmp_path, capsys, name):
    recipe = name.split()[0]
    source = COLLECTIONS / TABLES[name]
    (tmp_path / "alone").mkdir()
    alone = audit(
        recipe, shutil.copy(source, tmp_path / "alone" / f"any{''.join(source.suffixes)}"), capsys
    )
    assert alone["images"] > 0
    for round_, content in enumerate((*JUNK, None)):
        folder = tmp_path / str(round_)
        folder.mkdir()
        for other in NAMES_BESIDE:
            if content is None:
                (folder / other).mkdir()
            else:
                (folder / other).write_bytes(content)
        table = folder / source.name
        if table.is_dir():
            table.rmdir()
        found = audit(recipe, shutil.copy(source, table), capsys)
        assert (found["images"], found["patients"]) == (alone["images"], alone["patients"])
        assert found["lesions"] == alone["lesions"]


@pytest.mark.parametrize("name", TABLES)
def test_other_collections_tables_beside_it_disturb_nothing(tmp_path, capsys, name):
    recipe = name.split()[0]
    source = COLLECTIONS / TABLES[name]
    alone_in = tmp_path / "alone"
    alone_in.mkdir()
    alone = audit(recipe, shutil.copy(source, alone_in), capsys)
    for other in TABLES:
        if other.split()[0] == recipe:
            continue
        folder = tmp_path / other.replace(" ", "_")
        folder.mkdir()
        for beside in NAMES_BESIDE:
            shutil.copy(COLLECTIONS / TABLES[other], folder / beside)
        found = audit(recipe, shutil.copy(source, folder), capsys)
        assert (found["images"], found["patients"]) == (alone["images"], alone["patients"])


@pytest.mark.parametrize(
    ("named", "beside", "spoilt"),
    [
        ("chexpert", "split", ("train", "lost")),
        ("metadata", "split", ("train", "lost")),
        ("metadata", "chexpert", ("1.0", "2")),
        ("split", "chexpert", ("1.0", "2")),
    ],
)
def test_a_table_of_mimics_own_that_is_spoilt_is_told_and_not_joined(
    tmp_path, capsys, named, beside, spoilt
):
    source = COLLECTIONS / "mimic_cxr_jpg" / f"mimic-cxr-2.0.0-{named}.csv.gz"
    other = COLLECTIONS / "mimic_cxr_jpg" / f"mimic-cxr-2.0.0-{beside}.csv.gz"
    table = shutil.copy(source, tmp_path)
    alone = audit("mimic-cxr", table, capsys)
    text = gzip.decompress(other.read_bytes()).decode()
    (tmp_path / other.name).write_bytes(gzip.compress(text.replace(*spoilt).encode()))
    found = audit("mimic-cxr", table, capsys)
    assert (found["images"], found["patients"]) == (alone["images"], alone["patients"])
    assert f"{other.name} is not joined" in " ".join(count["reason"] for count in found["counts"])


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_file_of_the_recipes_name_in_the_folder_disturbs_nothing(
    tmp_path, capsys, monkeypatch, recipe
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / recipe).write_text("no recipe")
    shutil.copy(COLLECTIONS / TABLES[recipe], "table" + "".join(Path(TABLES[recipe]).suffixes[-2:]))
    name = next(path.name for path in tmp_path.glob("table*"))
    assert audit(recipe, name, capsys)["images"] > 0


@pytest.mark.parametrize("kind", RECIPES)
def test_each_collections_recipe_refuses_the_tables_of_the_others(capsys, kind):
    for name, table in TABLES.items():
        if name.split()[0] != kind:
            command = ["audit", kind, "--labels-only", "--set"]
            assert main([*command, f"dataset.labels={COLLECTIONS / table}"]) != 0
            assert f"dataset.kind is {kind}" in " ".join(capsys.readouterr().err.split())
