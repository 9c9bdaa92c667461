"""The collections' own tables: what is in them, and what is left out and counted."""

import gzip
import shutil

import numpy as np
import pytest
import torch
from collection_tables import (
    COLLECTIONS,
    EVERY_VIEW,
    audited,
    counted,
    records_of,
    rewritten,
)
from sklearn.metrics import roc_auc_score

from core.data.collections.reading import TableReading, read_labels
from core.data.study.index import build_index
from core.data.study.sources import locate_sources
from core.data.study.study import prepare_study
from core.errors import DataError, RecipeError
from core.evaluation.metrics import auroc
from core.evaluation.part_report import report_of_file
from core.recipe import DatasetSettings, EvaluateSettings, LabelSettings, TrainSettings
from core.recipe_toml import load_recipe
from core.training.objectives import Objective

HERE = COLLECTIONS
SMALL = HERE / "chexpert" / "CheXpert-v1.0-small"


def test_a_chexpert_table_alone_is_read_wherever_it_lies(tmp_path):
    table = tmp_path / "anything.csv"
    shutil.copy(SMALL / "train.csv", table)
    (tmp_path / "valid.csv").write_text("not,a,table\n")
    rows = records_of(table)
    frontal = [row for row in rows if row["AP/PA"] in ("AP", "PA")]

    report = audited("chexpert", tmp_path, f"dataset.labels={table}")

    assert report["images"] == len(frontal)
    assert report["patients"] == len({row["Path"].split("/")[2] for row in frontal})
    assert counted(report, "lateral view left out") == len(rows) - len(frontal)
    assert counted(report, "age 0 means missing") == sum(row["Age"] == "0" for row in rows)
    for finding, name in (("Edema", "Edema"), ("Effusion", "Pleural Effusion")):
        policy = report["label_policy"]["by_finding"][finding]
        assert policy["uncertain_labels"] == sum(row[name] == "-1.0" for row in frontal)
        assert policy["blank_labels"] == sum(row[name] == "" for row in frontal)
        present = sum(row[name] == "1.0" for row in frontal) + policy["uncertain_labels"]
        found = [report["parts"][part]["findings"][finding] for part in ("train", "val", "test")]
        in_train = report["parts"]["train"]["findings"][finding]["positives"]
        assert in_train <= sum(part["positives"] for part in found) <= present


def test_a_chexpert_folder_is_recognised_with_its_official_parts(tmp_path):
    settings = [f"dataset.images={SMALL}", "dataset.partial=true", "dataset.findings=Edema"]
    study = prepare_study(load_recipe("chexpert", settings), tmp_path)
    in_parts = {part: study.index.images[study.rows(part)] for part in ("train", "test")}
    assert all(name.startswith("train/") for name in in_parts["train"])
    assert all(name.startswith("valid/") for name in in_parts["test"])
    assert study.patients_known_as == "chexpert"
    names = set(study.index.images.tolist())
    assert "train/patient90005/study2/view2_frontal.jpg" in names, "one of three views of a study"
    file = study.index.files["train/patient90001/study1/view1_frontal.jpg"]
    assert file.path == SMALL / "train/patient90001/study1/view1_frontal.jpg"


def test_batches_without_their_train_folder_are_found(tmp_path):
    recipe = load_recipe(
        "chexpert",
        [f"dataset.images={HERE / 'chexpert/batches'}", "dataset.partial=true", "split.by=patient"],
    )
    index = build_index(recipe, locate_sources(recipe, cache=tmp_path))
    file = index.files["train/patient90001/study1/view1_frontal.jpg"]
    assert "batch 2" in str(file.path)


def test_the_test_set_is_found_though_its_folder_and_table_disagree(tmp_path):
    folder = HERE / "chexpert/chexlocalize"
    settings = [f"dataset.labels={folder}/CheXpert/val_labels.csv", f"dataset.images={folder}"]
    recipe = load_recipe("chexpert", [*settings, "dataset.partial=true", "split.by=patient"])
    sources = locate_sources(recipe, cache=tmp_path)
    index = build_index(recipe, sources)
    assert "CheXpert/val/patient95001" in str(index.files[str(index.images[0])].path)
    read = read_labels(HERE / "chexpert/chexlocalize/CheXpert/test_labels.csv")
    assert read.kind == "chexpert"
    assert set(read.view_N) == {"frontal"}, "its table has no views; the names have"
    assert read.age_years_N is None


