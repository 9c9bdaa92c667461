"""Labels that can't teach or can't be measured are told from the audit's own numbers."""

import json
from pathlib import Path

import numpy as np
import pytest
from tables import image_name, row_v2020, write_boxes, write_lines, write_v2020

from core.data.study.study import audit_study
from core.health.before import before_download
from core.health.diagnosis import Severity
from core.health.labels import check_labels
from core.health.lesions import check_lesions
from core.recipe_toml import load_recipe
from cxr_tui.commands import audit

PATIENTS = 900


def audited(folder, rows, boxes=(), **keys):
    """The report of an audit of these rows, patients dealt out one third to each part."""
    write_v2020(folder / "Data_Entry_2017_v2020.csv", rows)
    if boxes:
        write_boxes(folder / "BBox_List_2017.csv", boxes)
    return audited_table(folder, images=folder, **keys)


def audited_table(folder, *, split="patient", findings=("Mass", "Nodule"), size_px=224, **dataset):
    shares = {"train": 0.34, "val": 0.33, "test": 0.33} if split == "patient" else {}
    keys = {f"dataset.{key}": value for key, value in dataset.items()}
    keys |= {f"split.{key}": value for key, value in {"by": split, **shares}.items()}
    keys |= {"dataset.findings": json.dumps(findings), "image.size_px": size_px}
    recipe = load_recipe("nih-14", [f"{key}={value}" for key, value in keys.items()])
    return audit_study(recipe, folder / "cache", labels_only=True)


def every(number, finding, patients=range(1, PATIENTS + 1)):
    """A row each patient; one in so many has the finding."""
    return [
        row_v2020(patient, 0, finding if patient % number == 0 else "No Finding")
        for patient in patients
    ]


def checks(report, batch_size=16):
    return [found.check for found in check_labels(report, batch_size=batch_size)]


def only(found, check):
    return next(answer for answer in found if answer.check == check)


def test_labels_that_are_there_and_even_are_not_complained_of(tmp_path):
    assert checks(audited(tmp_path, every(4, "Mass|Nodule"))) == []


def test_a_finding_that_is_never_positive_in_train_is_told_and_left_out(tmp_path):
    report = audited(tmp_path, every(4, "Mass"))
    found = only(check_labels(report, batch_size=16), "never-positive")
    assert found.severity is Severity.WARNING
    assert "Nodule" in found.text
    assert found.evidence == {"findings": 1, "of_findings": 2}
    recipe = load_recipe("nih-14", found.changes)
    assert recipe.dataset.findings == ("Mass",)


def test_a_finding_that_is_always_positive_in_train_is_told(tmp_path):
    report = audited(tmp_path, every(1, "Mass"), findings=("Mass",))
    found = only(check_labels(report, batch_size=16), "never-negative")
    assert found.severity is Severity.WARNING
    assert found.changes == ()


@pytest.mark.parametrize(
    ("known", "severity"), [(0.95, None), (0.6, Severity.NOTE), (0.04, Severity.WARNING)]
)
def test_unknown_labels_are_told_with_their_share(tmp_path, known, severity):
    rng = np.random.default_rng(0)
    lines = ["image,patient,Mass"]
    for patient in range(PATIENTS):
        is_known = rng.random() < known
        lines.append(f"{patient}.png,{patient},{patient % 2 if is_known else ''}")
    path = write_lines(tmp_path / "t.csv", lines)
    report = audited_table(tmp_path, labels=path, findings=("Mass",))
    found = [each for each in check_labels(report, batch_size=16) if each.check == "labels-unknown"]
    assert [each.severity for each in found] == ([severity] if severity else [])
    if found:
        assert found[0].evidence["share_unknown"] == pytest.approx(1 - known, abs=0.08)


def test_a_finding_whose_labels_are_all_unknown_is_told_once(tmp_path):
    rows = [f"{patient}.png,{patient},{patient % 2}," for patient in range(PATIENTS)]
    path = write_lines(tmp_path / "t.csv", ["image,patient,Mass,Nodule", *rows])
    found = check_labels(audited_table(tmp_path, labels=path), batch_size=16)
    assert [each.check for each in found] == ["labels-unknown", "auroc-undefined"]
    assert found[0].evidence == {"finding": "Nodule", "share_unknown": 1.0, "known": 0}


def test_a_finding_in_few_batches_is_told_with_a_batch_that_holds_more(tmp_path):
    report = audited(tmp_path, every(300, "Mass"), findings=("Mass",))
    prevalence = report["parts"]["train"]["findings"]["Mass"]["prevalence"]
    found = only(check_labels(report, batch_size=8), "positives-rare")
    assert found.severity is Severity.NOTE
    assert found.evidence["positives_per_batch"] == pytest.approx(8 * prevalence, abs=1e-4)
    assert found.evidence["positives_per_epoch"] == 1
    assert found.changes == ("train.batch_size=16",)
    assert "positives-rare" not in checks(report, batch_size=16)


def test_few_positive_patients_are_a_note_that_puts_the_interval_first(tmp_path):
    report = audited(tmp_path, every(12, "Mass"), findings=("Mass",))
    (found,) = check_labels(report, batch_size=16)
    assert (found.check, found.severity) == ("patients-few", Severity.NOTE)
    assert "interval first" in found.text
    of_test = report["parts"]["test"]["findings"]["Mass"]["positive_patients"]
    assert found.evidence["fewest_in_test"] == of_test < 30


