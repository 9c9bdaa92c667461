"""One encoded image -> grey pixels, or the reason why not."""

from __future__ import annotations

import io
import os
import random
import re
import struct
import subprocess
import sys
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.data.images.decode import (
    UndecodableImage,
    decode_grey,
    decode_square,
)
from core.data.images.deep_pixels import MARKER_SHARE
from core.data.images.repair import AS_STORED, Repair
from core.data.images.square import square_region, to_square

RAMP_HW = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (48, 1))  # 48 high, 64 wide


def encoded(image: Image.Image, file_format: str = "PNG") -> bytes:
    stream = io.BytesIO()
    image.save(stream, file_format)
    return stream.getvalue()


def ramp(mode: str = "L") -> Image.Image:
    return Image.fromarray(RAMP_HW).convert(mode)


def reason_for(content: bytes) -> str:
    with pytest.raises(UndecodableImage) as caught:
        decode_grey(content, "00000001_000.png")
    assert caught.value.name == "00000001_000.png"
    return caught.value.reason


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_grey_stored_in_any_channels_keeps_its_exact_values(mode: str) -> None:
    image = decode_grey(encoded(ramp(mode)), "a.png")
    assert np.array_equal(image.pixels_HW, RAMP_HW)
    assert image.mode == mode
    assert image.converted == (mode != "L")


