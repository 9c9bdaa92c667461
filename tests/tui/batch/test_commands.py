"""The small commands, each as a script would call it."""

import csv
import json
import os
import pty
import re
import select
import subprocess
import sys
from importlib.metadata import version

import numpy as np
import pytest


def good_scores(labels):
    rng = np.random.default_rng(0)
    return 1 / (1 + np.exp(-(rng.normal(size=len(labels)) + 2.5 * labels - 2)))


@pytest.fixture(scope="module")
def predictions(phantom_dir, tmp_path_factory):
    """Somebody's predictions for every image of the phantom, good ones, and their label table."""
    from core.data.tables.label_table import read_label_table

    table = read_label_table(phantom_dir / "Data_Entry_2017_v2020.csv")
    folder = tmp_path_factory.mktemp("predictions")
    wanted = ("Effusion", "Mass")

    def write(name, change, prefix="prob_"):
        with (folder / name).open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["Image Index", *(prefix + finding for finding in wanted)])
            columns = [
                change(good_scores(table.labels_NA[:, table.findings.index(finding)]))
                for finding in wanted
            ]
            writer.writerows(zip(table.images_N, *columns, strict=True))
        return folder / name

    return write, phantom_dir / "Data_Entry_2017_v2020.csv"


def test_anybodys_predictions_are_scored(cxr_tui, predictions):
    write, labels = predictions
    for name, prefix in (("a.csv", "prob_"), ("b.csv", "")):
        file = write(name, lambda scores: scores, prefix)
        done = cxr_tui("evaluate", "--predictions", file, "--labels", labels, "--json")
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        assert set(report["findings"]) == {"Effusion", "Mass"}
        assert report["findings"]["Effusion"]["auroc"] > 0.9
        low, high = report["mean_auroc_ci"]
        assert low < report["mean_auroc"] < high


def test_scores_cut_to_integers_are_named_as_the_mistake(cxr_tui, predictions):
    write, labels = predictions
    file = write("cut.csv", lambda scores: scores.astype(int))
    done = cxr_tui("evaluate", "--predictions", file, "--labels", labels, "--json")
    report = json.loads(done.stdout)
    for figures in report["findings"].values():
        assert figures["auroc"] == 0.5
        assert ".astype(int)" in figures["note"]


def test_a_table_for_people_fits_80_columns(predictions, tmp_path):
    write, labels = predictions
    file = write("wide.csv", lambda scores: scores)
    text = in_terminal(
        ["evaluate", "--predictions", str(file), "--labels", str(labels)], tmp_path, columns=80
    )
    assert "95 % interval" in text
    assert "Effusion" in text
    assert "…" not in text


def in_terminal(arguments, folder, *, columns):
    """What the program writes to a terminal of that width."""
    master, slave = pty.openpty()
    environment = os.environ | {"COLUMNS": str(columns), "LINES": "24", "TERM": "xterm-256color"}
    program = subprocess.Popen(
        [sys.executable, "-m", "cxr_tui", *arguments],
        cwd=folder,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=environment,
        close_fds=True,
    )
    os.close(slave)
    written = b""
    while select.select([master], [], [], 120)[0]:
        try:
            written += os.read(master, 65536)
        except OSError:  # the program has closed its end
            break
    os.close(master)
    assert program.wait(timeout=60) == 0, written.decode()
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", written.decode())


@pytest.mark.parametrize("command", ["audit", "evaluate", "sessions", "phantom", "doctor"])
def test_every_command_has_help_with_an_example(cxr_tui, command):
    done = cxr_tui(command, "--help")
    assert done.returncode == 0
    assert f"example:\n  cxr-tui {command}" in done.stdout


def test_phantom_writes_a_set_that_audit_reads(cxr_tui, tmp_path):
    done = cxr_tui("phantom", tmp_path / "set", "--patients", 12, "--size", 64, "--seed", 1)
    assert done.returncode == 0, done.stderr
    audit = cxr_tui("audit", "strong", "--set", f"dataset.images={tmp_path / 'set'}", "--json")
    assert audit.returncode == 0, audit.stderr
    found = json.loads(audit.stdout)
    assert found["patients"] == 12
    assert found["missing_images"] == 0
    assert found["shared_patients"] == 0
    again = cxr_tui("phantom", tmp_path / "set", "--patients", 12)
    assert again.returncode == 3
    assert "empty" in again.stderr


@pytest.mark.parametrize("arguments", [["--patients", "0"], ["--size", "7"], ["--seed", "-1"]])
def test_phantom_settings_keep_the_recipes_bounds(cxr_tui, tmp_path, arguments):
    done = cxr_tui("phantom", tmp_path / "set", *arguments)
    assert done.returncode == 2
    assert "must be at least" in done.stderr
    assert not (tmp_path / "set").exists()


def test_doctor_names_device_precision_and_versions(cxr_tui):
    found = json.loads(cxr_tui("doctor", "--device", "cpu", "--json").stdout)
    assert found["device"] == "cpu"
    assert found["precision"] in ("fp32", "bf16")
    assert found["versions"]["torch"]
    assert found["cache_free_gib"] > 0


def test_sessions_of_an_empty_folder_say_so(cxr_tui):
    done = cxr_tui("sessions")
    assert done.returncode == 0
    assert "No sessions under sessions" in done.stdout
    assert json.loads(cxr_tui("sessions", "--json").stdout) == {"sessions": []}


def test_the_version_is_said_with_what_it_stands_on(cxr_tui):
    done = cxr_tui("--version")
    assert (done.returncode, done.stderr) == (0, "")
    said = dict(part.rsplit(" ", 1) for part in done.stdout.strip().split(", "))
    assert said["cxr-tui"] == version("cxr-tui")
    assert said["torch"] == version("torch")
    assert set(said) == {"cxr-tui", "torch", "torchvision", "textual", "Python"}
