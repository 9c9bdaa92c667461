"""The program as scripts use it: `--batch` from start to end, stopped, gone on with, refused."""

import csv
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys

import pytest
import warm_start
from PIL import Image
from small_runs import json_lines

from core.data.study.part_draw import draws_in_words
from core.data.study.study import prepare_study
from core.errors import DataError
from core.evaluation.part_report import report_of_session
from core.recipe import PARTS
from core.recipe_toml import changed_recipe
from core.store.session import Session


@pytest.fixture(scope="module")
def finished(tmp_path_factory, phantom_dir, cache_dir):
    """One finished session and what the program printed, for the tests that only look."""
    folder = tmp_path_factory.mktemp("finished")
    arguments = [*small(phantom_dir, cache_dir), "--session", "one", "--json"]
    done = run_in(folder, "--batch", "demo", *arguments)
    assert done.returncode == 0, done.stderr
    return folder / "sessions" / "one", done


def small(phantom_dir, cache_dir, **changes):
    keys = {
        "dataset.phantom": "none",
        "dataset.images": phantom_dir,
        "dataset.findings": '["Cardiomegaly","Effusion"]',
        "image.size_px": 32,
        "train.epochs": 2,
        "train.batch_size": 8,
        "train.precision": "fp32",
        "train.few_images_first": "never",
        # With cosine, rates are others where the run is longer, and so are the weights.
        "train.schedule": "constant",
        "evaluate.bootstrap": 20,
    } | changes
    sets = [item for key, value in keys.items() for item in ("--set", f"{key}={value}")]
    return ["--cache", cache_dir, "--device", "cpu", *sets]


