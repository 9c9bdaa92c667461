"""``cxr-tui compare``: two runs on the same test images."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from compared_runs import another, session, truth

from core.evaluation.predictions import write_predictions
from cxr_tui.cli import main

FIGURES = {"auroc_a", "auroc_b", "auroc_difference", "auroc_difference_ci", "p", "p_holm"}
VERDICTS = {"b better", "a better", "equal within margin", "can't tell"}


@pytest.fixture
def compare(tmp_path, capsys):
    """The command in this process, with sessions of its own: exit code, stdout and stderr."""

    def run(*arguments):
        code = main(["compare", *map(str, arguments), "--sessions", str(tmp_path)])
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


def report_of(done):
    code, out, err = done
    assert code == 0, err
    return json.loads(out)


def refused(done):
    code, out, err = done
    assert (code, out) == (3, ""), err
    return " ".join(err.split())


@pytest.fixture
def two(tmp_path):
    """A good network's session, a much worse one's, and the predictions of the first."""
    test, val = truth(seed=1), truth(seed=2)
    session(tmp_path, "good", another(test, 3, 0.1), another(val, 3, 0.1))
    session(tmp_path, "poor", another(test, 4, 3), another(val, 4, 3))
    return test


def test_two_runs_give_the_keys_of_the_contract_and_the_better_one_is_told(compare, two):
    report = report_of(compare("poor", "good", "--json"))
    assert report["images"] == len(two.images)
    assert report["patients"] == len(np.unique(two.patients))
    assert [run["name"] for run in report["runs"]] == ["poor", "good"]
    assert [run["seeds"] for run in report["runs"]] == [1, 1]
    assert list(report["findings"]) == ["Effusion", "Mass", "Nodule"]
    for figures in (*report["findings"].values(), report["mean"]):
        assert set(figures) >= FIGURES | {"verdict"}
        assert figures["verdict"] in VERDICTS
        difference = figures["auroc_b"] - figures["auroc_a"]
        assert figures["auroc_difference"] == pytest.approx(difference, abs=2e-6)
        low, high = figures["auroc_difference_ci"]
        assert low < difference < high
        assert 0 < figures["p"] <= figures["p_holm"] <= 1
    assert report["mean"]["verdict"] == "b better"
    assert report["mean"]["auroc_a"] == pytest.approx(report["runs"][0]["mean_auroc"], abs=2e-6)
    assert report["mean"]["p"] < 1e-6  # far below what 1,000 draws could show
    turned = report_of(compare("good", "poor", "--json"))
    assert turned["mean"]["verdict"] == "a better"
    for name, figures in turned["findings"].items():
        there = report["findings"][name]
        assert figures["specificity_difference"] == -there["specificity_difference"]
        assert figures["auprc_difference_ci"][0] == pytest.approx(-there["auprc_difference_ci"][1])


def test_the_same_file_twice_differs_by_nothing_and_cant_be_told(compare, two, tmp_path):
    own = tmp_path / "good" / "predictions" / "test.csv"
    for pair in (["good", "good"], ["good", own], [own, own]):
        report = report_of(compare(*pair, "--json"))
        for figures in (*report["findings"].values(), report["mean"]):
            assert figures["auroc_difference"] == 0
            assert figures["p"] == figures["p_holm"] == 1
            assert figures["verdict"] == "can't tell"


def test_a_sessions_own_file_brings_its_val_and_a_copy_of_it_has_none(compare, two, tmp_path):
    own = tmp_path / "good" / "predictions" / "test.csv"
    by_name = report_of(compare("poor", "good", "--json"))
    assert report_of(compare("poor", own, "--json")) == by_name
    assert by_name["findings"]["Mass"]["specificity_difference_ci"] is not None
    copy = tmp_path / "copy.csv"
    copy.write_bytes(own.read_bytes())
    without = report_of(compare("poor", copy, "--json"))
    for name, figures in without["findings"].items():
        assert figures["auroc_b"] == by_name["findings"][name]["auroc_b"]
        assert figures["specificity_a"] is figures["specificity_difference"] is None
        assert figures["sensitivity"] is figures["specificity_difference_ci"] is None


def test_anybodys_scores_are_joined_to_a_label_table(compare, phantom_dir, tmp_path):
    from core.data.tables.label_table import read_label_table

    labels = phantom_dir / "Data_Entry_2017_v2020.csv"
    table = read_label_table(labels)
    rng = np.random.default_rng(0)
    effusion_N = table.labels_NA[:, table.findings.index("Effusion")]
    for name, strength in (("weak.csv", 0.5), ("strong.csv", 3)):
        with (tmp_path / name).open("w", newline="") as stream:
            rows = csv.writer(stream)
            rows.writerow(["Image Index", "prob_Effusion"])
            scores_N = strength * effusion_N + rng.normal(size=len(effusion_N))
            rows.writerows(zip(table.images_N, scores_N, strict=True))
    files = tmp_path / "weak.csv", tmp_path / "strong.csv"
    report = report_of(compare(*files, "--labels", labels, "--json"))
    assert report["images"] == len(table.images_N)
    assert report["findings"]["Effusion"]["verdict"] == "b better"
    assert report["findings"]["Effusion"]["specificity_a"] is None
    code, _, err = compare(*files)
    assert code == 2
    assert "--labels" in err


def test_other_images_labels_patients_and_findings_are_refused_by_name(compare, two, tmp_path):
    def other(name, changed):
        write_predictions(tmp_path / name, changed)
        return tmp_path / name

    fewer = replace(
        two,
        images=two.images[5:],
        patients=two.patients[5:],
        labels_NF=two.labels_NF[5:],
        scores_NF=two.scores_NF[5:],
    )
    told = refused(compare("good", other("fewer.csv", fewer)))
    assert f"lacks 5 images of the {len(two.images):,} of good, such as '00000000_000.png'" in told
    assert "--common" in told
    report = report_of(compare("good", tmp_path / "fewer.csv", "--common", "--json"))
    assert (report["images"], report["images_left_out"]) == (len(two.images) - 5, 5)

    labels_NF = two.labels_NF.copy()
    labels_NF[7, 1] = 1 - labels_NF[7, 1]
    for options in ([], ["--common"]):
        file = other("labels.csv", replace(two, labels_NF=labels_NF))
        told = refused(compare("good", file, *options))
        assert "labels of Mass differ on 1 image" in told
        assert "'00000007_000.png'" in told

    patients = two.patients.copy()
    patients[0] = 999
    assert "patients differ" in refused(
        compare("good", other("patients.csv", replace(two, patients=patients * 0 + 1)))
    )
    renumbered = replace(two, patients=two.patients + 5000)
    assert report_of(compare("good", other("renumbered.csv", renumbered), "--json"))

    two_only = replace(
        two, findings=two.findings[:2], labels_NF=two.labels_NF[:, :2],
        scores_NF=two.scores_NF[:, :2],
    )  # fmt: skip
    assert "lacks Nodule, which good has" in refused(compare("good", other("two.csv", two_only)))
    report = report_of(compare("good", tmp_path / "two.csv", "--common", "--json"))
    assert list(report["findings"]) == ["Effusion", "Mass"]
    assert report["findings_left_out"] == ["Nodule"]

    strangers = replace(two, images=np.array([f"x{name}" for name in two.images], dtype=object))
    told = refused(compare("good", other("others.csv", strangers), "--common"))
    assert "no image in common" in told


def test_a_run_still_going_an_unfinished_and_a_damaged_one_are_refused(compare, two, tmp_path):
    unfinished = session(tmp_path, "unfinished", two)
    (unfinished.predictions / "test.csv").unlink()
    assert "no predictions for the test part yet" in refused(compare("good", "unfinished"))
    closed = session(tmp_path, "closed", two, settings=["evaluate.sealed=true"])
    (closed.predictions / "test.csv").unlink()
    assert "the test part is sealed" in refused(compare("good", "closed"))
    with session(tmp_path, "going", two).writing():
        assert "still going" in refused(compare("good", "going"))
    damaged = session(tmp_path, "damaged", two).predictions / "test.csv"
    text = damaged.read_text().splitlines()
    damaged.write_text("\n".join([*text[:3], "half a row"]))
    assert "line 4" in refused(compare("good", "damaged"))
    code, _, err = compare("good", "nobody")
    assert code == 2
    assert "no session of this name" in err
    assert "no such file" in refused(compare("good", "nobody.csv"))
    code, _, err = compare("good")
    assert code == 2
    assert "two runs" in err


def test_findings_of_no_one_and_three_positive_patients_keep_their_place(compare, tmp_path):
    test = truth(patients=60, seed=5)
    owners = np.unique(test.patients)
    labels_NF = np.zeros_like(test.labels_NF)
    labels_NF[np.isin(test.patients, owners[:1]), 1] = 1
    labels_NF[np.isin(test.patients, owners[1:4]), 2] = 1
    test = replace(test, labels_NF=labels_NF)
    session(tmp_path, "one", test)
    session(tmp_path, "two", another(test, 1, 2))
    report = report_of(compare("one", "two", "--json"))
    none, single, three = report["findings"].values()
    assert none["auroc_a"] is none["p"] is none["auroc_difference_ci"] is None
    assert "no positive image" in none["note"]
    assert single["auroc_a"] is not None
    assert single["p"] is single["auroc_difference_ci"] is None
    assert "of one patient" in single["note"]
    assert three["positive_patients"] == 3
    assert three["verdict"] == single["verdict"] == none["verdict"] == "can't tell"
    code, out, err = compare("one", "two")
    assert code == 0, err
    assert "of one patient" in out


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the file is empty"),
        (b"\x00\xff\xfe", "not text in UTF-8"),
        (b"Image Index,Patient ID,Mass,prob_Mass\n", "no image in common"),
        (b"Image Index,Patient ID,Mass,prob_Mass\na.png,1,1\n", "line 2"),
        (b"Image Index,Patient ID,Mass,prob_Mass\na.png,1,2,0.5\n", "line 2"),
        (b"Image Index,prob_Mass\n00000000_000.png,nan\n", "not a finite number"),
    ],
)
def test_odd_files_are_refused_with_what_is_wrong(compare, two, tmp_path, content, said):
    (tmp_path / "odd.csv").write_bytes(content)
    told = refused(compare("good", tmp_path / "odd.csv"))
    assert said in told
    assert "odd.csv" in told


def test_a_margin_is_told_in_words_and_a_wrong_one_refused(compare, two, tmp_path):
    write_predictions(tmp_path / "like.csv", another(two, 8, 0.02))
    code, out, err = compare("good", tmp_path / "like.csv", "--margin", "0.1")
    assert code == 0, err
    assert "equal: the difference is within 0.1" in out
    assert "not for their recipes" in " ".join(out.split())
    assert "looked at 2 times by 2 sessions" in " ".join(out.split())
    with pytest.raises(SystemExit) as refused:
        compare("good", "poor", "--margin", "1.5")
    assert refused.value.code == 2
    code, _, err = compare("good", "poor", "--operating-point", "best")
    assert code == 2
    assert "unknown rule 'best'" in err


def test_a_single_run_beside_a_group_borrows_its_spread(compare, two, tmp_path):
    test, val = truth(seed=1), truth(seed=2)
    for k in (5, 6):
        session(tmp_path, f"more-{k}", another(test, k, 0.1), another(val, k, 0.1))
    report = report_of(compare("good", "more-5", "more-6", "--against", "poor", "--json"))
    assert [run["seeds"] for run in report["runs"]] == [3, 1]
    assert report["mean"]["sd_over_seeds_b"] is None
    assert "stands for both" in report["notes"][1]
    assert any("same train.seed" in words for words in report["warnings"])


def test_names_with_markup_and_escapes_are_shown_as_text(compare, two, tmp_path):
    odd = tmp_path / "[red]<b>\x1b[31m.csv"
    write_predictions(odd, two)
    code, out, err = compare("good", odd)
    assert code == 0, err
    assert "\x1b" not in out
    assert "[red]<b>" in "".join(out.split())
