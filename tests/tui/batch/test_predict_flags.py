"""Flags of ``cxr-tui predict``: what the network was not made for is said, and nothing dropped."""

import json
import os
import shutil
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import warm_start
from dicoms import write_dicom
from PIL import Image, ImageDraw

from core.frames import open_run
from core.store.session import Session
from cxr_tui.cli import main

_KEPT = "evaluation/guard.npz"


@pytest.fixture(scope="module")
def session_dir(trained_dir, tmp_path_factory):
    """A copy to keep the guard in."""
    copy = tmp_path_factory.mktemp("guarded") / "trained"
    shutil.copytree(trained_dir, copy)
    return copy


@pytest.fixture
def flags_of(session_dir, cache_dir):
    """The flags of each file of a folder."""
    run = open_run(session_dir, cache=cache_dir)

    def flags(folder):
        rows = run.predict(folder, device="cpu")
        assert (rows["error"] == "").all()
        assert rows.filter(like="prob_").notna().all(axis=None)
        return [set(cell.split("|")) - {""} for cell in rows["flags"]]

    return flags


@pytest.fixture
def pictures(session_dir, phantom_dir):
    """Test images that no one has altered."""
    named = open_run(session_dir).predictions("test").index[:12]
    files = {path.name: path for path in phantom_dir.rglob("*.png")}
    return [Image.open(files[name]).convert("L") for name in named]


def bytes_of(picture):
    return np.asarray(picture)