def run_in(folder, *arguments, timeout=300):
    return warm_start.run(
        [sys.executable, "-m", "cxr_tui", *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
    )


def test_a_run_leaves_the_session_of_the_contract(finished):
    session, _ = finished
    for name in (
        "recipe.toml",
        "environment.json",
        "dataset.json",
        "split.csv",
        "events.jsonl",
        "predictions/val.csv",
        "predictions/test.csv",
        "evaluation/test.json",
        "lock",
        "heartbeat",
    ):
        assert (session / name).is_file(), name
    kinds = {path.name.partition("-")[0] for path in (session / "checkpoints").iterdir()}
    assert kinds == {"last", "best"}
    split = (session / "split.csv").read_text().splitlines()
    assert split[0] == "Image Index,Patient ID,split"
    assert {line.rpartition(",")[2] for line in split[1:]} == set(PARTS)
    assert json.loads((session / "environment.json").read_text())["device"] == "cpu"


def test_stdout_is_the_events_and_stderr_tells_the_story(finished):
    session, done = finished
    printed = json_lines(done.stdout)
    kept = json_lines((session / "events.jsonl").read_text())
    assert printed == kept
    kinds = [event["event"] for event in printed]
    assert kinds[0] == "RunStarted"
    assert kinds[-1] == "Finished"
    assert kinds.count("EpochDone") == 2
    assert sum(kind in ("Finished", "Stopped", "Failed") for kind in kinds) == 1
    assert "\r" not in done.stderr
    assert "\x1b" not in done.stderr
    assert "base rate" in done.stderr


def test_test_figures_have_the_keys_of_the_contract(finished):
    session, _ = finished
    report = json.loads((session / "evaluation" / "test.json").read_text())
    assert {"split", "images", "patients", "findings", "mean_auroc", "mean_auroc_ci"} <= set(report)
    figures = report["findings"]["Effusion"]
    wanted = {
        "positives",
        "negatives",
        "positive_patients",
        "prevalence",
        "auroc",
        "auroc_ci",
        "auprc",
        "auprc_ci",
        "auroc_by_view",
        "note",
    }
    assert wanted <= set(figures)
    split = (session / "split.csv").read_text().splitlines()
    assert report["images"] == sum(line.endswith(",test") for line in split)


def test_evaluate_says_again_what_the_run_said(finished, cache_dir):
    session, _ = finished
    done = run_in(session.parent, "evaluate", session, "--json", "--cache", cache_dir)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said.pop("looks")["sessions"] == 1
    assert said == json.loads((session / "evaluation/test.json").read_text())
    val = run_in(session.parent, "evaluate", session, "--split", "val", "--cache", cache_dir)
    assert val.returncode == 0, val.stderr
    assert val.stdout.startswith("val: ")


def test_sessions_lists_it_without_its_test_figures(finished):
    session, _ = finished
    done = run_in(session.parents[1], "sessions", "--json")
    (summary,) = json.loads(done.stdout)["sessions"]
    assert (summary["name"], summary["state"], summary["epoch"]) == ("one", "finished", 2)
    assert not any("test" in key for key in summary)


def test_a_requeued_job_that_is_done_says_so(finished, phantom_dir, cache_dir):
    session, _ = finished
    before = (session / "events.jsonl").read_bytes()
    again = run_in(
        session.parents[1], "--batch", "demo", *small(phantom_dir, cache_dir), "--session", "one"
    )
    assert again.returncode == 0
    assert "already finished" in again.stderr
    assert "Cardiomegaly" in again.stdout
    assert (session / "events.jsonl").read_bytes() == before


def test_going_on_under_another_recipe_is_refused(finished, phantom_dir, cache_dir):
    session, _ = finished
    arguments = small(phantom_dir, cache_dir, **{"train.learning_rate": 0.5})
    done = run_in(session.parents[1], "--batch", "demo", *arguments, "--session", "one")
    assert done.returncode == 2
    assert "train.learning_rate was 0.001, is 0.5" in done.stderr


def test_weights_of_a_session_are_refused_on_patients_that_they_have_seen(
    finished, phantom_dir, cache_dir, tmp_path
):
    session, _ = finished
    arguments = small(
        phantom_dir,
        cache_dir,
        **{"model.weights": session, "split.by": "patient", "split.val": 0.1},
    )
    done = run_in(tmp_path, "--batch", "demo", *arguments)
    assert done.returncode == 3
    assert "test patients are among the patients that session one was trained on" in done.stderr
    marked = run_in(
        tmp_path,
        "--batch",
        "demo",
        *arguments,
        "--set",
        "model.seen_test_patients=mark",
        "--session",
        "marked",
        "--set",
        "train.epochs=1",
    )
    assert marked.returncode == 0, marked.stderr
    report = json.loads((tmp_path / "sessions/marked/evaluation/test.json").read_text())
    assert any("was trained on" in warning for warning in report["warnings"])
    # What it began with may go: the checkpoint knows the rest, whom those weights saw included.
    moved = session.rename(session.parent / "elsewhere")
    try:
        more = ["--cache", cache_dir, "--set", "train.epochs=2"]
        resumed = run_in(tmp_path, "--resume", "marked", *more)
    finally:
        moved.rename(session)
    assert resumed.returncode == 0, resumed.stderr
    report = json.loads((tmp_path / "sessions/marked/evaluation/test.json").read_text())
    assert any("was trained on" in warning for warning in report["warnings"])


def test_each_signal_stops_with_a_checkpoint_and_going_on_gives_the_same_predictions(
    finished, phantom_dir, cache_dir, tmp_path
):
    uninterrupted, _ = finished
    begins = long_run(phantom_dir, cache_dir)
    on = ["--resume", "cut", "--cache", cache_dir]
    for kind in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        code, last, told = cut_by(begins, tmp_path, kind)
        assert (code, last) == (75, "Stopped"), told
        assert "--resume" in told
        begins = on
    events = json_lines((tmp_path / "sessions/cut/events.jsonl").read_text())
    per_epoch = next(one["steps_per_epoch"] for one in events if one["event"] == "ModelReady")
    epochs = max(2, events[-1]["step"] // per_epoch + 1)
    if epochs > 2:  # the signals came late, as on a machine that has much else to do
        arguments = small(phantom_dir, cache_dir, **{"train.epochs": epochs})
        assert run_in(tmp_path, "--batch", "demo", *arguments, "--session", "w").returncode == 0
        uninterrupted = tmp_path / "sessions/w"
    resumed = run_in(tmp_path, *on, "--json", "--set", f"train.epochs={epochs}")
    assert resumed.returncode == 0, resumed.stderr
    events = json_lines((tmp_path / "sessions/cut/events.jsonl").read_text())
    assert [event["step"] >= 1 for event in events if event["event"] == "Resumed"] == [True] * 3
    assert nothing_is_told_twice(tmp_path / "sessions/cut")
    for name in ("val.csv", "test.csv"):
        ours = (tmp_path / "sessions/cut/predictions" / name).read_bytes()
        assert ours == (uninterrupted / "predictions" / name).read_bytes()


def nothing_is_told_twice(session):
    events = json_lines((session / "events.jsonl").read_text())
    told = [(one["check"], one["severity"]) for one in events if one["event"] == "Diagnosed"]
    return len(told) == len(set(told)) > 0


def at_its_first_step(tmp_path, *arguments):
    """A run of a process of its own that has recorded a step."""
    program = warm_start.Popen(
        [sys.executable, "-m", "cxr_tui", "--json", *map(str, arguments)],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert program.stdout is not None
    next((line for line in program.stdout if json.loads(line)["event"] == "StepRecorded"), None)
    return program


def cut_by(arguments, tmp_path, *kinds):
    """A run that gets these signals after its first step; code, last event, what it told."""
    program = at_its_first_step(tmp_path, *arguments)
    for kind in kinds:
        program.send_signal(kind)
    _, told = program.communicate(timeout=120)
    recorded = (tmp_path / "sessions/cut/events.jsonl").read_text()
    whole = recorded[: recorded.rindex("\n") + 1]
    return program.returncode, json_lines(whole)[-1]["event"], told


def long_run(phantom_dir, cache_dir, name="cut"):
    keys = small(phantom_dir, cache_dir, **{"train.epochs": 500})
    return ["--batch", "demo", "--session", name, *keys]


def test_a_scheduler_that_warns_twice_gets_its_checkpoint(phantom_dir, cache_dir, tmp_path):
    kinds = (signal.SIGUSR2, signal.SIGTERM, signal.SIGTERM)
    code, last, told = cut_by(long_run(phantom_dir, cache_dir), tmp_path, *kinds)
    assert (code, last) == (75, "Stopped"), told
    assert list((tmp_path / "sessions/cut/checkpoints").glob("last-*.json"))


def test_ctrl_c_twice_leaves_at_once_and_the_session_can_go_on(phantom_dir, cache_dir, tmp_path):
    kinds = (signal.SIGTERM, signal.SIGINT)
    code, _, told = cut_by(long_run(phantom_dir, cache_dir), tmp_path, *kinds)
    assert code == 75, told
    fewer = ["--set", "train.epochs=1"]
    resumed = run_in(tmp_path, "--resume", "cut", "--cache", cache_dir, "--json", *fewer)
    assert resumed.returncode == 0, resumed.stderr


def test_a_check_tries_everything_and_leaves_no_session(phantom_dir, cache_dir, tmp_path):
    done = run_in(tmp_path, "--batch", "demo", *small(phantom_dir, cache_dir), "--check")
    assert done.returncode == 0, done.stderr
    assert "check     passed" in done.stderr
    assert re.search(r"; \d+ of \d+ images were decoded; a run decodes all", done.stderr)
    assert list((tmp_path / "sessions").iterdir()) == []


def test_a_stop_asked_for_by_a_file_stops_the_run(phantom_dir, cache_dir, tmp_path):
    program = at_its_first_step(tmp_path, *long_run(phantom_dir, cache_dir, "asked"))
    (tmp_path / "sessions/asked/requests/stop").touch()
    program.communicate(timeout=120)
    assert program.returncode == 75


def test_what_is_in_the_session_is_absolute_and_complete(finished, phantom_dir):
    session, _ = finished
    text = (session / "recipe.toml").read_text()
    assert f'images = "{phantom_dir}"' in text
    assert "plateau_patience" in text


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--batch", "demoo"], 2, "Did you mean 'demo'"),
        (["--batch", "demo", "--set", "train.epochs=0"], 2, "train.epochs must be at least 1"),
        (["--batch", "nih-14"], 2, "--set dataset.images="),
        (["--batch", "nih-14", "--set", "dataset.images=/nowhere"], 3, "/nowhere is missing"),
        (["--resume", "nothing"], 2, "there is no session of this name"),
        (["audti"], 2, "unknown command"),
        (["--batch", "demo", "--resume", "x"], 2, "not allowed with"),
        (["evaluate"], 2, "name a session"),
        (["evaluate", "--predictions", "x.csv"], 2, "needs --labels"),
        (["--batch", "demo", "--device", "tpu"], 2, "device"),
    ],
)
def test_wrong_usage_has_a_message_and_an_exit_code(cxr_tui, arguments, code, message, cache_dir):
    done = cxr_tui(*arguments)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_an_image_that_cannot_be_decoded_is_quarantined_by_name(phantom_dir, cache_dir, tmp_path):
    broken = copy_of(phantom_dir, tmp_path / "set")
    victim = sorted(broken.rglob("*.png"))[0]
    victim.write_bytes(victim.read_bytes()[:200])
    refused = run_in(tmp_path, "--batch", "demo", *small(broken, cache_dir))
    assert refused.returncode == 3
    assert victim.name in refused.stderr
    assert "dataset.max_quarantined_share" in refused.stderr
    arguments = small(
        broken, cache_dir, **{"dataset.max_quarantined_share": 0.05, "train.epochs": 1}
    )
    allowed = run_in(tmp_path, "--batch", "demo", *arguments, "--session", "ok")
    assert allowed.returncode == 0, allowed.stderr
    assert victim.name in (tmp_path / "sessions/ok/split.csv").read_text()
    events = json_lines((tmp_path / "sessions/ok/events.jsonl").read_text())
    (ingest,) = [event for event in events if event["event"] == "IngestDone"]
    assert list(ingest["quarantined"]) == [victim.name]


def test_missing_images_stop_the_run_unless_a_part_is_enough(phantom_dir, cache_dir, tmp_path):
    fewer = copy_of(phantom_dir, tmp_path / "set")
    gone = sorted(fewer.rglob("*.png"))[::9]
    for path in gone:
        path.unlink()
    refused = run_in(tmp_path, "--batch", "demo", *small(fewer, cache_dir))
    assert refused.returncode == 3
    assert "dataset.partial" in refused.stderr
    assert f"{len(gone):,}" in refused.stderr
    arguments = small(fewer, cache_dir, **{"dataset.partial": "true", "train.epochs": 1})
    allowed = run_in(tmp_path, "--batch", "demo", *arguments, "--session", "ok")
    assert allowed.returncode == 0, allowed.stderr
    report = json.loads((tmp_path / "sessions/ok/evaluation/test.json").read_text())
    assert report["dataset_share"] < 1
    assert any("a part of the data set" in warning for warning in report["warnings"])


def test_a_data_set_that_has_moved_is_the_same_and_one_that_changed_is_not(
    phantom_dir, cache_dir, tmp_path
):
    here = copy_of(phantom_dir, tmp_path / "here")
    done = run_in(
        tmp_path,
        "--batch",
        "demo",
        *small(here, cache_dir, **{"train.epochs": 1}),
        "--session",
        "moved",
    )
    assert done.returncode == 0, done.stderr
    there = here.rename(tmp_path / "there")
    more = ["--cache", cache_dir, "--set", "train.epochs=2", "--set", f"dataset.images={there}"]
    again = run_in(tmp_path, "--resume", "moved", *more)
    assert again.returncode == 0, again.stderr
    assert "train.epochs was 1, is 2: safe to change" in again.stderr
    victim = sorted(there.rglob("*.png"))[0]
    content, status = victim.read_bytes(), victim.stat()
    victim.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))  # as long, and decoded alike
    os.utime(victim, ns=(status.st_atime_ns, status.st_mtime_ns))
    changed = run_in(tmp_path, "--resume", "moved", *more, "--set", "train.epochs=3")
    assert changed.returncode == 3
    assert f"differ from those this session started with: {victim.name} had other" in changed.stderr
    Image.new("L", (64, 64), 7).save(victim)
    changed = run_in(tmp_path, "--resume", "moved", *more, "--set", "train.epochs=3")
    assert changed.returncode == 3
    assert (
        "differs from the one this session started with: image files with different"
        in changed.stderr
    )
    table = next(there.glob("Data_Entry*.csv"))
    table.write_bytes(table.read_bytes() + b"\n")
    changed = run_in(tmp_path, "--resume", "moved", *more, "--set", "train.epochs=3")
    assert changed.returncode == 3
    assert "a different table for labels; image files" in changed.stderr


