"""Several data sets trained on together: one network, each image remembering its source."""

import csv

import numpy as np
import pytest
from dicoms import hospital
from other_forms import as_chexpert
from small_runs import events_of

from core.data.batches import even_order
from core.data.study.study import audit_study, prepare_study, write_split
from core.errors import DataError, RecipeError
from core.evaluation.predictions import read_predictions
from core.recipe_toml import load_recipe, recipe_toml
from core.requests import Request
from core.run import Machine, run
from core.store.sessions import create_session

HEAD = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position"


@pytest.fixture(scope="module")
def two(tmp_path_factory, phantom_dir):
    """The synthetic set in two forms, as --set takes them."""
    folder = tmp_path_factory.mktemp("two")
    as_chexpert(phantom_dir, folder / "chexpert")
    return [
        f"datasets.0.images={phantom_dir}",
        "datasets.0.findings=Mass,Cardiomegaly,Effusion",
        f"datasets.1.images={folder / 'chexpert'}",
        "datasets.1.kind=chexpert",
        "datasets.1.uncertain=zeros",
        "datasets.1.findings=Effusion,Fracture",
    ]


def test_a_finding_is_unknown_where_a_source_has_no_column_of_it(two, tmp_path):
    study = prepare_study(load_recipe("nih-14", two), tmp_path)
    index = study.index
    assert index.findings == ("Mass", "Cardiomegaly", "Effusion", "Fracture")
    of_nih = index.table.source_N == "set-1"
    labels = {finding: index.labels_NF[:, column] for column, finding in enumerate(index.findings)}
    assert np.isnan(labels["Fracture"][of_nih]).all()
    assert np.isnan(labels["Mass"][~of_nih]).all()
    assert not np.isnan(labels["Cardiomegaly"]).any(), "its table has it, though not its list"
    assert study.recipe.sources[1][1].labels.uncertain == "zeros"


def test_patients_of_two_sources_are_not_taken_for_each_other(two, tmp_path):
    report = audit_study(load_recipe("nih-14", two), tmp_path)
    assert report["patients"] == 120
    assert report["shared_patients"] == 0


def test_the_official_split_takes_each_sources_own(two, tmp_path):
    study = prepare_study(load_recipe("strong", two), tmp_path)
    names = study.index.images
    test = set(names[study.rows("test")].tolist())
    assert {name for name in test if name.startswith("chexpert/")} == {
        name for name in names if name.startswith("chexpert/valid/")
    }
    assert any(name.startswith("set-1/") for name in test)