@pytest.mark.parametrize(
    ("uncertain", "trained"), [("ones", 1), ("zeros", 0), ("ignore", np.nan), ("smooth", 0.7)]
)
def test_a_policy_decides_uncertain_labels_in_train_and_never_in_scores(uncertain, trained):
    settings = LabelSettings(uncertain=uncertain, blank="absent")
    read = read_labels(SMALL / "train.csv", reading=TableReading(labels=settings))
    column = read.findings.index("Atelectasis")
    is_uncertain = read.states_NA[:, column] == -1
    assert is_uncertain.sum() == 6
    assert np.isnan(read.labels_NA[is_uncertain, column]).all()
    found = read.training_labels_NA[is_uncertain, column]
    if uncertain == "smooth":
        assert ((found >= 0.55) & (found <= 0.85)).all()
        assert len(set(found.tolist())) == len(found)
        again = read_labels(SMALL / "train.csv", reading=TableReading(labels=settings))
        assert np.array_equal(read.training_labels_NA, again.training_labels_NA, equal_nan=True)
    else:
        assert np.array_equal(found, np.full(6, trained), equal_nan=True)


def test_a_finding_may_have_a_policy_of_its_own(tmp_path):
    table = SMALL / "train.csv"
    report = audited(
        "chexpert",
        tmp_path,
        f"dataset.labels={table}",
        "labels.by_finding.Edema.uncertain=zeros",
        "labels.by_finding.'Pleural Effusion'.blank=unknown",
    )
    by_finding = report["label_policy"]["by_finding"]
    assert by_finding["Edema"]["uncertain"] == "zeros"
    assert by_finding["Pneumonia"]["uncertain"] == "ones"
    assert by_finding["Effusion"]["blank"] == "unknown"


def test_a_table_of_another_kind_than_named_is_refused():
    with pytest.raises(DataError) as refused:
        read_labels(
            HERE / "padchest/PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv",
            reading=TableReading(dataset=DatasetSettings(kind="chexpert")),
        )
    assert "dataset.kind is chexpert" in str(refused.value)


def test_a_finding_of_its_own_name_is_learnt_and_a_misspelt_one_refused(tmp_path):
    table = tmp_path / "own.csv"
    table.write_text("file,patient,Rib notch,Mass\na.png,1,1,0\nb.png,2,0,1\nc.png,3,,0\n")
    read = read_labels(table, ["Rib notch"])
    assert "Rib notch" in read.findings
    with pytest.raises(RecipeError, match="Did you mean 'Cardiomegaly'"):
        load_recipe("nih-14", ["dataset.findings=Cardiomegally"])
    with pytest.raises(RecipeError, match="predictions have a column"):
        load_recipe("nih-14", ["dataset.findings=prob_Mass"])


def test_minus_one_means_what_the_recipe_says(tmp_path):
    table = tmp_path / "own.csv"
    table.write_text("file,patient,Mass\na.png,1,1\nb.png,2,-1\nc.png,3,0\n")
    for meaning, expected in (("uncertain", np.nan), ("absent", 0)):
        dataset = DatasetSettings.model_validate({"columns": {meaning: "-1"}})
        read = read_labels(table, reading=TableReading(dataset=dataset))
        assert np.array_equal(read.labels_of("Mass"), [1, expected, 0], equal_nan=True)


@pytest.mark.parametrize("suffix", [".csv.gz", ".zip"])
def test_a_compressed_table_is_read_like_the_plain_one(tmp_path, suffix):
    plain = SMALL / "train.csv"
    packed = tmp_path / f"train{suffix}"
    if suffix == ".zip":
        shutil.make_archive(str(tmp_path / "train"), "zip", SMALL, "train.csv")
    else:
        packed.write_bytes(gzip.compress(plain.read_bytes()))
    one, other = read_labels(plain), read_labels(packed)
    assert one.images_N.tolist() == other.images_N.tolist()
    assert np.array_equal(one.labels_NA, other.labels_NA, equal_nan=True)


def test_scores_of_the_validation_part_are_of_an_official_part_with_its_published_figures(tmp_path):
    labels = read_labels(SMALL / "valid.csv", reading=EVERY_VIEW)
    scores = tmp_path / "scores.csv"
    rows = [
        f"{image},{0.1 + 0.8 * label}"
        for image, label in zip(labels.images_N, labels.labels_of("Edema"), strict=True)
    ]
    scores.write_text("\n".join(["Image Index,Edema", *rows]) + "\n")
    settings = EvaluateSettings(bootstrap=0, reference="chexpert_kamenbliznashki_imagenet")
    report, *_ = report_of_file(scores, SMALL / "valid.csv", settings, test_list=None)
    assert (report["kind"], report["official_part"]) == ("chexpert", "chexpert valid")
    assert report["split_kind"] == "official"
    assert report["findings"]["Edema"]["auroc"] == 1
    assert any("these figures are of 21 images" in warning for warning in report["warnings"])


