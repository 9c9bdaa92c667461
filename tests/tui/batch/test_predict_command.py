"""``cxr-tui predict``: a session's network on files that are in no table."""

import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import warm_start
from dicoms import write_dicom
from PIL import Image
from small_runs import until

from core.store.session import Session
from cxr_tui.cli import main

FINDINGS = ["Cardiomegaly", "Effusion", "Mass", "Pneumothorax", "Nodule"]


@pytest.fixture
def predict(trained_dir, monkeypatch, capsys):
    """The command in this process: its exit code, stdout and stderr."""

    def run(*arguments, lines=None, session=None):
        stdin = io.TextIOWrapper(io.BytesIO(b"" if lines is None else lines))
        monkeypatch.setattr(sys, "stdin", stdin)
        code = main(
            ["predict", str(session or trained_dir), "--device", "cpu", *map(str, arguments)]
        )
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


@pytest.fixture
def files(phantom_dir):
    """The files of the phantom's images, by name."""
    return {path.name: path for path in sorted(phantom_dir.rglob("*.png"))}


@pytest.fixture
def few(files, tmp_path):
    """A folder of six images."""
    folder = tmp_path / "few"
    folder.mkdir()
    for path in list(files.values())[:6]:
        shutil.copy(path, folder)
    return folder


def first_of(folder):
    """The first file by name."""
    return min(folder.iterdir())


def rows_of(path):
    with Path(path).open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_folder_gives_the_columns_of_the_contract_and_the_sessions_own_probabilities(
    predict, phantom_dir, trained_dir, tmp_path
):
    out = tmp_path / "out.csv"
    code, told, _ = predict(phantom_dir, "--out", out)
    assert code == 0
    rows = rows_of(out)
    pairs = [f"{kind}_{finding}" for finding in FINDINGS for kind in ("prob", "call")]
    assert list(rows[0]) == ["file", "digest", *pairs, "flags", "error"]
    assert [row["file"] for row in rows] == [str(p) for p in sorted(phantom_dir.rglob("*.png"))]
    report = json.loads((trained_dir / "evaluation/test.json").read_text())
    by_name = {Path(row["file"]).name: row for row in rows}
    for kept in rows_of(trained_dir / "predictions/test.csv"):
        row = by_name[kept["Image Index"]]
        for finding in FINDINGS:
            assert float(row[f"prob_{finding}"]) == pytest.approx(
                float(kept[f"prob_{finding}"]), abs=1e-5
            )
            threshold = report["findings"][finding]["operating_point"]["threshold"]
            called = float(row[f"prob_{finding}"]) >= threshold
            assert row[f"call_{finding}"] == str(int(called))
    assert f"{len(rows)} images scored" in told
    # The test part's own prevalence gives the report's own PPV and NPV.
    code, told, _ = predict(phantom_dir, "--out", out, "--resume", "--json")
    told = json.loads(told)
    assert told["from_before"] == told["images"] == len(rows)
    for finding in FINDINGS:
        point, kept = told["findings"][finding], report["findings"][finding]["operating_point"]
        for share in ("threshold", "sensitivity", "specificity", "ppv", "npv"):
            assert point[share] == pytest.approx(kept[share], abs=1e-5), (finding, share)


def test_the_test_part_by_list_has_the_same_digits_as_test_csv_and_digests_that_b2sum_gives(
    predict, files, trained_dir, tmp_path
):
    kept = rows_of(trained_dir / "predictions/test.csv")
    lines = b"".join(os.fsencode(files[row["Image Index"]]) + b"\n" for row in kept)
    out = tmp_path / "out.csv"
    assert predict("-", "--out", out, lines=lines)[0] == 0
    rows = rows_of(out)
    for finding in FINDINGS:
        column = f"prob_{finding}"
        assert [row[column] for row in rows] == [row[column] for row in kept]
    summed = subprocess.run(
        ["b2sum", "-l", "128", rows[0]["file"]], capture_output=True, text=True, check=True
    )
    assert summed.stdout.split()[0] == rows[0]["digest"]