@pytest.mark.slow
def test_a_run_on_two_sources_keeps_them_apart_in_its_files_and_goes_on(two, tmp_path, cache_dir):
    small = {
        "image.size_px": 32,
        "train.epochs": 2,
        "evaluate.bootstrap": 10,
        "train.batch_size": 16,
        "train.few_images_first": "never",
        "train.sources": "even",
        "model.weights": "none",
    }
    made = load_recipe("nih-14", [*two, *(f"{key}={value}" for key, value in small.items())])
    session = create_session(tmp_path / "sessions", made, "two")
    seen = []

    def asked():
        kinds = {type(event).__name__ for event in seen}
        return Request.STOP if "EpochDone" in kinds else Request.CONTINUE

    run(session, seen.append, asked, Machine("cpu", cache_dir))
    assert events_of(session)[-1]["event"] == "Stopped"
    run(session, lambda _: None, lambda: Request.CONTINUE, Machine("cpu", cache_dir))
    assert events_of(session)[-1]["event"] == "Finished"
    assert load_recipe(session.path / "recipe.toml") == made
    with (session.path / "split.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["source"] for row in rows} == {"set-1", "chexpert"}
    assert all(row["Image Index"].startswith("0") for row in rows if row["source"] == "set-1")
    scored = read_predictions(session.predictions / "test.csv")
    assert {name.partition("/")[0] for name in scored.images} == {"set-1", "chexpert"}
    header = (session.predictions / "test.csv").read_text().split("\n")[0].split(",")
    assert header[:3] == ["Image Index", "Patient ID", "source"]


def test_an_even_epoch_draws_as_many_of_each_source():
    sources = np.array(["a"] * 90 + ["b"] * 10, dtype=object)
    order = even_order(0, 1, sources)
    assert len(order) == 100
    assert (sources[order] == "b").sum() == 50
    assert set(order[sources[order] == "b"]) == set(range(90, 100)), "each of the small one's"
    assert len(set(order[sources[order] == "a"].tolist())) == 50
    assert np.array_equal(order, even_order(0, 1, sources))
    assert not np.array_equal(order, even_order(0, 2, sources))


def test_one_data_set_and_several_are_not_both_taken(two):
    with pytest.raises(RecipeError, match="both datasets and dataset"):
        load_recipe("nih-14", [*two, "dataset.images=/somewhere"])
    with pytest.raises(RecipeError, match=r"no datasets\.7"):
        load_recipe("nih-14", ["datasets.7.images=/somewhere"])


def test_a_fault_in_one_of_several_names_its_number():
    sets = ["datasets.0.images=/a", "datasets.1.images=/b"]
    with pytest.raises(RecipeError, match=r"--set: datasets\.1\.uncertain must be 'ignore'"):
        load_recipe("nih-14", [*sets, "datasets.1.uncertain=maybe"])
    with pytest.raises(RecipeError, match=r"datasets\.1\.partial must be true or false"):
        load_recipe("nih-14", [*sets, "datasets.1.partial=maybe"])


def test_a_recipe_of_several_reads_back_as_it_was_written(two, tmp_path):
    recipe = load_recipe("nih-14", two)
    (tmp_path / "r.toml").write_text(recipe_toml(recipe))
    assert load_recipe(tmp_path / "r.toml") == recipe


def test_images_of_nihs_whose_patients_are_unknown_are_not_mixed_with_nihs(two, tmp_path):
    (tmp_path / "rsna.csv").write_text("patientId,x,y,width,height,Target\na,,,,,0\nb,1,2,3,4,1\n")
    (tmp_path / "nih.csv").write_text(f"{HEAD}\n00000001_000.png,Mass,0,1,57,M,PA\n")
    several = [
        f"datasets.0.labels={tmp_path / 'nih.csv'}",
        "datasets.0.findings=Mass",
        f"datasets.1.labels={tmp_path / 'rsna.csv'}",
        "datasets.1.patient_from=image",
        "datasets.1.findings=Lung Opacity",
    ]
    with pytest.raises(DataError, match="images of nih and rsna are NIH's"):
        audit_study(
            load_recipe("nih-14", [*several, "datasets.0.kind=nih", "datasets.1.kind=rsna"]),
            tmp_path,
            labels_only=True,
        )


@pytest.fixture
def with_hospital(phantom_dir, tmp_path):
    """The synthetic set beside a hospital's DICOM files, whose table says nothing but findings."""
    folder = hospital(tmp_path / "hospital")
    return [
        f"datasets.0.images={phantom_dir}",
        "datasets.0.findings=Mass",
        f"datasets.1.labels={folder / 'exams.csv'}",
        f"datasets.1.images={folder / 'images'}",
        "datasets.1.name=ward",
        "datasets.1.columns.image=exam",
        "datasets.1.patient_from=dicom",
        "datasets.1.findings=tube",
        "split.by=patient",
    ]


def test_each_sources_headers_give_what_its_table_lacks(with_hospital, tmp_path):
    study = prepare_study(load_recipe("nih-14", with_hospital), tmp_path / "cache")
    index = study.index
    of_ward = index.table.source_N == "ward"
    assert of_ward.sum() == 21, "three lateral ones are left out"
    assert set(index.table.view_N[of_ward]) == {"PA"}
    assert index.table.age_years_N[of_ward][0] == 30
    assert set(index.table.sex_N[of_ward]) == {"M", "F"}
    assert len(set(index.patients[of_ward].tolist())) == 12
    assert index.table.patient_text(int(index.patients[of_ward][0])) == "ward/P-0"
    assert set(index.files) == set(index.images.tolist())
    told = {count.reason: count.images for count in index.counts}
    assert told["ward: lateral view left out (dataset.views, by the header)"] == 3
    assert told["ward: BurnedInAnnotation YES: a name may stand in the picture"] == 1
    assert "ward: From DICOM headers: view, age, sex, patient." in index.table.notes
    assert study.index.table.patients_are_known


def test_a_missing_image_of_one_source_is_told_in_its_folder(with_hospital, tmp_path):
    gone = tmp_path / "hospital" / "images" / "IM000000"
    gone.unlink()
    with pytest.raises(DataError, match="1 of the table's 24 images") as refused:
        prepare_study(load_recipe("nih-14", with_hospital), tmp_path / "cache")
    assert refused.value.where == str(gone.parent)
    assert "--set datasets.1.partial=true" in str(refused.value)
    partial = [*with_hospital, "datasets.1.partial=true"]
    index = prepare_study(load_recipe("nih-14", partial), tmp_path / "cache").index
    assert (index.missing_images, index.absent) == (1, {"ward/IM000000"})
    assert "in the table, but not found" in {count.reason for count in index.counts}


def test_what_headers_said_is_known_again_without_the_images(with_hospital, tmp_path):
    recipe = load_recipe("nih-14", with_hospital)
    study = prepare_study(recipe, tmp_path / "cache")
    write_split(tmp_path / "split.csv", study)
    again = prepare_study(
        recipe, tmp_path / "cache", labels_only=True, recorded_split=tmp_path / "split.csv"
    )
    for part in ("train", "val", "test"):
        names, patients = study.index.images, study.index.patients
        assert set(again.index.images[again.rows(part)]) == set(names[study.rows(part)])
        assert set(again.patients(part)) == set(patients[study.rows(part)])