def test_text_from_files_cannot_drive_the_terminal(tmp_path):
    recipe = tmp_path / "evil.toml"
    recipe.write_text('[train]\noptimizer = "\\u001b[2Jsgd"\n')
    done = run_in(tmp_path, "--batch", recipe)
    assert done.returncode == 2
    assert "\x1b" not in done.stderr


def test_a_reader_that_leaves_early_is_no_error(tmp_path):
    shell = f"{sys.executable} -m cxr_tui --help | head -1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", shell], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def copy_of(folder, target):
    shutil.copytree(folder, target)
    return target


def test_sessions_that_are_a_file_are_refused_at_once(tmp_path):
    (tmp_path / "sessions").write_text("not a folder")
    done = run_in(tmp_path, "--batch", "demo", timeout=30)
    assert done.returncode == 2
    assert "can't be created here" in done.stderr


def test_a_run_outlives_whoever_read_its_output(phantom_dir, cache_dir, tmp_path):
    arguments = [*map(str, small(phantom_dir, cache_dir, **{"train.epochs": 1}))]
    command = " ".join(
        f"'{part}'" for part in ("--batch", "demo", "--session", "cut", "--json", *arguments)
    )
    shell = f"{sys.executable} -m cxr_tui {command} 2>&- | head -1"
    subprocess.run(["bash", "-c", shell], cwd=tmp_path, capture_output=True, timeout=120)
    events = json_lines((tmp_path / "sessions/cut/events.jsonl").read_text())
    assert events[-1]["event"] == "Finished"


