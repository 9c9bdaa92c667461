"""What people's label tables hold in their cells, and what is made of it."""

import shutil

import numpy as np
import pytest
from PIL import Image
from tables import image_name, row_v2020, write_lines, write_v2020

from core.data.cache.cache import open_cache
from core.data.study.index import build_index
from core.data.study.sources import locate_sources
from core.data.study.study import prepare_study
from core.data.tables.image_lists import read_image_list
from core.data.tables.label_table import read_label_table
from core.data.tables.text_file import unsafe_name
from core.errors import DataError
from core.recipe import Recipe
from core.recipe_toml import load_recipe


def plain(tmp_path, *rows, header="image,patient,Cardiomegaly,Effusion"):
    return write_lines(tmp_path / "labels.csv", [header, *rows])


def refusal_of(path):
    with pytest.raises(DataError) as caught:
        read_label_table(path)
    return str(caught.value)


@pytest.mark.parametrize(
    "word", ["nan", "NaN", "None", "NA", "N/A", "<NA>", "null", " ", "unknown"]
)
def test_a_word_for_no_patient_is_no_patient(tmp_path, word):
    says = refusal_of(plain(tmp_path, "a.png,1,0,1", f"b.png,{word},0,1", f"c.png,{word},1,0"))
    assert "line 3: the row names no patient" in says
    assert "like another row" in says
    assert "Complete or remove the row" in says


def test_a_word_for_nothing_is_no_fault_of_ages_views_and_sexes(tmp_path):
    header = "image,patient,Cardiomegaly,Effusion,age,view,sex"
    path = plain(tmp_path, "a.png,1,0,1,nan,None,NA", "b.png,2,0,,57,PA,M", header=header)
    assert read_label_table(path).counts == ()


def test_a_row_that_names_no_image_is_refused(tmp_path):
    assert "line 3: the row names no image but 'nan'" in refusal_of(
        plain(tmp_path, "a.png,1,0,1", "nan,2,0,1")
    )


def test_labels_are_read_however_the_number_is_written(tmp_path):
    table = read_label_table(plain(tmp_path, "a.png,1,1.000,0.0000", "b.png,2,+1,1."))
    assert table.labels_NA.tolist() == [[1, 0], [1, 1]]


@pytest.mark.parametrize(
    ("cell", "remedy"),
    [
        ("-1.0", "If -1 is uncertain, as in CheXpert, set dataset.columns.uncertain"),
        ("nan", "Leave the cell empty for unknown"),
        ("True", "Say what the table's words mean: --set dataset.columns.present=True"),
        ("nein", "Say what the table's words mean: --set dataset.columns.absent=nein"),
        ("?", "Say what the table's words mean: --set 'dataset.columns.uncertain=?'"),
        ("0.7", "Write 1 for present, 0 for absent"),
    ],
)
def test_the_remedy_for_a_label_fits_what_it_is(tmp_path, cell, remedy):
    says = refusal_of(plain(tmp_path, "a.png,1,0,1", f"b.png,2,{cell},1"))
    assert f"line 3: Cardiomegaly is '{cell}', neither 1, 0 nor empty. {remedy}" in says


def test_labels_in_words_and_in_columns_must_say_the_same(tmp_path):
    header = "Image Index,Finding Labels,Patient ID,Cardiomegaly,Effusion"
    agreeing = ["a.png,Cardiomegaly,1,1,0", "b.png,No Finding,2,,0"]
    table = read_label_table(plain(tmp_path, *agreeing, header=header))
    assert table.labels_NA[:, 1].tolist() == [1, 0]
    others = ["c.png,No Finding,3,-1,1"]
    says = refusal_of(plain(tmp_path, *agreeing, *others, header=header))
    assert "line 4: 'Finding Labels' says 'No Finding', but the column 'Effusion'" in says
    assert "in 1 of 3 rows" in says


def test_a_column_that_only_bears_a_findings_name_is_no_second_source(tmp_path):
    header = "Image Index,Finding Labels,Patient ID,Mass"
    table = read_label_table(plain(tmp_path, "a.png,Edema,1,71.5 kg", header=header))
    assert table.labels_NA.sum() == 1


