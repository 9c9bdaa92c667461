"""The rule from stored values to grey: what it does, and where it is kept."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from cached_images import opened, write_images
from dicoms import chest, dicom, write_dicom
from PIL import Image

from core.data.cache.cache import open_cache
from core.data.images.decode import decode_grey
from core.data.images.full_image import read_image
from core.data.images.grey_rule import GreyRule
from core.data.images.image_files import find_images
from core.model.densenet import build_model
from core.model.input_spec import GREY
from core.model.own_metadata import KEY, read_metadata, write_metadata
from core.model.provenance import Provenance
from core.model.weights import LoadedModel, WeightsReport, otherwise_grey

RULES = [GreyRule(grey) for grey in ("window", "range", "percentiles")]
FLAT = GreyRule(equalize=True)


def marked() -> np.ndarray:
    """A chest with a small marker far brighter than the rest."""
    words_HW = chest(brightest=2000)
    words_HW[:3, :3] = 4000
    return words_HW


def deep_png(words_HW: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(words_HW.astype(np.uint16)).save(stream, "PNG")
    return stream.getvalue()


def test_each_rule_takes_its_own_black_and_white() -> None:
    content = dicom(marked(), WindowCenter=1000.5, WindowWidth=1001)
    window, full, percentiles = (decode_grey(content, "a", rule).pixels_HW for rule in RULES)
    stored_HW = marked().astype(float)
    assert np.abs(window - np.clip((stored_HW - 500) / 1000, 0, 1) * 255).max() <= 1
    assert np.abs(full - (stored_HW - 500) / 3500 * 255).max() <= 1
    low, high = np.percentile(stored_HW, [0.5, 99.5])
    assert np.abs(percentiles - np.clip((stored_HW - low) / (high - low), 0, 1) * 255).max() <= 1
    assert np.median(full) < np.median(percentiles)  # the marker no longer darkens the chest


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.grey)
def test_images_of_8_bits_keep_their_values_by_every_rule(rule: GreyRule) -> None:
    grey_HW = np.linspace(40, 90, 32 * 32).reshape(32, 32).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(grey_HW).save(stream, "PNG")
    assert np.array_equal(decode_grey(stream.getvalue(), "a.png", rule).pixels_HW, grey_HW)


def test_a_png_of_16_bits_has_its_range_by_range_and_its_depth_by_window() -> None:
    content = deep_png(chest(brightest=3000))
    by_depth, by_range = (decode_grey(content, "a.png", rule).pixels_HW for rule in RULES[:2])
    assert (by_depth.min(), by_depth.max()) == (round(500 / 4095 * 255), round(2999 / 4095 * 255))
    assert (by_range.min(), by_range.max()) == (0, 255)


def test_equalising_gives_each_grey_its_share_of_pixels() -> None:
    dark_HW = (np.random.default_rng(0).random((200, 200)) ** 4 * 255).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(dark_HW).save(stream, "PNG")
    grey_HW = decode_grey(stream.getvalue(), "a.png", FLAT).pixels_HW
    assert grey_HW.min() == 0
    assert grey_HW.max() == 255
    below_half = (grey_HW < 128).mean()
    assert 0.4 < below_half < 0.75
    # One grey of the file is one grey of the result, in the same order.
    pairs = sorted(set(zip(dark_HW.ravel().tolist(), grey_HW.ravel().tolist(), strict=True)))
    assert len(pairs) == len(set(dark_HW.ravel().tolist()))
    assert [new for _, new in pairs] == sorted(new for _, new in pairs)


def test_each_rule_has_its_own_cache_and_the_default_the_one_of_before(tmp_path: Path) -> None:
    write_dicom(tmp_path / "images" / "a.dcm", marked(), WindowCenter=1000.5, WindowWidth=1001)
    files = find_images(tmp_path / "images", ["a.dcm"]).files
    caches = {
        rule: open_cache(
            tmp_path / "cache", files, ["a.dcm"], size_px=32, resize="squash", rule=rule
        )
        for rule in (*RULES, FLAT)
    }
    names = [cache.folder.name.rsplit("-", 1)[0] for cache in caches.values()]
    assert names == [
        "32px-squash-v2",
        "32px-squash-range-v2",
        "32px-squash-percentiles-v2",
        "32px-squash-equalized-v2",
    ]
    assert len({cache.pixels(np.array([0])).tobytes() for cache in caches.values()}) == 4
    manifests = [
        json.loads((cache.folder / "manifest.json").read_text()) for cache in caches.values()
    ]
    assert "grey" not in manifests[0]
    assert manifests[2]["grey"] == "percentiles"
    assert manifests[3]["equalize"] is True
    shown_HW = read_image(files["a.dcm"], RULES[1])
    assert np.array_equal(shown_HW, decode_grey(files["a.dcm"].path, "a", RULES[1]).pixels_HW)


def test_a_cache_with_another_rule_in_its_manifest_is_not_used(tmp_path: Path) -> None:
    write_images(tmp_path / "nih", 3)
    folder = opened(tmp_path / "cache", tmp_path / "nih").folder
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"grey": "range"}))
    again = opened(tmp_path / "cache", tmp_path / "nih")
    assert "grey" not in json.loads((again.folder / "manifest.json").read_text())


def loaded_with(rule: GreyRule | None) -> LoadedModel:
    report = WeightsReport("own", None, 1, 1, {}, (), (), (), "")
    return LoadedModel(
        build_model(["Mass"], seed=0), report, Provenance("own", "session strong-1"), rule
    )


def test_a_checkpoint_keeps_the_rule_and_weights_of_another_rule_are_told_of() -> None:
    provenance = Provenance("none", "random weights")
    plain = write_metadata(["Mass"], GREY, provenance)
    assert "grey" not in json.loads(plain[KEY])  # a checkpoint of before is byte for byte the same
    other = GreyRule("percentiles", equalize=True)
    kept = read_metadata(write_metadata(["Mass"], GREY, provenance, other), where="a")
    assert kept is not None
    assert kept.grey == other
    told = otherwise_grey(loaded_with(kept.grey), GreyRule())
    assert told is not None
    assert "percentiles, equalised" in told
    assert "image.grey=percentiles image.equalize=true" in told
    assert otherwise_grey(loaded_with(other), other) is None
    assert otherwise_grey(loaded_with(None), other) is None