def test_a_dropped_line_is_no_reason_to_stop(phantom_dir, cache_dir, tmp_path):
    arguments = small(phantom_dir, cache_dir, **{"train.epochs": 1})
    program = at_its_first_step(tmp_path, "--batch", "demo", *arguments)
    program.send_signal(signal.SIGHUP)
    program.communicate(timeout=120)
    assert program.returncode == 0


def test_after_a_crash_before_the_first_checkpoint_readers_drop_what_was_recorded(
    phantom_dir, cache_dir, tmp_path
):
    arguments = small(phantom_dir, cache_dir, **{"train.batch_size": 4, "train.epochs": 1})
    program = at_its_first_step(tmp_path, "--batch", "demo", "--session", "k", *arguments)
    program.kill()
    program.communicate(timeout=60)
    again = run_in(tmp_path, "--resume", "k", "--cache", cache_dir, "--json")
    assert again.returncode == 0, again.stderr
    assert any(e["event"] == "Resumed" and e["step"] == 0 for e in json_lines(again.stdout))


def test_the_figures_can_be_taken_again_under_another_rule(finished, cache_dir, tmp_path):
    session, _ = finished
    copy = copy_of(session.parent, tmp_path / "sessions") / "one"
    done = run_in(
        tmp_path,
        "--resume",
        "one",
        "--cache",
        cache_dir,
        "--json",
        "--set",
        "evaluate.operating_point=sensitivity=0.9",
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((copy / "evaluation/test.json").read_text())
    assert report["operating_point"] == "sensitivity=0.9"
    before = json.loads((session / "evaluation/test.json").read_text())
    assert report["mean_auroc"] == before["mean_auroc"]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory, phantom_dir, cache_dir):
    """A finished session whose train and val were drawn at a prevalence, and what was printed."""
    folder = tmp_path_factory.mktemp("drawn")
    keys = {"subset.finding": "Effusion", "subset.prevalence": 0.5, "train.epochs": 1}
    arguments = [*small(phantom_dir, cache_dir, **keys), "--session", "one", "--json"]
    done = run_in(folder, "--batch", "demo", *arguments)
    assert done.returncode == 0, done.stderr
    return folder / "sessions" / "one", done


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def effusions(rows):
    """Images with and without one."""
    positives = sum("Effusion" in row["Finding Labels"].split("|") for row in rows)
    return positives, len(rows) - positives


