"""TIFF files, and other images of more than 8 bits or with palettes and alpha."""

from __future__ import annotations

import io
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.data.images.decode import UndecodableImage, decode_grey
from core.data.images.grey_rule import GreyRule
from core.data.images.repair import AS_STORED, Repair

RAMP_HW = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (48, 1))
DEEP_HW = RAMP_HW.astype(np.uint16) * 257
COMPRESSIONS = ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"]
_WHITE_IS_ZERO, _ORIENTATION = {262: 0}, 274


def tiff(pixels: np.ndarray, **settings: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "TIFF", **settings)  # type: ignore[arg-type]
    return stream.getvalue()


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("pixels", [RAMP_HW, DEEP_HW], ids=["8", "16"])
def test_a_tiff_has_its_values_whatever_its_compression(
    pixels: np.ndarray, compression: str
) -> None:
    image = decode_grey(tiff(pixels, compression=compression), "a.tif")
    assert np.array_equal(image.pixels_HW, RAMP_HW)
    assert image.repairs == AS_STORED


@pytest.mark.parametrize("pixels", [RAMP_HW, DEEP_HW], ids=["8", "16"])
def test_where_white_is_zero_the_image_is_inverted_once(pixels: np.ndarray) -> None:
    stored = tiff(pixels, tiffinfo=_WHITE_IS_ZERO)
    # Pillow inverts 8 bits when it saves as well, and 16 bits neither then nor when it reads.
    expected = RAMP_HW if pixels.dtype == np.uint8 else 255 - RAMP_HW
    assert np.array_equal(decode_grey(stored, "a.tif").pixels_HW, expected)


def test_a_turned_tiff_is_made_upright_and_counted() -> None:
    image = decode_grey(tiff(RAMP_HW, tiffinfo={_ORIENTATION: 6}), "a.tif")
    assert image.pixels_HW.shape == RAMP_HW.shape[::-1]
    assert image.repairs == Repair.TURNED


def test_a_tiff_of_12_bits_in_16_is_as_bright_as_a_png_of_the_same() -> None:
    dim_HW = (DEEP_HW >> 4).astype(np.uint16)
    stream = io.BytesIO()
    Image.fromarray(dim_HW).save(stream, "PNG")
    as_png = decode_grey(stream.getvalue(), "a.png").pixels_HW
    assert np.array_equal(decode_grey(tiff(dim_HW), "a.tif").pixels_HW, as_png)
    by_range = decode_grey(tiff(dim_HW), "a.tif", GreyRule("range")).pixels_HW
    assert (by_range.min(), by_range.max()) == (0, 255)


def test_several_pages_and_fractions_are_refused() -> None:
    pages = [Image.fromarray(RAMP_HW)] * 2
    stream = io.BytesIO()
    pages[0].save(stream, "TIFF", save_all=True, append_images=pages[1:])
    for content, why in [
        (stream.getvalue(), "a TIFF of several pages"),
        (tiff(RAMP_HW.astype(np.float32)), "pixels as fractions, not whole numbers"),
        (tiff(DEEP_HW)[:3000], "truncated"),
    ]:
        with pytest.raises(UndecodableImage) as caught:
            decode_grey(content, "a.tif")
        assert why in caught.value.reason


def test_damaged_tiffs_are_refused_without_a_word_on_the_terminal(tmp_path: Path) -> None:
    draw, sources = random.Random(1), [tiff(RAMP_HW, compression=name) for name in COMPRESSIONS]
    sources.append(tiff(DEEP_HW, compression="tiff_lzw"))
    for number in range(400):
        content = bytearray(draw.choice(sources))
        for _ in range(draw.choice([1, 3, 10])):
            end = draw.choice([8, len(content)])
            content[draw.randrange(end) - (0 if draw.random() < 0.5 else end)] = draw.randrange(256)
        (tmp_path / f"{number}.tif").write_bytes(content)
    script = (
        "import sys; from pathlib import Path\n"
        "from core.data.images.decode import decode_grey, UndecodableImage\n"
        "refused = 0\n"
        "for path in Path(sys.argv[1]).iterdir():\n"
        "    try: decode_grey(path, path.name)\n"
        "    except UndecodableImage: refused += 1\n"
        "print(refused)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) > 100
    assert done.stderr == ""


def test_alpha_is_ignored_and_a_palette_looked_up_however_transparent() -> None:
    grey = Image.fromarray(RAMP_HW)
    see_through = grey.convert("RGBA")
    see_through.putalpha(Image.fromarray(255 - RAMP_HW))
    paletted = grey.convert("P")
    for image, settings in [(see_through, {}), (paletted, {"transparency": 3})]:
        stream = io.BytesIO()
        image.save(stream, "PNG", **settings)
        assert np.array_equal(decode_grey(stream.getvalue(), "a.png").pixels_HW, RAMP_HW)