@pytest.mark.parametrize("cell", ["2", "0.5", '"1,0"', "yes"])
def test_a_label_that_is_no_state_is_named_with_its_line(tmp_path, cell):
    copy = rewritten(
        SMALL / "train.csv",
        tmp_path,
        lambda text: text.replace("Male,87,Frontal,AP,,0.0", f"Male,87,Frontal,AP,,{cell}", 1),
    )
    with pytest.raises(DataError) as refused:
        read_labels(copy)
    assert "Enlarged Cardiomediastinum is" in str(refused.value)
    assert "line 3" in str(refused.value)


def test_an_age_of_148_is_missing_and_a_table_for_another_folder_is_refused(tmp_path):
    table = SMALL / "train.csv"
    copy = rewritten(table, tmp_path, lambda text: text.replace("Female,68,", "Female,148,", 1))
    report = audited("chexpert", tmp_path, f"dataset.labels={copy}")
    assert counted(report, "age above 120") == 1
    other = COLLECTIONS / "rsna_pneumonia"
    with pytest.raises(DataError, match="none of the table's images"):
        audited(
            "chexpert",
            tmp_path,
            f"dataset.labels={table}",
            f"dataset.images={other}",
            "dataset.partial=true",
            labels_only=False,
        )


@pytest.mark.parametrize("loss", ["bce", "weighted-bce", "focal"])
@pytest.mark.parametrize("uncertain", ["ignore", "ones", "zeros", "smooth"])
def test_the_loss_under_each_policy_is_that_of_numpy_on_the_labels_it_makes(uncertain, loss):
    settings = LabelSettings(uncertain=uncertain, blank="unknown")
    read = read_labels(SMALL / "train.csv", reading=TableReading(labels=settings))
    columns = [read.findings.index(name) for name in ("Edema", "Atelectasis", "Effusion")]
    states_NF = read.states_NA[:, columns]
    labels_NF = np.where(states_NF >= 0, states_NF, np.nan).astype(float)
    decided = {"ones": 1.0, "zeros": 0.0, "ignore": np.nan}
    smooth_NF = read.training_labels_NA[:, columns]
    is_uncertain_NF = states_NF == -1
    labels_NF[is_uncertain_NF] = decided.get(uncertain, smooth_NF[is_uncertain_NF])
    logits_NF = np.random.default_rng(0).normal(size=labels_NF.shape)
    shares_NF = 1 / (1 + np.exp(-logits_NF))
    positive_F = negative_F = np.ones(len(columns))
    if loss == "weighted-bce":
        negative_F = np.nanmean(labels_NF, axis=0)
        positive_F = 1 - negative_F
    gamma = 2.0 if loss == "focal" else 0.0
    wanted_NF = -positive_F * labels_NF * (1 - shares_NF) ** gamma * np.log(shares_NF)
    wanted_NF -= negative_F * (1 - labels_NF) * shares_NF**gamma * np.log(1 - shares_NF)

    train_NF = torch.from_numpy(smooth_NF)
    objective = Objective.of(TrainSettings(loss=loss), train_NF)
    found = objective.mean_loss(torch.from_numpy(logits_NF).float(), train_NF)
    assert found == pytest.approx(np.nanmean(wanted_NF), rel=1e-5)


def test_uncertain_labels_are_left_out_of_the_figures_whatever_train_makes_of_them():
    areas = set()
    for uncertain in ("ignore", "ones", "zeros", "smooth"):
        settings = LabelSettings(uncertain=uncertain, blank="absent")
        read = read_labels(SMALL / "train.csv", reading=TableReading(labels=settings))
        labels = read.labels_of("Effusion")
        scores = np.random.default_rng(1).random(len(labels))
        known = read.states_NA[:, read.findings.index("Effusion")] != -1
        present = read.states_NA[:, read.findings.index("Effusion")] == 1
        areas.add(auroc(labels, scores))
        assert auroc(labels, scores) == pytest.approx(roc_auc_score(present[known], scores[known]))
    assert len(areas) == 1