def padded(picture):
    width, height = picture.size
    wide = Image.new("L", (width * 3 // 2, height))
    wide.paste(picture, (width // 4, 0))
    return wide


def tinted(picture):
    grey = bytes_of(picture).astype(float)
    channels = [grey * 0.9, grey * 0.7 + 20, grey * 0.5 + 60]
    return Image.fromarray(np.stack(channels, axis=2).clip(0, 255).astype(np.uint8))


def page_of_text(picture):
    side = picture.width * 4
    page = Image.new("L", (side, side), 235)
    draw = ImageDraw.Draw(page)
    for line in range(10, side - 10, 14):
        draw.text((12, line), "the patient was seen for a cough", fill=30, font_size=11)
    return page.rotate(3, fillcolor=100)


def noise(picture):
    rng = np.random.default_rng(picture.width + int(bytes_of(picture).sum()))
    return Image.fromarray(rng.integers(0, 256, bytes_of(picture).shape, dtype=np.uint8))


ALTERED = {
    "inverted": ({"inverted"}, lambda one: Image.fromarray(255 - bytes_of(one))),
    "turned": ({"turned"}, lambda one: one.rotate(90, expand=True)),
    "upside down": ({"turned"}, lambda one: one.rotate(180)),
    "bordered": ({"border"}, padded),
    "tinted": ({"colour"}, tinted),
    "of eight greys": ({"range"}, lambda one: Image.fromarray(bytes_of(one) // 32 * 32)),
    "dark": ({"range"}, lambda one: Image.fromarray(bytes_of(one) // 6)),
    "noise": ({"empty", "unlike"}, noise),
    "a page of text": ({"empty"}, page_of_text),
}


@pytest.mark.parametrize("name", ALTERED)
def test_what_the_network_was_not_made_for_is_flagged_and_scored_all_the_same(
    flags_of, pictures, tmp_path, name
):
    expected, altered = ALTERED[name]
    for number, picture in enumerate(pictures):
        altered(picture).save(tmp_path / f"{number:02d}.png")
    found = flags_of(tmp_path)
    for code in expected:
        assert sum(code in flags for flags in found) >= 0.9 * len(found), (code, found)


def test_untouched_images_are_not_flagged_however_their_pixels_are_stored(
    flags_of, pictures, phantom_dir, tmp_path
):
    whole = flags_of(phantom_dir)
    assert sum(map(bool, whole)) <= 0.02 * len(whole)
    for number, picture in enumerate(pictures):
        picture.save(tmp_path / f"{number:02d}.jpg", quality=90)
        picture.convert("RGBA").save(tmp_path / f"{number:02d}-alpha.png")
        deep = bytes_of(picture).astype(np.uint16) * 257
        Image.fromarray(deep).save(tmp_path / f"{number:02d}-deep.png")
        window = {"WindowCenter": 128, "WindowWidth": 256}
        write_dicom(tmp_path / f"{number:02d}.dcm", bytes_of(picture), bits_stored=8, **window)
    assert not any(flags_of(tmp_path))


def test_a_dicom_that_says_it_is_lateral_is_flagged(flags_of, pictures, tmp_path):
    words = bytes_of(pictures[0])
    window = {"WindowCenter": 128, "WindowWidth": 256}
    write_dicom(tmp_path / "a.dcm", words, bits_stored=8, ViewPosition="LL", **window)
    write_dicom(tmp_path / "b.dcm", words, bits_stored=8, ViewPosition="PA", **window)
    assert flags_of(tmp_path) == [{"lateral"}, set()]


def predict(session, cache_dir, capsys, *arguments):
    places = ["--device", "cpu", "--cache", str(cache_dir)]
    code = main(["predict", str(session), *places, *map(str, arguments)])
    told = capsys.readouterr()
    return code, told.out, told.err


def test_the_session_keeps_what_is_usual_in_kilobytes_and_a_damaged_file_is_made_again(
    flags_of, session_dir, cache_dir, pictures, tmp_path, capsys
):
    pictures[0].save(tmp_path / "one.png")
    ImageDraw.Draw(pictures[1]).rectangle((0, 0, 10, 10), fill=9)
    Image.fromarray(255 - bytes_of(pictures[1])).save(tmp_path / "two.png")
    assert predict(session_dir, cache_dir, capsys, tmp_path)[0] == 0
    kept = (session_dir / _KEPT).read_bytes()
    assert len(kept) < 512 * 1024
    for spoilt in (b"", kept[: len(kept) // 2], b"PK\x03\x04 not a zip", os.urandom(500)):
        (session_dir / _KEPT).write_bytes(spoilt)
        code, told, _ = predict(session_dir, cache_dir, capsys, tmp_path, "--json")
        assert code == 0
        assert json.loads(told)["flags"] == {"inverted": 1}
        assert len((session_dir / _KEPT).read_bytes()) == len(kept)


def test_a_session_whose_images_are_gone_says_which_flags_are_missing_unless_it_keeps_them(
    flags_of, session_dir, trained_dir, phantom_dir, pictures, tmp_path, capsys
):
    pictures[0].save(tmp_path / "one.png")
    flags_of(tmp_path)
    for source, is_missing in ((trained_dir, True), (session_dir, False)):
        moved = tmp_path / f"moved-{is_missing}"
        shutil.copytree(source, moved)
        if is_missing:  # another test's prediction may have made it
            (moved / _KEPT).unlink(missing_ok=True)
        recipe = moved / "recipe.toml"
        recipe.write_text(recipe.read_text().replace(str(phantom_dir), "/gone/with/the/disk"))
        code, _, said = predict(moved, tmp_path / "cache", capsys, tmp_path / "one.png")
        assert code == 0
        assert ("only colour, range and a DICOM's own lateral view" in said) == is_missing


def test_of_real_test_images_few_are_flagged_and_altered_ones_are(nih_dir, tmp_path):
    keys = (
        *(f"dataset.images={nih_dir}", "dataset.partial=true", "model.weights=none"),
        *("split.by=patient", "split.train=0.35", "split.val=0.15", "split.test=0.5"),
        *("image.size_px=64", "train.epochs=2", "evaluate.bootstrap=20"),
        *("train.few_images_first=never",),
    )
    sets = [item for key in keys for item in ("--set", key)]
    places = ["--device", "cpu", "--cache", str(tmp_path / "cache")]
    warm_start.run(
        [sys.executable, "-m", "cxr_tui", "--batch", "nih-14", "--session", "real", *places, *sets],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        timeout=600,
    )
    run = open_run(tmp_path / "sessions/real", cache=tmp_path / "cache")
    assert Session(tmp_path / "sessions/real").checkpoints.is_dir()
    named = set(run.predictions("test").index)
    files = sorted(path for path in Path(nih_dir).rglob("*.png") if path.name in named)
    assert len(files) >= 110
    flagged = (run.predict(files, device="cpu")["flags"] != "").sum()
    assert flagged <= len(files) / 50, "4 of 200"
    given = {name: tmp_path / name for name in ("inverted", "turned")}
    for name, folder in given.items():
        folder.mkdir()
        for path in files[:40]:
            small = Image.open(path).convert("L").resize((256, 256))
            ALTERED[name][1](small).save(folder / path.name)
        counts = Counter()
        for cell in run.predict(folder, device="cpu")["flags"]:
            counts.update(cell.split("|"))
        assert counts[name] >= 30, counts
