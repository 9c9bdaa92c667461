"""NIH ChestX-ray14 as people have it: the sample, resized copies, other column names."""

import pytest
from collection_tables import COLLECTIONS, audited, counted, positives, records_of

from core.data.collections.reading import read_labels
from core.data.study.index import build_index
from core.data.study.sources import locate_sources
from core.errors import DataError
from core.recipe_toml import load_recipe

FOLDER = COLLECTIONS / "nih_variants"
TABLES = {
    "sample": FOLDER / "sample/sample_labels.csv",
    "resized": FOLDER / "resized/Data_Entry_2017.csv",
    "v2020_sex": FOLDER / "v2020_sex/Data_Entry_2017_v2020.csv",
}


@pytest.mark.parametrize("variant", TABLES)
def test_each_variants_counts_are_those_of_its_rows(tmp_path, variant):
    table = TABLES[variant]
    rows = records_of(table)
    report = audited("nih-14", tmp_path, f"dataset.labels={table}")
    assert report["kind"] == "nih"
    assert report["images"] == len(rows)
    assert report["patients"] == len({int(row["Patient ID"]) for row in rows})
    for finding in ("Mass", "Hernia", "Edema"):
        listed = sum(finding in row["Finding Labels"].split("|") for row in rows)
        assert positives(report, finding) == listed
    sex = "Patient Sex" if variant == "v2020_sex" else "Patient Gender"
    sexes = [part["sexes"]["M"] for part in report["parts"].values()]
    assert sum(sexes) == sum(row[sex] == "M" for row in rows)


def test_ages_in_months_and_days_are_years_and_411_years_are_missing(tmp_path):
    table = TABLES["sample"]
    ages = [row["Patient Age"] for row in records_of(table)]
    units = {"Y": 1, "M": 1 / 12, "D": 1 / 365.25}
    read = read_labels(table)
    for age, cell in zip(read.age_years_N, ages, strict=True):
        years = int(cell[:-1]) * units[cell[-1]]
        assert age == pytest.approx(years) if years <= 120 else age != age
    report = audited("nih-14", tmp_path, f"dataset.labels={table}")
    assert counted(report, "age above 120") == sum(age == "411Y" for age in ages) == 1


@pytest.mark.parametrize(("variant", "num"), [("sample", 3), ("resized", 2)])
def test_a_folder_is_recognised_and_its_nested_images_found(tmp_path, variant, num):
    settings = [f"dataset.images={TABLES[variant].parent}", "dataset.partial=true"]
    recipe = load_recipe("nih-14", settings)
    sources = locate_sources(recipe, cache=tmp_path)
    assert sources.labels == TABLES[variant]
    assert len(build_index(recipe, sources).files) == num


@pytest.mark.parametrize(
    ("head", "rows"),
    [
        ("image,patient_id,labels", ["a.png,1,0", "b.png,2,3"]),
        ("image,patient_id,labels", ['a.png,1,"[0]"', 'b.png,2,"[3, 14]"']),
        ("Image Index,Patient ID,Finding Labels", ["a.png,1,0", "b.png,2,4|7"]),
        ("image,patient," + ",".join(map(str, range(15))), ["a.png,1" + ",1" + ",0" * 14]),
    ],
)
def test_class_numbers_are_refused_with_the_reason(tmp_path, head, rows):
    table = tmp_path / "labels.csv"
    table.write_text("\n".join([head, *rows]) + "\n")
    with pytest.raises(DataError, match="0 = No Finding or from 0 = Atelectasis"):
        read_labels(table, ("Mass",))