def whole_and_drawn(session, phantom_dir):
    """Rows of the label table by part: of the whole split, drawn anew, and of the session's."""
    table = {row["Image Index"]: row for row in rows_of(phantom_dir / "Data_Entry_2017_v2020.csv")}
    recipe = changed_recipe(
        Session(session).recipe, ["subset.finding=none", "subset.prevalence=none"]
    )
    study = prepare_study(recipe, session.parent / "cache", labels_only=True)
    split = rows_of(session / "split.csv")
    return {
        part: (
            [table[name] for name in study.index.images[study.rows(part)]],
            [table[row["Image Index"]] for row in split if row["split"] == part],
        )
        for part in PARTS
    }


def test_test_is_kept_whole_and_it_is_said_what_was_drawn(drawn, phantom_dir):
    session, done = drawn
    parts = {
        part: tuple(map(effusions, both))
        for part, both in whole_and_drawn(session, phantom_dir).items()
    }
    assert parts["test"][0] == parts["test"][1]
    said = []
    for part, (whole, left) in parts.items():
        own, now = (100 * positives / (positives + others) for positives, others in (whole, left))
        how = "whole" if part == "test" else f"drawn from {own:.1f} %"
        said.append(f"{part} {now:.1f} % ({how})")
        assert part == "test" or (left[0] == whole[0] and abs(now - 50) < 1)
    assert f"Effusion: {', '.join(said)}" in done.stderr
    ready = next(e for e in json_lines(done.stdout) if e["event"] == "DatasetReady")
    assert ready["subset"] == f"Effusion: {', '.join(said)}"
    assert "test was drawn" not in json.dumps(json_lines(done.stdout)[-2])


