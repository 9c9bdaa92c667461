"""SIIM-ACR's tables of masks: -1 is no mask, and no mask is absent."""

import pytest
from collection_tables import COLLECTIONS, audited, records_of, rewritten

from core.data.collections.reading import read_labels
from core.data.study.index import build_index
from core.data.study.sources import locate_sources
from core.errors import DataError
from core.recipe_toml import load_recipe

FOLDER = COLLECTIONS / "siim_acr"


@pytest.mark.parametrize("name", ["train-rle.csv", "stage_2_train.csv"])
def test_minus_one_is_absent_with_and_without_a_blank_before_it(name):
    rows = [[cell.strip() for cell in row.values()] for row in records_of(FOLDER / name)]
    has_mask = {image: False for image, _ in rows}
    for image, mask in rows:
        has_mask[image] |= mask != "-1"

    read = read_labels(FOLDER / name)

    assert (read.kind, read.findings) == ("siim", ("Pneumothorax",))
    assert dict(zip(read.images_N, read.labels_of("Pneumothorax"), strict=True)) == has_mask
    assert not read.patients_are_known


def test_a_cell_that_is_neither_a_mask_nor_minus_one_is_named_with_its_line(tmp_path):
    for cell in ("0", "1,0", "17", ""):
        copy = rewritten(
            FOLDER / "train-rle.csv",
            tmp_path,
            lambda text, cell=cell: text.replace(" -1", f'"{cell}"'),
        )
        with pytest.raises(DataError) as refused:
            read_labels(copy)
        assert "line 3" in str(refused.value)
        assert "-1" in str(refused.value)


def test_nested_dicoms_are_found(tmp_path):
    settings = [f"dataset.images={FOLDER}", "dataset.partial=true", "dataset.kind=siim"]
    settings += ["dataset.findings=Pneumothorax", "split.by=patient", "dataset.patient_from=image"]
    recipe = load_recipe("nih-14", settings)
    index = build_index(recipe, locate_sources(recipe, cache=tmp_path))
    assert len(index.files) == 3
    report = audited("nih-14", tmp_path, *settings, labels_only=False)
    assert (report["images"], report["patients"]) == (3, None)