def test_a_palette_image_is_looked_up_and_not_read_as_indices() -> None:
    paletted = Image.fromarray((RAMP_HW // 4).astype(np.uint8), "P")
    paletted.putpalette([value for index in range(64) for value in [255 - 4 * index] * 3])
    image = decode_grey(encoded(paletted), "a.png")
    assert np.array_equal(image.pixels_HW, 255 - RAMP_HW)
    assert image.mode == "P"


def test_a_one_bit_image_is_black_and_white() -> None:
    image = decode_grey(encoded(ramp().point(lambda value: 255 * (value > 99), "1")), "a.png")
    assert np.array_equal(image.pixels_HW, np.where(RAMP_HW > 99, 255, 0))
    assert image.mode == "1"


@pytest.mark.parametrize(
    ("brightest", "full_scale"), [(255, 255), (4_000, 4_095), (4_095, 4_095), (60_000, 65_535)]
)
def test_deep_pixels_are_scaled_by_the_depth_that_holds_them(
    brightest: int, full_scale: int
) -> None:
    deep_HW = np.linspace(0, brightest, 64 * 48).reshape(48, 64).astype(np.uint16)
    image = decode_grey(encoded(Image.fromarray(deep_HW)), "a.png")
    assert image.converted
    assert np.abs(image.pixels_HW - deep_HW * (255 / full_scale)).max() <= 0.501


@pytest.mark.parametrize(("depth", "of_file"), [(255, 4_095), (255, 65_535), (4_095, 65_535)])
def test_a_marker_in_the_files_white_leaves_the_chest_its_grey_levels(
    depth: int, of_file: int
) -> None:
    deep_HW = np.linspace(0, depth, 64 * 48).reshape(48, 64).astype(np.uint16)
    deep_HW[:4, :12] = of_file
    image = decode_grey(encoded(Image.fromarray(deep_HW)), "a.png")
    assert image.repairs == Repair.MARKER_CUT
    assert set(image.pixels_HW[:4, :12].flat) == {255}
    assert np.abs(image.pixels_HW[4:] - deep_HW[4:] * (255 / depth)).max() <= 0.501


def test_bright_pixels_that_are_more_than_a_marker_are_the_image() -> None:
    deep_HW = np.full((50, 50), 3_000, np.uint16)
    deep_HW.flat[: int(MARKER_SHARE * deep_HW.size) + 1] = 60_000
    image = decode_grey(encoded(Image.fromarray(deep_HW)), "a.png")
    assert image.repairs == AS_STORED
    assert np.abs(image.pixels_HW - deep_HW / 257).max() <= 0.501


# What a camera held in each way stores, so that EXIF's number sets it upright.
STORED_AS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("file_format", ["PNG", "JPEG"])
@pytest.mark.parametrize("orientation", range(10))
def test_an_image_is_read_as_its_exif_orientation_says(file_format: str, orientation: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (3, 4), np.uint8)
    upright = Image.fromarray(noise).resize((64, 48), Image.Resampling.NEAREST)
    stored = upright.transpose(STORED_AS[orientation]) if orientation in STORED_AS else upright
    tag = Image.Exif()
    tag[0x0112] = orientation
    stream = io.BytesIO()
    stored.save(stream, file_format, exif=tag, **({"quality": 95} if file_format == "JPEG" else {}))
    image = decode_grey(stream.getvalue(), "a.png")
    assert image.repairs == (Repair.TURNED if orientation in STORED_AS else AS_STORED)
    assert image.pixels_HW.shape == (48, 64)
    assert np.abs(image.pixels_HW.astype(int) - np.asarray(upright)).mean() < 3
    square = decode_square(stream.getvalue(), "a.png", 16, "squash")
    assert (square.width_px, square.height_px) == (64, 48)


def png_chunk(kind: bytes, body: bytes, *, wrong_by: int = 0) -> bytes:
    check = zlib.crc32(kind + body) ^ wrong_by
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", check)


PNG_METADATA = {
    "resolution of a wrong checksum": png_chunk(b"pHYs", bytes(9), wrong_by=1),
    "two megabytes of text": png_chunk(b"zTXt", b"DICOM\0\0" + zlib.compress(bytes(2 * 2**20))),
    "colour profile that is none": png_chunk(b"iCCP", b"icc\0\5of no such method"),
    "a chunk of nothing": png_chunk(b"gAMA", b"", wrong_by=7) + png_chunk(b"sRGB", b""),
}


@pytest.mark.parametrize("metadata", PNG_METADATA.values(), ids=PNG_METADATA)
def test_damaged_metadata_of_a_png_costs_a_count_and_not_the_image(metadata: bytes) -> None:
    tag = Image.Exif()
    tag[0x0112] = 3
    stream = io.BytesIO()
    ramp().transpose(Image.Transpose.ROTATE_180).save(stream, "PNG", exif=tag)
    content = stream.getvalue()
    image = decode_grey(content[:33] + metadata + content[33:], "a.png")
    assert np.array_equal(image.pixels_HW, RAMP_HW)
    assert image.repairs == Repair.WITHOUT_METADATA | Repair.TURNED


def test_damaged_metadata_of_a_jpeg_costs_a_count_and_not_the_image() -> None:
    content = encoded(ramp(), "JPEG")
    profile = b"ICC_PROFILE\0"  # without its number, which a reader looks for
    damaged = b"\xff\xe2" + (len(profile) + 2).to_bytes(2, "big") + profile
    image = decode_grey(content[:2] + damaged + content[2:], "a.jpg")
    assert np.array_equal(image.pixels_HW, decode_grey(content, "a.jpg").pixels_HW)
    assert image.repairs == Repair.WITHOUT_METADATA


def test_damaged_pixels_stay_damaged_whatever_the_metadata() -> None:
    content = encoded(ramp())
    at = content.index(b"IDAT") + 8
    spoilt = content[:at] + bytes([content[at] ^ 255]) + content[at + 1 :]
    whole = spoilt[:33] + PNG_METADATA["resolution of a wrong checksum"] + spoilt[33:]
    assert reason_for(whole).startswith("damaged")


def test_a_jpeg_named_png_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "00000001_000.png"
    path.write_bytes(encoded(ramp(), "JPEG"))
    assert np.abs(decode_grey(path, path.name).pixels_HW.astype(int) - RAMP_HW).max() < 8


@pytest.mark.parametrize("file_format", ["PNG", "JPEG"])
@pytest.mark.parametrize("kept", [0.02, 0.3, 0.7, 0.98])
def test_a_file_that_ends_early_is_truncated(file_format: str, kept: float) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8))
    content = encoded(noise, file_format)
    assert reason_for(content[: int(len(content) * kept)]) == "truncated"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b"\x89PN", "truncated"),
        (b"\xef\xbb\xbf\n<!DOCTYPE html><title>Log in</title>", "an HTML page, not an image"),
        (b"<HTML><body>404", "an HTML page, not an image"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer, not the image"),
        (b"\0" * 900, "every byte is zero"),
        (b"\0" * 128 + b"DICM" + b"\1" * 50, "a DICOM file without pixel data"),
        (b"Image Index,Finding Labels\n", "not an image"),
    ],
)
def test_what_is_no_image_is_named(content: bytes, reason: str) -> None:
    assert reason_for(content) == reason