@pytest.mark.parametrize("cell", ["Edema, Effusion", "Edema;Effusion", "Edema and Effusion"])
def test_findings_that_are_parted_otherwise_are_told_how(tmp_path, cell):
    says = refusal_of(write_v2020(tmp_path / "t.csv", [row_v2020(1, labels=f'"{cell}"')]))
    assert "not separated by '|'. Write Edema|Effusion" in says


def test_a_table_without_patients_is_read_but_no_run_starts_before_they_are_named(tmp_path):
    def refused(row, header):
        table = plain(tmp_path, row, header=header)
        assert not read_label_table(table).patients_are_known
        settings = [f"dataset.labels={table}", "dataset.findings=Effusion"]
        with pytest.raises(DataError) as caught:
            prepare_study(load_recipe("nih-14", settings), tmp_path, labels_only=True)
        return str(caught.value)

    says = refused("a.png,1", "image,Effusion")
    assert "image, if no patient has two images" in says
    assert "dataset.columns.patient" in says
    says = refused("train/patient7/study1/a_1.png,1", "Path,Effusion")
    assert "seems to name the patient in its path" in says
    assert "folder, which is 'train/patient7/study1'" in says
    assert "prefix, which is 'a'" in says


def test_one_name_for_images_of_many_patients_is_told_to_be_written_with_its_folder(tmp_path):
    rows = [f"view1.jpg,{patient},0,{patient % 2}" for patient in range(5)]
    says = refusal_of(plain(tmp_path, *rows))
    assert "two images (5 rows have 1 name), write each with its folder" in says
    says = refusal_of(plain(tmp_path, "a.png,1,0,1", "a.png,1,0,0"))
    assert "Correct or remove the wrong row" in says
    assert "folder" not in says


PATHS = [f"small/train/patient{patient}/study1/view1.png" for patient in range(8)]


@pytest.fixture
def by_paths(tmp_path):
    """A data set in CheXpert's layout: eight files of one name, each with other bytes."""
    for number, path in enumerate(PATHS):
        file = tmp_path / path
        file.parent.mkdir(parents=True)
        pixels = np.full((40, 40), number, np.uint8)
        pixels[:20] = 200
        Image.fromarray(pixels).save(file)
    (tmp_path / "small/train/patient0/study1/view2.png").write_bytes(b"named by nobody")
    rows = [f"{path},{number},{number % 2},0" for number, path in enumerate(PATHS)]
    return plain(tmp_path, *rows, header="Path,patient,Cardiomegaly,Effusion")


def index_of(labels, images):
    settings = {"labels": labels, "images": images, "findings": ["Cardiomegaly"]}
    recipe = Recipe.model_validate({"dataset": settings})
    return build_index(recipe, locate_sources(recipe, cache=labels.parent / "cache"))


@pytest.mark.parametrize("root", [".", "small", "small/train"])
def test_paths_are_keys_wherever_in_them_the_folder_of_images_begins(tmp_path, by_paths, root):
    index = index_of(by_paths, tmp_path / root)
    assert index.images.tolist() == PATHS
    assert (index.missing_images, index.extra_images) == (0, 1)
    cache = open_cache(tmp_path / "cache", index.files, PATHS, size_px=8, resize="squash")
    assert cache.pixels(cache.rows_of(PATHS))[:, -1, -1].tolist() == list(range(8))


def test_paths_are_keys_in_archives_too(tmp_path, by_paths):
    (tmp_path / "there").mkdir()
    shutil.make_archive(str(tmp_path / "there/images_01"), "gztar", tmp_path, "small")
    index = index_of(by_paths, tmp_path / "there")
    assert index.images.tolist() == PATHS
    assert (index.missing_images, index.extra_images) == (0, 1)


def test_a_list_keeps_the_folders_of_names_that_have_them_in_the_table(tmp_path):
    path = write_lines(tmp_path / "list.txt", [PATHS[0], f"images_001/{image_name(1)}"])
    listed = read_image_list(path, {PATHS[0], image_name(1)})
    assert list(listed.line_of) == [PATHS[0], image_name(1)]
    assert [count.images for count in listed.counts] == [1]


@pytest.mark.parametrize("name", ["/etc/shadow", "a/../b.png", "a//b.png", "./a.png", "a/", "a\\b"])
def test_paths_that_lead_elsewhere_are_no_keys(name):
    assert unsafe_name(["a/b.png", name]).row == 1
