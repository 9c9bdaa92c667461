"""``cxr-tui external``: a session's network on another data set."""

import csv
import json
import shutil

import pytest
from other_forms import as_chexpert
from PIL import Image

from core.data.phantom import write_phantom
from cxr_tui.cli import main

FINDINGS = ["Cardiomegaly", "Effusion", "Mass", "Pneumothorax", "Nodule"]


@pytest.fixture(scope="module")
def other_dir(tmp_path_factory):
    """A synthetic set of other patients."""
    folder = tmp_path_factory.mktemp("other") / "set"
    write_phantom(folder, patients=40, size_px=64, seed=8)
    return folder


@pytest.fixture(scope="module")
def chexpert_dir(other_dir, tmp_path_factory):
    """The same in CheXpert's form, which has three of the findings."""
    folder = tmp_path_factory.mktemp("chexpert") / "CheXpert-v1.0-small"
    as_chexpert(other_dir, folder)
    return folder


@pytest.fixture
def session(trained_dir, tmp_path):
    """A copy of a trained session."""
    return shutil.copytree(trained_dir, tmp_path / "trained")


@pytest.fixture
def external(session, cache_dir, capsys):
    """The command in this process: its exit code, stdout and stderr."""

    def run(images, *arguments, of=session):
        where = ["--set", f"dataset.images={images}"] if images else []
        given = [*where, "--cache", cache_dir, "--device", "cpu", *arguments]
        code = main(["external", *map(str, [of, *given])])
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


def report_of(done):
    code, out, err = done
    assert code == 0, err
    return json.loads(out)


def test_another_set_gives_the_keys_of_test_json_and_its_auroc_beside_the_sessions_own(
    external, other_dir, session
):
    report = report_of(external(other_dir, "--json", "--name", "other"))
    own = json.loads((session / "evaluation/test.json").read_text())
    assert set(own) <= set(report)
    assert list(report["findings"]) == FINDINGS
    for name, figures in report["findings"].items():
        of_own = own["findings"][name]
        assert set(of_own) <= set(figures)
        assert figures["internal"] == of_own["auroc"]
        assert figures["difference"] == pytest.approx(figures["auroc"] - of_own["auroc"], abs=2e-6)
        assert figures["operating_point"]["threshold"] == of_own["operating_point"]["threshold"]
    assert report["external"]["findings"] == {name: name for name in FINDINGS}
    assert report["images"] == len(list(other_dir.rglob("*.png")))
    kept = session / "external/other"
    looks = report.pop("looks")  # counted when printed, so not in the file
    assert (looks["times"], looks["sessions"]) == (1, 1)
    assert json.loads((kept / "report.json").read_text()) == report
    with (kept / "predictions.csv").open() as stream:
        assert len(list(csv.DictReader(stream))) == report["images"]
    assert f'images = "{other_dir}"' in (kept / "recipe.toml").read_text()


def test_differences_have_intervals_and_parts_that_sum(external, other_dir):
    report = report_of(external(other_dir, "--json"))
    assert report["case_mix"]["columns"] == ["age decade", "sex", "view"]
    told = []
    for figures in report["findings"].values():
        low, high = figures["difference_ci"]
        assert low < figures["difference"] < high
        assert set(figures["because"]) == {"case_mix", "rest"}
        assert sum(figures["because"].values()) == pytest.approx(figures["difference"], abs=2e-6)
        parts = figures["because_log_loss"]
        assert list(parts) == ["case_mix", "prevalence", "calibration", "rest"]
        difference = figures["log_loss"] - figures["internal_log_loss"]
        assert sum(parts.values()) == pytest.approx(difference, abs=2e-6)
        compared = figures["compared"]["sensitivity"]
        assert compared["external"] == figures["operating_point"]["sensitivity"]
        assert compared["internal"] is not None
        for of in ("because", "because_log_loss"):
            for part, value in figures[of].items():
                ends = figures[f"{of}_ci"][part]
                assert ends is None or ends[0] < value < ends[1]
                told.append(ends is None or not ends[0] <= 0 <= ends[1])
        low, high = figures["log_loss_difference_ci"]
        assert low < difference < high
    assert len(told) == 30
    assert sum(told) <= 4  # the same phantom at another seed: 1.5 are expected
    assert report["mean"]["over"] == FINDINGS
    low, high = report["mean"]["difference_ci"]
    assert low < report["mean"]["difference"] < high


