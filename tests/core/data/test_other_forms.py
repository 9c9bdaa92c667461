"""The synthetic set in another collection's form is trained to the same figures as in NIH's."""

import shutil
from pathlib import Path

import pytest
from dicoms import chest, hospital, write_dicom
from other_forms import (
    SHARED_WITH_CHEXPERT,
    as_chexpert,
    as_hospital,
    as_mimic,
    as_padchest,
    as_rsna,
    as_siim,
    as_vindr,
    images_of,
    parts_of,
)
from small_runs import events_of

from core.data.study.study import prepare_study
from core.errors import DataError
from core.evaluation.part_report import report_of_session
from core.recipe_toml import load_recipe
from core.requests import Request
from core.run import Machine, run
from core.store.session import Session
from core.store.sessions import create_session

SMALL = {
    "image.size_px": 32,
    "train.learning_rate": 0.0003,
    "train.optimizer": "adamw",
    "train.schedule": "cosine",
    "train.weight_decay": 0.01,
    "train.clip_norm": 1.0,
    "augment.rotate_deg": 10,
    "augment.scale": 0.1,
    "augment.shift": 0.05,
    "train.min_positive_patients": 1,
    "train.epochs": 1,
    "evaluate.bootstrap": 20,
    "train.batch_size": 8,
    "train.precision": "fp32",
    "train.few_images_first": "never",
    "train.warmup_epochs": 0,
    "model.weights": "none",
    "split.by": "lists",
    "dataset.findings": ",".join(SHARED_WITH_CHEXPERT),
}


def trained(folder: Path, cache: Path, recipe: str, **changes: object):
    """A session of the recipe, run to its end, and its test figures."""
    settings = [f"{key}={value}" for key, value in (SMALL | changes).items()]
    session = create_session(
        folder / "sessions", load_recipe(recipe, settings), f"s-{len(changes)}"
    )
    run(session, lambda _: None, lambda: Request.CONTINUE, Machine("cpu", cache))
    assert events_of(session)[-1]["event"] == "Finished"
    return session


def lists_of(phantom: Path, key_of: dict[str, str], folder: Path) -> dict[str, Path]:
    """The same parts in a form's own keys."""
    part_of = parts_of(phantom)
    train_val = sorted(name for name in key_of if part_of[name] == "train_val")
    names = {
        "train_val": train_val,
        "val": [name for name in train_val if int(name[:8]) % 4 == 0],
        "test": [name for name in key_of if part_of[name] == "test"],
    }
    lists = {}
    for part, members in names.items():
        file = folder / f"{part}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(f"{key_of[name]}\n" for name in members))
        lists[f"split.{part}_list"] = file
    return lists


def figures_of(session: Session) -> tuple[object, list[str]]:
    """The counts of its test figures, and every score as it was written."""
    report = session.read_json("evaluation/test.json")
    figures = {
        finding: (row["positives"], row["auroc"], row["auprc"])
        for finding, row in report["findings"].items()
    }
    lines = (session.path / "predictions" / "test.csv").read_text().splitlines()[1:]
    return figures, [line.split(",", 2)[2] for line in lines]


@pytest.fixture(scope="module")
def as_nihs(tmp_path_factory, cache_dir, phantom_dir):
    """The figures in NIH's form."""
    folder = tmp_path_factory.mktemp("as-nih")
    names = {image.name: image.name for image in images_of(phantom_dir)}
    lists = lists_of(phantom_dir, names, folder)
    keys = {"dataset.images": phantom_dir, "dataset.kind": "none", **lists}
    return figures_of(trained(folder, cache_dir, "chexpert", **keys))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "write"),
    [
        ("chexpert", as_chexpert),
        ("mimic-cxr", as_mimic),
        ("padchest", as_padchest),
        ("vindr", as_vindr),
    ],
)
def test_the_synthetic_set_in_a_collections_form_gives_the_same_test_figures_bit_for_bit(
    as_nihs, tmp_path, cache_dir, phantom_dir, recipe, write
):
    key_of = write(phantom_dir, tmp_path / "form")
    lists = lists_of(phantom_dir, key_of, tmp_path / "lists")
    session = trained(tmp_path, cache_dir, recipe, **{"dataset.images": tmp_path / "form", **lists})
    assert figures_of(session) == as_nihs


@pytest.mark.slow
def test_so_it_does_as_dicom_files_that_a_table_of_accession_numbers_is_linked_to(
    as_nihs, tmp_path, cache_dir, phantom_dir
):
    key_of = as_hospital(phantom_dir, tmp_path / "form")
    keys = {
        "dataset.images": tmp_path / "form" / "DICOM",
        "dataset.labels": tmp_path / "form" / "reports.csv",
        "dataset.kind": "none",
        "dataset.image_from": "dicom",
    }
    lists = lists_of(phantom_dir, key_of, tmp_path / "lists")
    session = trained(tmp_path, cache_dir, "chexpert", **keys, **lists)
    assert figures_of(session) == as_nihs
    shutil.rmtree(tmp_path / "form" / "DICOM")
    report = report_of_session(session, "test", cache_dir)
    assert report["images"] == len(figures_of(session)[1]), "the links are known without the files"