def test_ppv_and_npv_follow_a_given_prevalence_by_bayes_rule(predict, few):
    code, told, _ = predict("--prevalence", "mass=0.02", few, "--json")
    assert code == 0
    told = json.loads(told)
    mass = told["findings"]["Mass"]
    sensitivity, specificity = mass["sensitivity"], mass["specificity"]
    true, false = sensitivity * 0.02, (1 - specificity) * 0.98
    assert mass["prevalence"] == 0.02
    assert mass["ppv"] == pytest.approx(true / (true + false), abs=1e-4)
    assert len(told["rows"]) == told["scored"] == 6
    code, _, error = predict("--prevalence", "Mess=0.1", few)
    assert (code, "Did you mean 'Mass'" in error) == (2, True)
    assert predict("--prevalence", "Mass=7", few)[0] == 2


def test_a_few_images_are_shown_and_many_need_a_file(predict, few, phantom_dir):
    code, told, _ = predict(first_of(few))
    assert code == 0
    assert all(finding in told for finding in FINDINGS)
    code, told, _ = predict(few)
    assert code == 0
    assert told.count(".png") == 6
    code, told, error = predict(phantom_dir)
    assert (code, told) == (2, "")
    assert "--out" in error


def test_an_unreadable_image_costs_one_row_with_its_reason_and_options_stand_anywhere(
    predict, few, tmp_path
):
    names = sorted(path.name for path in few.iterdir())
    (few / names[1]).write_bytes((few / names[1]).read_bytes()[:300])
    (few / names[2]).write_text("no image")
    (few / "table.csv").write_text("Image Index\n")
    out = tmp_path / "out.csv"
    code, told, _ = predict(few, "--out", out, few / "table.csv", tmp_path / "gone.png")
    assert code == 0
    rows = rows_of(out)
    errors = {Path(row["file"]).name: row["error"] for row in rows if row["error"]}
    assert errors == {
        names[1]: "truncated",
        names[2]: "not an image",
        "table.csv": "is a table, not an image",
        "gone.png": "can't be read: No such file or directory",
    }
    assert all(row["prob_Mass"] == row["call_Mass"] == "" for row in rows if row["error"])
    assert [row["digest"] == "" for row in rows] == [False] * 6 + [True] * 2
    assert "4 files not scored" in told


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: folder, "It is empty"),
        (lambda folder: (folder / "notes.md").write_text("x") and folder, "1 .md"),
        (lambda folder: (folder / "t.csv").write_text("x") and folder / "t.csv", "is a table"),
        (lambda folder: folder / "gone", "no such file or folder"),
    ],
)
def test_where_nothing_can_be_scored_the_exit_code_is_3_and_the_reason_is_said(
    predict, tmp_path, make, said
):
    (tmp_path / "given").mkdir()
    code, _, error = predict(make(tmp_path / "given"), "--out", tmp_path / "out.csv")
    assert code == 3
    assert said in error


def test_what_is_wrong_is_said_before_the_guard_learns_and_leaves_no_file(
    predict, few, trained_dir, tmp_path
):
    session = tmp_path / "copy"
    shutil.copytree(trained_dir, session)
    (session / "evaluation/guard.npz").unlink(missing_ok=True)
    out, full = tmp_path / "out.csv", tmp_path / "full.csv"
    full.write_text("mine\n")
    code, _, error = predict(tmp_path / "*.png", "gone", "--out", out, session=session)
    assert code == 3
    assert "*.png: there is no such file or folder, nor is the other one" in error
    assert not out.exists()
    assert predict(few, "--out", full, session=session)[0] == 2
    assert full.read_text() == "mine\n"
    assert not (session / "evaluation/guard.npz").exists()