def test_a_constant_image_is_refused_with_its_value() -> None:
    for value in (0, 255):
        blank = encoded(Image.new("L", (40, 40), value))
        assert reason_for(blank) == f"constant image (every pixel is {value})"
        with pytest.raises(UndecodableImage, match="constant"):
            decode_square(blank, "a.png", 8, "squash")


def test_one_odd_pixel_is_not_a_constant_image() -> None:
    pixels_HW = np.zeros((600, 600), np.uint8)
    pixels_HW[5, 5] = 1
    square = decode_square(encoded(Image.fromarray(pixels_HW)), "a.png", 8, "squash")
    assert square.pixels_SS.max() == 0  # lost in shrinking, and yet not constant as stored


def bomb(width_px: int, height_px: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width_px, height_px, 1, 0, 0, 0, 0)
    body = zlib.compress(bytes(2**20), 9)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )


def test_a_decompression_bomb_is_refused_by_its_header() -> None:
    assert reason_for(bomb(50_000, 50_000)) == "50,000×50,000 pixels: refused by its header"


def test_refusing_a_bomb_takes_no_memory_and_warns_of_nothing(tmp_path: Path) -> None:
    """In a process that could not hold its 2.5 GB, and where a warning is an error."""
    (tmp_path / "bomb.png").write_bytes(bomb(50_000, 50_000))
    (tmp_path / "large.png").write_bytes(bomb(9_900, 9_900))  # above Pillow's warning, below ours
    script = (
        "import resource, sys; from pathlib import Path\n"
        "from core.data.images.decode import decode_grey, UndecodableImage\n"
        "resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))\n"
        "for path in sys.argv[1:]:\n"
        "    try: decode_grey(Path(path), path)\n"
        "    except UndecodableImage as error: print(error.reason)\n"
    )
    command = [sys.executable, "-W", "error", "-c", script]
    done = subprocess.run(
        [*command, str(tmp_path / "bomb.png"), str(tmp_path / "large.png")],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    assert done.stdout.splitlines() == ["50,000×50,000 pixels: refused by its header", "truncated"]
    assert done.stderr == ""


def test_damaged_files_are_refused_and_never_crash() -> None:
    draw = random.Random(0)
    noise = Image.effect_noise((32, 32), 60)
    sources = [encoded(noise.convert(mode)) for mode in ("L", "1", "P", "RGBA")]
    sources += [encoded(noise, "JPEG"), encoded(noise, "BMP")]
    reasons = []
    for _ in range(1_500):
        content = bytearray(draw.choice(sources))
        for _ in range(draw.choice([1, 3, 10])):
            content[draw.randrange(draw.choice([40, 150, len(content)]))] = draw.randrange(256)
        try:
            assert decode_grey(bytes(content), "a.png").pixels_HW.ndim == 2
        except UndecodableImage as error:
            reasons.append(error.reason)
    assert len(reasons) > 500
    assert all(0 < len(reason) < 120 for reason in reasons)


def test_squash_fills_the_square_with_the_whole_image_and_crop_with_its_middle() -> None:
    wide_HW = np.repeat(np.array([[0, 100, 200, 250]], np.uint8), 20, axis=0).repeat(20, axis=1)
    squashed_SS, cropped_SS = to_square(wide_HW, 20, "squash"), to_square(wide_HW, 20, "crop")
    assert squashed_SS.shape == cropped_SS.shape == (20, 20)
    assert squashed_SS[10, 0] == 0
    assert squashed_SS[10, -1] == 250
    assert square_region(80, 20, "crop") == (30, 0, 50, 20)
    assert square_region(80, 21, "crop") == (29, 0, 50, 21)
    assert square_region(80, 21, "crop-skimage") == (30, 0, 51, 21)
    assert set(cropped_SS[10, :5]) == {100}
    assert set(cropped_SS[10, -5:]) == {200}


def test_shrinking_averages_over_what_it_leaves_out() -> None:
    checkerboard_HW = (np.indices((1024, 1024)).sum(axis=0) % 2 * 255).astype(np.uint8)
    small_SS = to_square(checkerboard_HW, 224, "squash")
    assert np.abs(small_SS.astype(int) - 127).max() <= 3  # without antialiasing: 0 and 255


def test_the_ingest_path_gives_the_same_pixels_as_the_two_steps() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 120), np.uint8))
    for resize in ("squash", "crop", "crop-skimage"):
        square = decode_square(encoded(noise), "a.png", 33, resize)
        whole = decode_grey(encoded(noise), "a.png")
        assert np.array_equal(square.pixels_SS, to_square(whole.pixels_HW, 33, resize))
        assert (square.width_px, square.height_px) == (120, 90)