def test_val_loss_weighs_each_drawn_negative_as_many_as_it_stands_for(drawn, phantom_dir):
    session, done = drawn
    whole, left = whole_and_drawn(session, phantom_dir)["val"]
    (positives, negatives), (_, kept) = effusions(whole), effusions(left)
    total, weights, base = 0.0, 0.0, 0.0
    known = {finding: [0.0, 0.0] for finding in ("Cardiomegaly", "Effusion")}
    for row in rows_of(session / "predictions" / "val.csv"):
        weight = 1.0 if row["Effusion"] == "1" else negatives / kept
        for finding, counts in known.items():
            present, score = row[finding] == "1", float(row[f"prob_{finding}"])
            total -= weight * math.log(score if present else 1 - score)
            weights += weight
            counts[present] += weight
    for counts in known.values():
        base -= sum(count * math.log(count / sum(counts)) for count in counts) / weights

    told = {e["event"]: e for e in json_lines(done.stdout)}

    assert kept < negatives
    assert told["EpochDone"]["val_loss"] == pytest.approx(total / weights, rel=1e-5)
    assert told["ModelReady"]["val_base_rate_loss"] == pytest.approx(base, rel=1e-4)
    assert positives == len(left) - kept


def test_a_session_that_goes_on_weighs_as_before_and_an_older_one_as_it_did(
    drawn, cache_dir, tmp_path
):
    session = Session(copy_of(drawn[0].parent, tmp_path / "sessions") / "one")
    split = session.path / "split.csv"

    def study():
        return prepare_study(session.recipe, cache_dir, labels_only=True, recorded_split=split)

    again = study()
    weights = again.sampling_weights("val")
    assert sorted(set(weights.tolist()))[0] == 1 < weights.max()
    assert again.sampling_weights("test") is None

    described = session.read_json("dataset.json")
    described.pop("subset")
    session.write_json("dataset.json", described)
    text = (session.path / "recipe.toml").read_text()
    (session.path / "recipe.toml").write_text(
        re.sub(r"(?s)^parts = \[.*?\]\n", "", text, flags=re.M)
    )

    assert session.recipe.subset.parts == PARTS
    assert study().sampling_weights("val") is None
    report = report_of_session(session, "test", cache_dir)
    (warning,) = (text for text in report["warnings"] if "was drawn" in text)
    assert warning.startswith("test was drawn at a prevalence of ")
    assert "not recorded" in warning
    assert "val 50.0 % (drawn; the whole is not recorded)" in draws_in_words(study().drawn.draws)


def test_a_damaged_record_of_the_draw_is_refused_by_name(drawn, cache_dir, tmp_path):
    session = Session(copy_of(drawn[0].parent, tmp_path / "sessions") / "one")
    described = session.read_json("dataset.json")
    described["subset"]["val"]["negative_share"] = 7
    session.write_json("dataset.json", described)
    with pytest.raises(DataError, match=r"subset\.val\.negative_share"):
        report_of_session(session, "test", cache_dir)


def test_too_few_images_for_batch_norm_are_refused_with_the_key(phantom_dir, cache_dir, tmp_path):
    arguments = small(phantom_dir, cache_dir, **{"train.batch_size": 1})
    done = run_in(tmp_path, "--batch", "demo", *arguments)
    assert done.returncode == 2
    assert "train.batch_size" in done.stderr


def test_a_finding_without_a_positive_is_told_before_training(phantom_dir, cache_dir, tmp_path):
    arguments = small(
        phantom_dir,
        cache_dir,
        **{"train.epochs": 1, "subset.max_images": 40, "dataset.findings": '["Hernia","Mass"]'},
    )
    done = run_in(tmp_path, "--batch", "demo", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    events = json_lines(done.stdout)
    kinds = [e["event"] for e in events]
    before = [e for e in events[: kinds.index("EpochStarted")] if e["event"] == "Diagnosed"]
    (told,) = (e for e in before if e["check"] == "never-positive")
    assert told["severity"] == "warning"
    assert "Hernia" in told["text"]
    assert "▲ train has no positive image of Hernia" in done.stderr