def test_archives_are_read_in_one_pass_and_what_is_damaged_says_so(predict, few, tmp_path):
    names = sorted(path.name for path in few.iterdir())
    packed, zipped, torn = (tmp_path / name for name in ("a.tar.gz", "b.zip", "torn.tar"))
    for path in (packed, torn):
        with tarfile.open(path, "w:gz" if path is packed else "w") as archive:
            for name in names:
                archive.add(few / name, f"in/{name}")
    torn.write_bytes(torn.read_bytes()[: len(torn.read_bytes()) // 2])
    with zipfile.ZipFile(zipped, "w") as archive:
        for name in names:
            archive.write(few / name, name)
    out = tmp_path / "out.csv"
    assert predict(packed, zipped, torn, few, "--out", out)[0] == 0
    rows = rows_of(out)
    scores = {row["file"]: row["prob_Mass"] for row in rows}
    for name in names:
        of = [scores[f] for f in (f"{packed}/in/{name}", f"{zipped}/{name}", str(few / name))]
        assert np.allclose(np.asarray(of, float), float(of[0]), atol=1e-5)
    assert next(row["error"] for row in rows if row["file"] == str(torn)).startswith(
        "the archive is truncated"
    )


def test_links_in_a_circle_two_files_of_one_name_and_a_file_given_twice(predict, few, tmp_path):
    name = first_of(few).name
    (few / "below").mkdir()
    shutil.copy(few / name, few / "below" / name)
    (few / "below" / "up").symlink_to(few)
    (few / "self.png").symlink_to(few / "self.png")
    (few / ".hidden.png").write_bytes(b"")
    out = tmp_path / "out.csv"
    assert predict(few, few, few / name, "--out", out)[0] == 0
    rows = rows_of(out)
    assert len(rows) == 6 + 1 + 1
    assert [row["file"] for row in rows if row["file"].endswith(name)] == [
        str(few / name),
        str(few / "below" / name),
    ]
    assert "Too many levels" in next(r["error"] for r in rows if r["file"].endswith("self.png"))


def test_an_output_that_exists_is_kept_and_one_of_other_findings_is_not_continued(
    predict, few, tmp_path
):
    out = tmp_path / "out.csv"
    out.write_text("file,digest,prob_Mass,call_Mass,flags,error\n")
    for arguments in ((), ("--resume",)):
        code, _, error = predict(few, "--out", out, *arguments)
        assert code == (3 if arguments else 2)
        assert str(out) in error
        assert out.read_text().count("\n") == 1
    assert predict(few, "--resume")[0] == 2


def test_a_torn_output_is_completed_whatever_byte_it_ends_at(predict, few, tmp_path):
    (few / 'a "quoted"\nname, with all.png').write_bytes(b"no image")
    whole = tmp_path / "whole.csv"
    assert predict(few, "--out", whole)[0] == 0
    content = whole.read_bytes()
    rng = np.random.default_rng(0)
    for end in [0, 1, len(content) - 1, *rng.integers(2, len(content), 5).tolist()]:
        torn = tmp_path / f"torn-{end}.csv"
        torn.write_bytes(content[:end])
        assert predict(few, "--out", torn, "--resume")[0] == 0
        rows = rows_of(torn)
        assert [row["file"] for row in rows] == [row["file"] for row in rows_of(whole)]
        for ours, theirs in zip(rows, rows_of(whole), strict=True):
            if not ours["error"]:
                assert float(ours["prob_Mass"]) == pytest.approx(
                    float(theirs["prob_Mass"]), abs=1e-5
                )


def test_a_changed_row_is_named_by_its_line(predict, few, tmp_path):
    out = tmp_path / "out.csv"
    assert predict(few, "--out", out)[0] == 0
    lines = out.read_text().splitlines(keepends=True)
    out.write_text("".join([*lines[:2], "a row of mine\n", *lines[2:]]))
    code, _, error = predict(few, "--out", out, "--resume")
    assert code == 3
    assert f"{out} line 3" in error


def test_after_a_kill_at_any_moment_resume_completes_the_file_with_no_row_twice(
    files, trained_dir, tmp_path
):
    folder = tmp_path / "three hundred"
    folder.mkdir()
    paths = list(files.values())
    for number in range(300):
        (folder / f"{number:03d}.png").symlink_to(paths[number % len(paths)])
    out = tmp_path / "out.csv"
    command = [sys.executable, "-m", "cxr_tui", "predict", str(trained_dir), str(folder)]
    command += ["--out", str(out), "--resume", "--device", "cpu"]

    def lines():
        return out.read_bytes().count(b"\n") if out.exists() else 0

    for wanted in (1, 120):
        killed = warm_start.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(lambda wanted=wanted: lines() > wanted, "rows")
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        before = lines()
    assert 120 < before < 301
    done = warm_start.run([*command, "--json"], capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    assert told["images"] == told["scored"] == 300
    assert told["from_before"] == before - 1
    rows = rows_of(out)
    assert [Path(row["file"]).name for row in rows] == [f"{n:03d}.png" for n in range(300)]
    for finding in FINDINGS:
        scores = [float(row[f"prob_{finding}"]) for row in rows]
        again = scores[len(paths) :]
        assert np.allclose(scores[: len(again)], again, atol=1e-5)


def test_a_full_disk_names_the_file_and_leaves_whole_rows(files, trained_dir, tmp_path):
    out = tmp_path / "out.csv"
    limit = f"ulimit -f 8; exec {sys.executable} -m cxr_tui predict"  # 8 KiB a file
    command = f'{limit} {trained_dir} "$0" --out {out} --device cpu'
    folder = next(iter(files.values())).parent.parent.parent
    done = subprocess.run(
        ["bash", "-c", command, str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 4
    assert str(out) in done.stderr
    assert "--resume" in done.stderr
    rows = rows_of(out)
    assert f"{len(rows):,} rows so far are whole" in done.stderr
    assert out.read_bytes().endswith(b"\n")


def test_a_session_without_a_checkpoint_is_refused_and_a_running_one_is_said_to_run(
    predict, few, trained_dir, tmp_path
):
    copy = tmp_path / "copy"
    shutil.copytree(trained_dir, copy)
    with Session(copy).writing():
        code, _, said = predict(few, session=copy)
    assert code == 0
    assert "still running" in said
    (copy / "predictions/test.csv").unlink()
    code, told, _ = predict(few, "--json", session=copy)
    assert code == 0
    assert json.loads(told)["findings"]["Effusion"]["measured_on"] == "val"
    shutil.rmtree(copy / "predictions")
    code, told, _ = predict(few, "--json", session=copy)
    assert code == 0
    assert json.loads(told)["rows"][0]["findings"]["Mass"]["call"] is None
    shutil.rmtree(copy / "checkpoints")
    code, _, said = predict(few, session=copy)
    assert code == 3
    assert "no undamaged checkpoint" in said


def test_a_session_of_another_version_is_refused_with_what_differs_or_read_as_it_was_meant(
    predict, few, trained_dir, tmp_path
):
    copy = shutil.copytree(trained_dir, tmp_path / "copy")
    recipe = copy / "recipe.toml"
    written = recipe.read_text()
    recipe.write_text(written.replace("[image]\n", "[image]\nsharpen = 3\n"))
    code, told, said = predict(few, session=copy)
    assert (code, told) == (2, "")
    assert f"{recipe}: image.sharpen: unknown key" in said
    later_keys = ("recalibrate", "subgroups", "sealed", "trackers", "equalize", "patient_from")
    older = [line for line in written.splitlines() if not line.startswith(later_keys)]
    assert len(older) < len(written.splitlines()) - 3
    recipe.write_text("\n".join(older))
    both = [json.loads(predict(few, "--json", session=of)[1])["rows"] for of in (copy, trained_dir)]
    assert both[0] == both[1]
    for path in copy.glob("checkpoints/*.json"):
        state = json.loads(path.read_text())
        path.write_text(json.dumps(state | {"format": state["format"] + 1}))
    code, told, said = predict(few, session=copy)
    assert (code, told) == (3, "")
    said = " ".join(said.split())
    assert re.search(r"best-\d+.json is in another version's format \(2\)", said)
    assert "environment.json" in said
    assert "--resume" not in said  # it would begin again


def test_a_hundred_thousand_files_in_one_folder_are_a_row_each_in_seconds_and_bounded_memory(
    predict, few, tmp_path
):
    folder, out = tmp_path / "many", tmp_path / "out.csv"
    folder.mkdir()
    first = folder / "000000.png"
    first.touch()
    for number in range(1, 100_000):  # one empty file has at most 65,000 names
        path = folder / f"{number:06d}.png"
        path.touch() if number % 2 else path.hardlink_to(first)
    shutil.copy(first_of(few), folder / "last.png")
    predict(few)  # what is loaded once
    before, begun = memory_kib("VmRSS"), time.process_time()
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    code, told, _ = predict(folder, "--out", out, "--json")
    assert time.process_time() - begun < 60
    assert memory_kib("VmHWM") - before < 100 * 1024
    assert code == 0
    assert json.loads(told)["scored"] == 1
    names = iter([*(f"{number:06d}.png" for number in range(100_000)), "last.png"])
    for row in rows_of(out):
        assert Path(row["file"]).name == next(names)
        assert row["error"] == ("empty file" if row["prob_Mass"] == "" else "")
    assert next(names, None) is None


def memory_kib(key):
    status = Path("/proc/self/status").read_text()
    return int(re.search(rf"{key}:\s+(\d+)", status)[1])


def test_what_a_folder_gains_meanwhile_is_scored_by_resume_and_nothing_twice(
    predict, files, tmp_path
):
    folder, out = tmp_path / "growing", tmp_path / "out.csv"
    folder.mkdir()
    paths = list(files.values())
    first = [f"{number:03d}.png" for number in range(80)]
    for number, name in enumerate(first):
        shutil.copy(paths[number], folder / name)

    def grow():
        until(lambda: out.exists() and out.read_bytes().count(b"\n") > 1, "rows")
        for number in range(5):  # before and behind those that are being read
            shutil.copy(paths[80 + number], folder / f"{number:03d}-late.png")
            shutil.copy(paths[85 + number], folder / f"9{number:02d}.png")

    growing = threading.Thread(target=grow)
    growing.start()
    code, _, _ = predict(folder, "--out", out)
    growing.join()
    assert code == 0
    assert [Path(row["file"]).name for row in rows_of(out)] == first
    code, told, _ = predict(folder, "--out", out, "--resume", "--json")
    assert (code, json.loads(told)["from_before"]) == (0, 80)
    names = [Path(row["file"]).name for row in rows_of(out)]
    assert names[:80] == first
    assert names[80:] == sorted({path.name for path in folder.iterdir()} - set(first))


def test_the_squares_of_jpeg_16_bit_and_dicom_are_those_of_the_data_reader(predict, few, tmp_path):
    image = Image.open(first_of(few))
    given = tmp_path / "kinds"
    given.mkdir()
    image.convert("RGB").save(given / "colour.png")
    image.convert("RGBA").save(given / "alpha.png")
    image.save(given / "page.tif")
    Image.fromarray(np.asarray(image).astype(np.uint16) * 257).save(given / "deep.png")
    window = {"WindowCenter": 128, "WindowWidth": 256}  # each value is its own grey
    write_dicom(given / "1.2.840.7", np.asarray(image), bits_stored=8, **window)
    shutil.copy(image.filename, given / "plain.png")
    code, told, _ = predict(given, "--json")
    assert code == 0
    rows = json.loads(told)["rows"]
    assert len(rows) == 6
    masses = [row["findings"]["Mass"]["probability"] for row in rows]
    assert masses == pytest.approx([masses[-1]] * 6, abs=1e-5)


def test_each_call_has_a_map_over_its_image_also_from_an_archive(predict, few, tmp_path):
    names = sorted(path.name for path in few.iterdir())
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(few / names[0], names[0])
    maps, out = tmp_path / "maps", tmp_path / "out.csv"
    code, told, _ = predict(few, tmp_path / "a.zip", "--maps", maps, "--out", out, "--json")
    assert code == 0
    calls = sum(row[f"call_{finding}"] == "1" for row in rows_of(out) for finding in FINDINGS)
    assert json.loads(told)["maps"] == {"folder": str(maps), "saved": calls}
    pictures = [Image.open(path) for path in maps.iterdir()]
    assert len(pictures) == calls > 7
    written = {(picture.text["file"], picture.text["finding"]) for picture in pictures}
    assert written == {
        (row["file"], finding)
        for row in rows_of(out)
        for finding in FINDINGS
        if row[f"call_{finding}"] == "1"
    }
    for picture in pictures:
        row = next(row for row in rows_of(out) if row["file"] == picture.text["file"])
        score = float(row[f"prob_{picture.text['finding']}"])
        assert float(picture.text["probability"]) == pytest.approx(score, abs=1e-4)