@pytest.fixture(scope="module")
def pneumothorax_as_nihs(tmp_path_factory, cache_dir, phantom_dir):
    """The figures of one finding in NIH's form."""
    folder = tmp_path_factory.mktemp("one-as-nih")
    names = {image.name: image.name for image in images_of(phantom_dir)}
    lists = lists_of(phantom_dir, names, folder)
    keys = {"dataset.images": phantom_dir, "dataset.kind": "none", **lists}
    keys["dataset.findings"] = "Pneumothorax"
    return figures_of(trained(folder, cache_dir, "rsna", **keys))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "finding", "write"),
    [("rsna", "Pneumonia", as_rsna), ("siim", "Pneumothorax", as_siim)],
)
def test_so_it_does_in_the_form_of_a_challenge_of_one_finding_without_patients(
    pneumothorax_as_nihs, tmp_path, cache_dir, phantom_dir, kind, finding, write
):
    key_of = write(phantom_dir, tmp_path / "form")
    lists = lists_of(phantom_dir, key_of, tmp_path / "lists")
    keys = {"dataset.images": tmp_path / "form", "dataset.kind": kind, **lists}
    session = trained(tmp_path, cache_dir, "rsna", **keys, **{"dataset.findings": finding})
    figures, scores = figures_of(session)
    assert (list(figures.values()), scores) == (
        list(pneumothorax_as_nihs[0].values()),
        pneumothorax_as_nihs[1],
    )
    assert list(figures) == [finding]


def test_view_age_sex_and_patient_come_from_dicom_headers_where_the_table_has_none(tmp_path):
    folder = hospital(tmp_path)
    settings = [
        f"dataset.labels={folder / 'exams.csv'}",
        f"dataset.images={folder / 'images'}",
        "dataset.columns.image=exam",
        "dataset.findings=nodule seen",
        "dataset.patient_from=dicom",
        "split.by=patient",
    ]
    study = prepare_study(load_recipe("nih-14", settings), tmp_path / "cache")
    table = study.index.table
    assert len(table.images_N) == 21, "three lateral ones are left out"
    assert study.index.num_patients == 12
    assert set(table.view_N) == {"PA"}
    assert table.age_years_N[0] == 30
    assert set(table.sex_N) == {"M", "F"}
    assert any("lateral view left out" in count.reason for count in study.index.counts)
    assert table.patient_text(int(table.patients_N[0])) == "P-0"


def test_headers_that_name_one_patient_everywhere_are_no_patients(tmp_path):
    folder = hospital(tmp_path, patients=1)
    for file in (folder / "images").iterdir():
        write_dicom(file, chest(), PatientID="ANONYMOUS")
    settings = [
        f"dataset.labels={folder / 'exams.csv'}",
        f"dataset.images={folder / 'images'}",
        "dataset.columns.image=exam",
        "dataset.findings=tube",
        "dataset.patient_from=dicom",
        "split.by=patient",
    ]
    with pytest.raises(DataError, match="each has the same PatientID"):
        prepare_study(load_recipe("nih-14", settings), tmp_path / "cache")


def test_a_file_that_is_no_dicom_and_a_damaged_one_hide_no_header(tmp_path):
    folder = hospital(tmp_path)
    for number, content in enumerate((b"\x89PNG", b"\0" * 128 + b"DICM" + b"\xff" * 400)):
        (folder / "images" / f"IM{number:06}").write_bytes(content)
    settings = [
        f"dataset.labels={folder / 'exams.csv'}",
        f"dataset.images={folder / 'images'}",
        "dataset.columns.image=exam",
        "dataset.findings=tube",
        "split.by=patient",
    ]
    by_image = [*settings, "dataset.patient_from=image"]
    study = prepare_study(load_recipe("nih-14", by_image), tmp_path / "cache")
    assert set(study.index.table.view_N[2:]) == {"PA"}
    of_dicom = [*settings, "dataset.patient_from=dicom"]
    with pytest.raises(DataError, match="2 have none that can be read, such as IM000000"):
        prepare_study(load_recipe("nih-14", of_dicom), tmp_path / "cache")


def test_images_of_no_kept_view_are_refused(tmp_path):
    folder = hospital(tmp_path)
    settings = [
        f"dataset.labels={folder / 'exams.csv'}",
        f"dataset.images={folder / 'images'}",
        "dataset.columns.image=exam",
        "dataset.findings=tube",
        "dataset.views=oblique",
        "dataset.patient_from=dicom",
        "split.by=patient",
    ]
    with pytest.raises(DataError, match="no image has one of the views oblique"):
        prepare_study(load_recipe("nih-14", settings), tmp_path / "cache")