def test_another_collections_form_is_matched_by_spelling_and_what_it_lacks_is_said(
    external, chexpert_dir, other_dir
):
    report = report_of(external(chexpert_dir, "--json", "--name", "as-chexpert"))
    assert list(report["findings"]) == ["Cardiomegaly", "Effusion", "Pneumothorax"]
    assert report["external"]["findings"]["Effusion"] == "Pleural Effusion"
    assert report["external"]["without_counterpart"] == ["Mass", "Nodule"]
    assert report["kind"] == "chexpert"
    assert any("not mentioned" in words for words in report["label_policy"])
    as_nih = report_of(external(other_dir, "--json", "--name", "as-nih"))
    for name, figures in report["findings"].items():  # the same pixels and labels
        assert figures["auroc"] == as_nih["findings"][name]["auroc"]
    code, told, _ = external(chexpert_dir, "--part", "test", "--name", "valid")
    assert code == 0
    assert "Effusion is its Pleural Effusion" in told
    assert "left out, since the table has no labels of them: Mass, Nodule" in told
    assert "Effusion sensitivity" in told


def test_the_set_it_was_trained_on_is_refused_in_any_form_and_marked_where_somebody_insists(
    external, phantom_dir, tmp_path, session
):
    code, out, err = external(phantom_dir, "--json")
    assert (code, out) == (3, "")
    assert "are among the images that the session was trained on" in err
    assert "--insist" in err
    assert not (session / "external").exists()
    disguised = tmp_path / "CheXpert-v1.0-small"
    as_chexpert(phantom_dir, disguised)
    assert external(disguised)[0] == 3
    for path in disguised.rglob("*.jpg"):  # other bytes, the same pixels
        before = path.read_bytes()
        Image.open(path).save(path, "PNG", compress_level=9)
        assert path.read_bytes() != before
    assert external(disguised)[0] == 3
    report = report_of(external(disguised, "--insist", "--json"))
    assert report["seen"]["level"] == "named"
    assert report["seen"]["images"] > 0
    assert any("too good" in warning for warning in report["warnings"])
    own_test = report_of(external(phantom_dir, "--part", "test", "--json", "--name", "own-test"))
    assert own_test["seen"]["level"] == "none"
    assert own_test["mean"]["difference"] == 0
    assert any("share patients" in warning for warning in own_test["warnings"])


def test_copies_are_recognised_when_the_cache_is_another_one(external, phantom_dir, tmp_path):
    assert external(phantom_dir, "--cache", tmp_path / "empty")[0] == 3


def table_of(other_dir, path, finding, labels):
    """A plain table of some of the images."""
    names = sorted(file.name for file in other_dir.rglob("*.png"))[: len(labels)]
    rows = [
        [name, number, label]
        for number, (name, label) in enumerate(zip(names, labels, strict=True))
    ]
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([["Image Index", "Patient ID", finding], *rows])
    return path