# By torchxrayvision 1.5.7's normalize, XRayCenterCrop and XRayResizer (scikit-image 0.26.0).
BRIGHT_9_9 = np.full((9, 9), 250, np.uint8)
BRIGHT_9_9[4, 4] = 255
NOISE_12_17 = np.random.default_rng(7).integers(0, 256, (12, 17), np.uint8)
NOISE_4_5 = np.array([[244, 192, 207, 131, 254], [67, 99, 248, 47, 71], [89, 119, 137, 85, 246],
                      [206, 214, 129, 203, 234]], np.uint8)  # fmt: skip
OF_TORCHXRAYVISION = [
    (NOISE_12_17, [[149.933, -172.663, -43.631, 113.546], [-216.285, -177.532, 81.287, -16.897],
                   [22.596, 130.507, -119.694, -128.251], [-173.861, 115.559, 112.933, -106.521]]),
    (NOISE_4_5, [[649.760, 605.699, 448.418, 515.346, 277.752, 19.521],
                 [187.399, 184.722, 254.327, 693.375, 246.965, -257.673],
                 [-380.375, -329.286, -31.902, 648.980, 111.770, -496.383],
                 [-282.214, -216.847, -41.719, 171.559, -83.660, -326.832],
                 [133.856, 236.926, 268.382, 89.014, 88.345, 110.431],
                 [437.821, 552.157, 484.113, 104.854, 257.673, 421.089]]),
    (BRIGHT_9_9, [[983.843, 983.843, 983.843], [983.843, 990.234, 983.843],
                  [983.843, 983.843, 983.843]]),
]  # fmt: skip


@pytest.mark.parametrize(("grey_HW", "theirs"), OF_TORCHXRAYVISION, ids=["odd", "grows", "bright"])
def test_torchxrayvisions_weights_see_the_pixels_of_its_own_resize(grey_HW, theirs) -> None:
    ours_SS = to_square(grey_HW, len(theirs), "crop-skimage")
    half_a_level = 0.5 / 255 * 2048
    assert np.abs(ours_SS / 255 * 2048 - 1024 - theirs).max() <= half_a_level + 1e-3


@pytest.mark.parametrize("resize", ["squash", "crop", "crop-skimage"])
def test_a_constant_image_is_refused_however_it_is_resized(resize) -> None:
    blank = encoded(Image.fromarray(np.full((60, 60), 30, np.uint8)))
    with pytest.raises(UndecodableImage, match="constant"):
        decode_square(blank, "a.png", 8, resize)


def test_an_unknown_way_to_resize_is_refused() -> None:
    with pytest.raises(ValueError, match="squash"):
        to_square(RAMP_HW, 8, "stretch")


@pytest.mark.skipif("CXR_NIH_DIR" not in os.environ, reason="CXR_NIH_DIR names no NIH images")
def test_every_real_image_decodes_and_four_are_rgba() -> None:
    paths = sorted(Path(os.environ["CXR_NIH_DIR"]).glob("images_*/images/*.png"))
    modes = Counter(decode_square(path, path.name, 224, "squash").mode for path in paths)
    assert modes == {"L": 236, "RGBA": 4}


def progressive(*, scans: int, comment: bytes = b"") -> bytes:
    """A JPEG whose last pass over its pixels comes again and again, with a comment in it."""
    stored = io.BytesIO()
    ramp().save(stored, "JPEG", progressive=True)
    content = stored.getvalue()
    starts = [at.start() for at in re.finditer(b"\xff\xda", content)]
    last = content[starts[-1] : -2]
    length = (len(comment) + 2).to_bytes(2, "big")
    head = content[:2] + b"\xff\xfe" + length + comment + content[2:-2]
    return head + last * (scans - len(starts)) + b"\xff\xd9"


def test_a_jpeg_of_very_many_scans_is_refused_undecoded() -> None:
    with pytest.raises(UndecodableImage, match="1,500 scans: refused undecoded"):
        decode_grey(progressive(scans=1500), "a.jpg")


def test_only_the_images_own_scans_count() -> None:
    content = progressive(scans=60, comment=b"\xff\xda" * 500)
    assert decode_grey(content, "a.jpg").pixels_HW.shape == RAMP_HW.shape