def test_a_prevalence_that_shifts_between_parts_is_a_note(tmp_path):
    train_val, test = range(1, 601), range(601, PATIENTS + 1)
    rows = every(10, "Mass", train_val) + every(3, "Mass", test)
    for name, patients in (("train_val_list", train_val), ("test_list", test)):
        write_lines(tmp_path / f"{name}.txt", [image_name(patient) for patient in patients])
    report = audited(tmp_path, rows, split="official", findings=("Mass",))
    found = only(check_labels(report, batch_size=16), "prevalence-shift")
    assert found.severity is Severity.NOTE
    assert found.evidence["largest_factor"] == pytest.approx(3.33, abs=0.3)


def box_of(patient, size_px):
    return f"{image_name(patient)},Mass,100,100,{size_px},{size_px}"


def test_lesions_of_few_pixels_are_told_with_the_input_that_keeps_them(tmp_path):
    boxes = [box_of(patient, 60) for patient in range(4, 40, 4)]
    report = audited(tmp_path, every(4, "Mass"), boxes, size_px=128)
    few_pixels, under_a_cell = check_lesions(report)
    assert few_pixels.check == "lesions-few-pixels"
    assert few_pixels.evidence["share_under_8_px"] == 1.0
    assert few_pixels.evidence["times_the_work"] == pytest.approx((320 / 128) ** 2)
    assert few_pixels.changes == ("image.size_px=320",)
    assert under_a_cell.changes == ("image.size_px=640",)
    assert check_lesions(audited(tmp_path, every(4, "Mass"), boxes, size_px=640)) == []


def test_a_few_tiny_boxes_among_large_ones_are_told_by_their_share(tmp_path):
    boxes = [box_of(patient, 300 if patient % 5 else 20) for patient in range(4, 404, 4)]
    report = audited(tmp_path, every(4, "Mass"), boxes)
    (found,) = check_lesions(report)
    assert found.check == "lesions-few-pixels"
    assert found.evidence["share_under_8_px"] == pytest.approx(0.2)


def test_no_larger_input_is_advised_than_the_images_have_pixels(tmp_path):
    boxes = [box_of(patient, 60) for patient in range(4, 40, 4)]
    report = audited(tmp_path, every(4, "Mass"), boxes, size_px=128)
    assert [found.changes for found in check_lesions(report, images_px=256)] == [(), ()]


def test_patients_in_two_parts_stop(tmp_path):
    rows = every(4, "Mass|Nodule")
    for name, patients in (("train_val_list", range(1, 601)), ("test_list", range(600, 901))):
        write_lines(tmp_path / f"{name}.txt", [image_name(patient) for patient in patients])
    rows.append(row_v2020(1, 1))
    with (tmp_path / "test_list.txt").open("a") as test_list:
        test_list.write(image_name(1, 1) + "\n")
    write_lines(tmp_path / "train_val_list.txt", [image_name(n) for n in range(1, 600)])
    report = audited(tmp_path, rows, split="official")
    first = before_download(load_recipe("nih-14", []), report)[0]
    assert (first.check, first.severity) == ("patients-shared", Severity.STOP)
    assert first.evidence["shared_patients"] == 1


def test_masked_blanks_that_leave_hardly_a_negative_are_told_with_the_other_policy(tmp_path):
    cells = ["1"] * 300 + ["0"] * 12 + [""] * 588
    rows = [f"p{number}.png,{number},{cell}" for number, cell in enumerate(cells)]
    table = write_lines(tmp_path / "own.csv", ["file,patient,Atelectasis", *rows])
    report = audited_table(tmp_path, findings=["Atelectasis"], labels=table)
    found = only(check_labels(report, batch_size=16), "negatives-few")
    assert found.severity is Severity.WARNING
    assert found.evidence["negatives"] < found.evidence["positives"] * 0.1
    assert found.changes == ("labels.blank=absent",)
    recipe = ["labels.blank=absent", f"dataset.labels={table}", "dataset.findings=Atelectasis"]
    absent = audit_study(load_recipe("nih-14", recipe), tmp_path / "cache", labels_only=True)
    assert "negatives-few" not in checks(absent)


def test_the_real_table_gives_notes_alone(nih_dir: Path, tmp_path):
    for name in ("nih-14", "nih-mass", "chexnet", "strong"):
        recipe = load_recipe(name, [f"dataset.images={nih_dir}"])
        report = audit_study(recipe, tmp_path, labels_only=True)
        severities = {found.severity for found in before_download(recipe, report)}
        assert severities == {Severity.NOTE}, name


def test_the_command_prints_marks_and_gives_the_same_as_json(phantom_dir, tmp_path, capsys):
    keys = ["dataset.phantom=none", f"dataset.images={phantom_dir}", "train.learning_rate=0.01"]
    sets = [item for key in keys for item in ("--set", key)]
    arguments = ["demo", "--cache", str(tmp_path), *sets]
    assert audit.main([*arguments, "--json"]) == 0
    health = json.loads(capsys.readouterr().out)["health"]
    assert [answer["check"] for answer in health][:2] == ["rate-high", "patients-few"]
    assert health[0]["changes"] == ["train.learning_rate=0.0003"]
    assert audit.main(arguments) == 0
    words = " ".join(capsys.readouterr().out.split())
    assert f"▲ {health[0]['text']}" in words
    assert f"· {health[1]['text']}" in words
    assert words.count("no patient is in two parts") == 1
