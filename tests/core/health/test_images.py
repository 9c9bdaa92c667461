"""Images that are copies, empty or of a wrong range are told before the first step."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from dicoms import chest, write_dicom
from PIL import Image

from core.data.cache.cache import open_cache
from core.data.images.decode import decode_square
from core.data.images.grey_rule import GreyRule
from core.data.study.study import prepare_study
from core.events import Diagnosed, IngestDone, ModelReady, StepRecorded, Warned
from core.health.diagnosis import Severity
from core.health.inputs import check_inputs
from core.health.leakage import check_seen
from core.model.input_spec import GREY, IMAGENET
from core.model.provenance import FRESH, Provenance, own_provenance, seen_in_test
from core.model.weights import load_weights
from core.recipe_toml import load_recipe
from core.requests import Request
from core.run import Machine, run
from core.store.sessions import create_session
from cxr_tui.runs.event_words import in_words


@pytest.fixture(scope="module")
def pixels(phantom_dir, cache_dir):
    """The small set at 64 px."""
    study = prepare_study(small_recipe(phantom_dir), cache_dir)
    wanted = study.images_used()
    cache = open_cache(cache_dir, study.index.files, wanted, size_px=64, resize="squash")
    return cache.pixels(cache.rows_of(wanted))


def small_recipe(folder, *changes):
    keys = [f"dataset.images={folder}", "image.size_px=64", "train.epochs=3", *changes]
    return load_recipe("demo", ["dataset.phantom=none", "train.precision=fp32", *keys])


def told_of(pixels, spec=GREY):
    names = [f"{row}.png" for row in range(len(pixels))]
    return check_inputs(pixels, names, spec)


def test_images_of_the_small_set_are_not_complained_of(pixels):
    assert told_of(pixels) == []
    assert told_of(pixels[:, ::2, ::2], IMAGENET) == []


def test_black_images_are_told_by_name(pixels):
    spoilt = pixels.copy()
    spoilt[[3, 8]] = 0
    spoilt[5] = 128
    (found,) = told_of(spoilt)
    assert (found.check, found.severity) == ("images-empty", Severity.WARNING)
    assert "3.png, 5.png and 8.png" in found.text
    assert found.evidence == {"empty": 3, "looked_at": len(spoilt)}


def test_black_images_alone_are_told_once(pixels):
    (found,) = told_of(np.zeros_like(pixels))
    assert found.check == "images-empty"


def test_a_lung_mask_is_told(pixels):
    (found,) = told_of(np.where(pixels > 140, 255, 0).astype(np.uint8))
    assert found.check == "images-masks"


def nearly_black(pixels):
    """Of shades all the same, under a marker as radiographers use."""
    pixels = pixels // 25
    pixels[:, :4, :4] = 200
    return pixels


WRONG_RANGES = [
    ("range-cut", lambda pixels: pixels // 17),
    ("range-narrow", lambda pixels: 100 + pixels // 8),
    ("brightness-odd", nearly_black),
    ("brightness-odd", lambda pixels: 255 - nearly_black(pixels)),
]


@pytest.mark.parametrize(("check", "spoil"), WRONG_RANGES)
def test_a_wrong_range_is_told_once_with_what_the_network_sees(pixels, check, spoil):
    (found,) = told_of(spoil(pixels).astype(np.uint8), IMAGENET)
    assert (found.check, found.severity) == (check, Severity.WARNING)
    mean = (found.evidence["mean"] / 255 - IMAGENET.mean[0]) / IMAGENET.std[0]
    assert found.evidence["input_mean"] == pytest.approx(mean, abs=0.01)


def test_a_darker_and_flatter_export_is_not_complained_of(pixels):
    assert told_of((pixels // 2).astype(np.uint8)) == []


def test_images_that_are_nearly_the_same_are_told(pixels):
    spoilt = pixels.copy()
    spoilt[:20] = spoilt[20]
    spoilt[:20, 0, 0] += np.arange(20, dtype=np.uint8)  # by their bytes no copies
    (found,) = told_of(spoilt)
    assert (found.check, found.evidence["alike"]) == ("images-alike", 21)


def test_images_whose_marker_set_the_scale_are_told_with_the_grey_levels_that_they_keep(pixels):
    spoilt = pixels.copy()
    spoilt[::3] //= 16
    spoilt[::3, :2, :6] = 255
    (found,) = told_of(spoilt)
    assert (found.check, found.severity) == ("levels-few", Severity.WARNING)
    assert found.evidence["few_levels"] == len(pixels[::3])
    assert found.evidence["median_levels"] <= 16


@pytest.mark.parametrize(
    ("every", "severity"), [(2, Severity.WARNING), (3, Severity.WARNING), (70, Severity.NOTE)]
)
def test_a_share_of_inverted_images_is_told_by_name(pixels, every, severity):
    spoilt = pixels.copy()
    spoilt[1::every] = 255 - spoilt[1::every]
    (found,) = told_of(spoilt)
    assert (found.check, found.severity) == ("images-inverted", severity)
    inverted = range(1, len(pixels), every)
    assert found.evidence["inverted"] in (len(inverted), len(pixels) - len(inverted))
    if every > 2:
        assert found.evidence["inverted"] == len(inverted)
        assert ": 1.png" in found.text


def test_images_that_have_no_picture_in_common_are_not_taken_for_inverted():
    noise = np.random.default_rng(0).integers(0, 256, (40, 32, 32), np.uint8)
    assert told_of(noise) == []


@pytest.mark.skipif("CXR_NIH_DIR" not in os.environ, reason="CXR_NIH_DIR names no NIH images")
def test_real_images_are_not_complained_of_and_each_inverted_one_is_found():
    paths = sorted(Path(os.environ["CXR_NIH_DIR"]).glob("images_*/images/*.png"))[::2]
    squares = [decode_square(path, path.name, 64, "squash").pixels_SS for path in paths]
    real = np.stack(squares)
    assert told_of(real) == []
    real[::3] = 255 - real[::3]
    (found,) = told_of(real)
    assert found.evidence["inverted"] == len(real[::3])


def diagnosed(folder, tmp_path, cache_dir, *changes, miniature=None, until=ModelReady):
    """Events of a run that is stopped at its first step."""
    events = []

    def next_request():
        return Request.STOP if any(isinstance(e, until) for e in events) else Request.CONTINUE

    session = create_session(tmp_path / "sessions", small_recipe(folder, *changes), "one")
    run(session, events.append, next_request, Machine("cpu", cache_dir, miniature))
    return events


def answers(events):
    """By check, what was told before the first step; the watch tells of the steps."""
    told = [event for event in events if isinstance(event, Diagnosed) and event.step == 0]
    return {event.check: event for event in told}


def test_a_run_on_a_good_set_tells_notes_alone_and_nothing_twice(phantom_dir, tmp_path, cache_dir):
    events = diagnosed(phantom_dir, tmp_path, cache_dir)
    told = answers(events)
    assert {event.severity for event in told.values()} == {"note"}
    assert "patients-few" in told
    warned = [event.message for event in events if isinstance(event, Warned)]
    assert len(warned) == len(set(warned))
    assert not [text for text in warned if "positive" in text]


def test_a_miniature_is_not_told_that_it_is_small(phantom_dir, tmp_path, cache_dir):
    changes = ("train.epochs=1", "train.warmup_epochs=0")
    events = diagnosed(phantom_dir, tmp_path, cache_dir, *changes, miniature=8)
    assert answers(events) == {}


def test_a_run_tells_of_a_copy_in_test_and_of_a_black_image(phantom_dir, tmp_path, cache_dir):
    folder = tmp_path / "set"
    shutil.copytree(phantom_dir, folder)
    files = {path.name: path for path in folder.rglob("*.png")}
    study = prepare_study(small_recipe(phantom_dir), cache_dir)
    first, black = (str(name) for name in study.index.images[study.rows("train")[:2]])
    copy = str(study.index.images[study.rows("test")[4]])
    shutil.copyfile(files[first], files[copy])
    speck = Image.new("L", (64, 64))
    speck.putpixel((3, 3), 20)  # wholly black ones are quarantined
    speck.save(files[black])

    told = answers(diagnosed(folder, tmp_path, cache_dir, "train.learning_rate=0.01"))

    shared = told["images-shared"]
    assert shared.severity == "warning"
    assert f"{copy} (test) is {first} (train)" in shared.text
    assert shared.evidence == {"copies_in_test": 1}
    assert black in told["images-empty"].text
    assert told["rate-high"].changes == ("train.learning_rate=0.0003",)


def test_copies_within_a_part_are_not_leakage(phantom_dir, tmp_path, cache_dir):
    folder = tmp_path / "set"
    shutil.copytree(phantom_dir, folder)
    files = {path.name: path for path in folder.rglob("*.png")}
    study = prepare_study(small_recipe(phantom_dir), cache_dir)
    one, two = (str(name) for name in study.index.images[study.rows("train")[:2]])
    shutil.copyfile(files[one], files[two])

    assert "images-shared" not in answers(diagnosed(folder, tmp_path, cache_dir))


def test_test_patients_that_the_weights_have_seen_are_told():
    own = own_provenance(
        [1, 2, 3],
        dataset="nih",
        session="one",
        started_from=Provenance(FRESH, "fresh"),
        key=bytes(32),
    )
    (found,) = check_seen(seen_in_test(own, [3, 4], dataset="nih"), "sessions/one")
    assert (found.check, found.severity) == ("test-patients-seen", Severity.WARNING)
    assert found.evidence == {"weights": "sessions/one", "patients": 1}
    assert list(check_seen(seen_in_test(own, [4, 5], dataset="nih"), "sessions/one")) == []


def test_a_run_tells_that_its_weights_have_seen_test_patients(
    phantom_dir, trained_dir, tmp_path, cache_dir
):
    weights = f"model.weights={trained_dir}"
    other_split = ("split.by=patient", "split.val=0.1", "model.seen_test_patients=mark")
    seen = diagnosed(phantom_dir, tmp_path / "seen", cache_dir, weights, *other_split)
    assert answers(seen)["test-patients-seen"].severity == "warning"
    assert answers(seen)["test-patients-seen"].evidence["patients"] > 0
    same_split = diagnosed(phantom_dir, tmp_path / "same", cache_dir, weights)
    assert "test-patients-seen" not in answers(same_split)


@pytest.mark.parametrize(("bits_lost", "is_told"), [(4, True), (0, False)])
def test_a_run_tells_of_16_bit_files_whose_range_was_cut(
    bits_lost, is_told, phantom_dir, tmp_path, cache_dir
):
    folder = tmp_path / "set"
    shutil.copytree(phantom_dir, folder)
    for path in folder.rglob("*.png"):
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("L")).astype(np.uint16) >> bits_lost
        Image.fromarray(pixels).save(path)
    events = diagnosed(folder, tmp_path, cache_dir)
    assert ("range-cut" in answers(events)) == is_told
    (ingest,) = [event for event in events if isinstance(event, IngestDone)]
    assert ingest.repaired == {"stored as I;16, made grey": ingest.images}


def as_dicom(phantom_dir, folder):
    """The set with each image as DICOM under its old name; returns the files by name."""
    shutil.copytree(phantom_dir, folder)
    files = {path.name: path for path in folder.rglob("*.png")}
    for path in files.values():
        with Image.open(path) as image:
            write_dicom(path, np.asarray(image.convert("L")).astype(np.uint16) * 16)
    return files


def test_a_run_on_dicom_counts_names_in_pictures_and_passes_reports_by(
    phantom_dir, tmp_path, cache_dir
):
    files = as_dicom(phantom_dir, tmp_path / "set")
    study = prepare_study(small_recipe(phantom_dir), cache_dir)
    burned, report = (str(name) for name in study.index.images[study.rows("train")[:2]])
    write_dicom(files[burned], chest(), BurnedInAnnotation="YES")
    write_dicom(files[report], chest(), Modality="SR")
    events = diagnosed(tmp_path / "set", tmp_path, cache_dir, "dataset.max_quarantined_share=0")
    (ingest,) = [event for event in events if isinstance(event, IngestDone)]
    assert ingest.quarantined == {report: "no picture: a structured report"}
    assert ingest.repaired["stored as DICOM, made grey"] == ingest.images
    told = answers(events)["images-burned-in"]
    assert (told.severity, told.evidence["burned_in"]) == ("warning", 1)
    assert "1 image is marked BurnedInAnnotation YES" in told.text
    words = in_words(ingest, 3).lines
    at = words.index("1 file passed by, which hold no picture:")
    assert words[at + 1] == f"{report}: no picture: a structured report"
    assert "quarantined" not in words[0]


def test_a_run_keeps_its_grey_rule_with_its_weights_and_tells_of_another(
    phantom_dir, trained_dir, tmp_path, cache_dir
):
    flat = "image.equalize=true"
    diagnosed(phantom_dir, tmp_path / "flat", cache_dir, flat, until=StepRecorded)
    (session,) = (tmp_path / "flat" / "sessions").iterdir()
    assert load_weights(str(session), ["Mass"], seed=0).grey == GreyRule(equalize=True)
    weights = f"model.weights={trained_dir}"
    events = diagnosed(phantom_dir, tmp_path / "other", cache_dir, weights, "image.grey=range")
    warned = [event.message for event in events if isinstance(event, Warned)]
    assert any("made grey by another rule (window)" in text for text in warned)


def test_what_is_told_is_of_the_images_that_are_trained_on(phantom_dir, cache_dir):
    study = prepare_study(small_recipe(phantom_dir, "subset.max_images=60"), cache_dir)
    assert study.audited()["images_in_parts"] == 60