@pytest.mark.parametrize(
    ("finding", "labels", "said"),
    [
        ("Fracture", [0, 1, 0], "none of the findings that this network was trained on"),
        ("Mass", [1], "a single image"),
        ("Mass", [1, 1, 1], "labels of one class alone: Mass 3 present, 0 absent"),
        ("Mass", ["", "", ""], "labels of one class alone: Mass 0 present, 0 absent"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_plain_words(
    external, other_dir, tmp_path, finding, labels, said
):
    table = table_of(other_dir, tmp_path / "ours.csv", finding, labels)
    code, _, err = external(other_dir, "--set", f"dataset.labels={table}")
    assert code == 3
    assert said in err


def test_what_was_typed_wrong_is_refused_before_anything_is_scored(
    external, other_dir, session, tmp_path
):
    assert external(other_dir, "--name", "once")[0] == 0
    before = (session / "external/once/report.json").read_text()
    code, _, err = external(other_dir, "--name", "once")
    assert code == 2
    assert "--name once --replace" in err
    assert external(other_dir, "--name", "once", "--replace", "--part", "test")[0] == 0
    assert (session / "external/once/report.json").read_text() != before
    assert [place.name for place in (session / "external").iterdir()] == ["once"]
    for arguments, said in (
        (["--name", "../up"], "can't be a folder's name"),
        (["--set", "image.size_px=32"], "the session's own"),
        (["--set", "datasets.0.kind=nih"], "one data set is scored at a time"),
        (["--set", "dataset.findings=Hernia"], "the network has no Hernia"),
    ):
        code, _, err = external(other_dir, *arguments)
        assert code in (2, 3)
        assert said in err
    code, _, err = external(None)
    assert code == 2
    assert "--set dataset.images=" in err
    shutil.rmtree(session / "checkpoints")
    code, _, err = external(other_dir, "--name", "more")
    assert code == 3
    assert "no undamaged checkpoint" in err


def test_without_the_sessions_own_data_figures_are_shown_and_what_is_unknown_is_said(
    external, other_dir, session
):
    recipe = session / "recipe.toml"
    lines = recipe.read_text().splitlines()
    moved = [line if not line.startswith("images = ") else 'images = "/gone"' for line in lines]
    recipe.write_text("\n".join(moved) + "\n")
    report = report_of(external(other_dir, "--json"))
    for figures in report["findings"].values():
        assert figures["because"]["case_mix"] is None
        assert figures["because"]["rest"] == figures["difference"]
    assert any("own tables can't be read" in warning for warning in report["warnings"])
    assert any("images are gone" in warning for warning in report["warnings"])


def test_before_the_run_has_scored_its_test_part_there_are_figures_without_a_comparison(
    external, other_dir, session
):
    (session / "predictions/test.csv").unlink()
    code, told, _ = external(other_dir)
    assert code == 0
    assert "no test figures yet" in told
    assert "where the differences come from" not in told
    report = json.loads((session / "external/set/report.json").read_text())
    for figures in report["findings"].values():
        assert figures["auroc"] is not None
        assert figures["operating_point"]["threshold"] is not None
        assert figures["internal"] is figures["difference"] is figures["difference_ci"] is None


def test_several_sessions_on_several_sets_are_a_table_and_a_cell_that_cannot_be_had_costs_no_other(
    external, other_dir, phantom_dir, session, tmp_path
):
    alone = report_of(external(other_dir, "--json", "--name", "alone"))
    untrained = shutil.copytree(session, tmp_path / "untrained")
    shutil.rmtree(untrained / "checkpoints")
    recipe = tmp_path / "ours.toml"
    recipe.write_text(f'name = "o"\n[dataset]\nimages = "{other_dir}"\nfindings = ["Mass"]\n')
    sets = ["--on", phantom_dir, "--on", recipe]
    both = report_of(external(None, untrained, *sets, "--json"))
    assert both["sessions"] == ["trained", "untrained"]
    assert both["sets"] == [phantom_dir.name, "ours"]
    own, ours, *missing = both["cells"]
    assert (ours["session"], ours["error"], ours["exit_code"]) == ("trained", None, 0)
    assert set(alone) < set(ours)
    assert ours["findings"] == alone["findings"]  # a recipe's are those that it trains
    kept = session / "external/ours"
    assert json.loads((kept / "report.json").read_text())["mean"] == alone["mean"]
    assert (kept / "predictions.csv").is_file()
    assert own["exit_code"] == 3
    assert "the session was trained on" in own["error"]
    assert "mean_auroc" not in own
    assert not (session / "external" / phantom_dir.name).exists()
    assert len(missing) == 2
    assert all("no undamaged checkpoint" in cell["error"] for cell in missing)


def test_the_table_shows_the_mean_or_a_finding_of_each_and_why_one_is_missing(
    external, other_dir, phantom_dir, session
):
    code, told, _ = external(None, "--on", other_dir, "--on", f"own={phantom_dir}")
    assert code == 0
    mean = json.loads((session / "external/set/report.json").read_text())["mean"]
    row = next(line.split() for line in told.splitlines() if line.startswith(" set "))
    assert row[3] == f"{mean['external']:.3f}"
    assert row[7] == f"{mean['internal']:.3f}"
    assert row[8] == f"{mean['difference']:+.3f}".replace("-", "−")
    assert " own " in told
    assert "not scored" in told
    assert "trained on own:" in told
    assert "was trained on" in told
    code, told, err = external(None, "--on", f"own={phantom_dir}", "--on", f"set={other_dir}")
    assert code == 3  # nothing was scored this time
    assert "results of the name set already" in " ".join(told.split())
    assert "2 of 2, trained on set: not scored" in err
    again = ["--on", f"own={phantom_dir}", "--on", f"set={other_dir}", "--replace"]
    code, told, _ = external(None, *again, "--finding", "Mass")
    assert code == 0
    mass = json.loads((session / "external/set/report.json").read_text())["findings"]["Mass"]
    row = next(line.split() for line in told.splitlines() if line.startswith(" set "))
    assert "AUROC, Mass" in told
    assert row[2] == f"{mass['auroc']:.3f}"


def test_a_table_of_several_is_refused_where_it_was_typed_wrong(
    external, other_dir, session, tmp_path
):
    table = tmp_path / "ours.csv"
    table.write_text("Image Index,Mass\n")
    on = ["--on", other_dir]
    for arguments, said in (
        ([session], "is named twice"),
        (["nobody"], "there is no session of this name"),
        ([*on, *on], "two data sets have the name set"),
        ([*on, "--on", f"b={other_dir}", "--name", "c"], "--on NAME=FOLDER"),
        (["--on", table], "neither a folder of images nor a recipe"),
        (["--on", tmp_path / "gone"], "there is no such recipe"),
        ([*on, "--set", f"dataset.images={other_dir}"], "Name this set with --on too"),
        ([*on, "--on", f"b={other_dir}", "--finding", "Mas"], "Did you mean 'Mass'?"),
        ([*on, "--finding", "Mass"], "is for several"),
        ([*on, "--on", f"b={other_dir}", "--set", "train.epochs=3"], "the session's own"),
    ):
        code, out, err = external(None, *arguments)
        assert (code, out) == (2, ""), arguments
        assert said in " ".join(err.split())
    assert not (session / "external").exists()
