"""DICOM files that lie, lack something or hold no radiograph, and what is said of them."""

from __future__ import annotations

import random
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from dicoms import chest, dicom, item, write_dicom
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from core.data.cache.cache import ImageCache, open_cache
from core.data.images.decode import UndecodableImage, decode_grey
from core.data.images.image_files import find_images
from core.data.images.repair import Repair
from core.errors import DataError

REPORT = "1.2.840.10008.5.1.4.1.1.88.11"
LUT_DATA = 0x0028_3006
SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
FILES = Path(__file__).parent / "dicom_files"


def reason_for(content: bytes) -> str:
    with pytest.raises(UndecodableImage) as caught:
        decode_grey(content, "a.dcm")
    return caught.value.reason


def by_range(stored_HW: np.ndarray) -> np.ndarray:
    low, high = stored_HW.min(), stored_HW.max()
    return np.floor((stored_HW.astype(float) - low) / (high - low) * 255 + 0.5)


def test_values_above_bits_stored_are_read_whole_where_that_is_the_smoother_picture() -> None:
    bright_HW = chest(brightest=3000)  # 12 bits, under a header of 11: 2048 would wrap to 0
    image = decode_grey(dicom(bright_HW, bits_stored=11), "a.dcm")
    assert np.array_equal(image.pixels_HW, by_range(bright_HW))
    assert image.repairs == Repair.BITS_ABOVE_STORED


def test_an_overlay_in_bits_above_bits_stored_is_masked() -> None:
    words_HW = chest()
    written_HW = words_HW.copy()
    written_HW[10:20, 10:40:2] |= 1 << 12
    image = decode_grey(dicom(written_HW), "a.dcm")
    assert np.array_equal(image.pixels_HW, by_range(words_HW))
    assert image.repairs == Repair.BITS_ABOVE_STORED


def test_negative_values_are_no_bits_above_bits_stored() -> None:
    signed_HW = chest().astype(np.int16) - 1500
    image = decode_grey(dicom(signed_HW, PixelRepresentation=1), "a.dcm")
    assert np.array_equal(image.pixels_HW, by_range(signed_HW))
    assert image.repairs == Repair(0)


@pytest.mark.parametrize("syntax", SYNTAXES, ids=["explicit", "implicit"])
@pytest.mark.parametrize("padding", [0, -2000])
def test_padding_takes_no_part_in_the_range(syntax: str, padding: int) -> None:
    words_HW = chest().astype(np.int16)
    padded_HW = words_HW.copy()
    padded_HW[:, :9] = padding
    elements = {"PixelRepresentation": 1, "PixelPaddingValue": padding, "syntax": syntax}
    content = dicom(padded_HW, bits_stored=16, **elements)
    assert np.array_equal(decode_grey(content, "a").pixels_HW[:, 9:], by_range(words_HW[:, 9:]))


@pytest.mark.parametrize("syntax", SYNTAXES, ids=["explicit", "implicit"])
@pytest.mark.parametrize("words", ["US", "OW"])
def test_a_voi_table_is_read_by_every_value_representation(syntax: str, words: str) -> None:
    table = np.linspace(0, 1023, 4096).astype(np.uint16)[::-1]
    of_table = item(LUTDescriptor=[4096, 0, 10])
    if words == "US":
        of_table.add_new(LUT_DATA, "US", table.tolist())
    else:
        of_table.add_new(LUT_DATA, "OW", table.tobytes())
    image = decode_grey(dicom(chest(), VOILUTSequence=[of_table], syntax=syntax), "a.dcm")
    expected = np.floor(table[chest()] / 1023 * 255 + 0.5)
    assert np.abs(image.pixels_HW - expected).max() <= 1


@pytest.mark.parametrize(
    ("rule", "shares"),
    [
        ("LINEAR", lambda v: (v - 1499.5) / 999 + 0.5),
        ("LINEAR_EXACT", lambda v: (v - 1500) / 1000 + 0.5),
        ("SIGMOID", lambda v: 1 / (1 + np.exp(-4 * (v - 1500) / 1000))),
    ],
)
def test_each_window_rule_of_the_standard_is_applied(rule: str, shares: object) -> None:
    content = dicom(chest(), WindowCenter=1500, WindowWidth=1000, VOILUTFunction=rule)
    expected_HW = np.clip(shares(chest().astype(float)), 0, 1) * 255  # type: ignore[operator]
    assert np.abs(decode_grey(content, "a").pixels_HW - expected_HW).max() <= 0.51


@pytest.mark.parametrize(
    "window", [{"WindowCenter": 60_000, "WindowWidth": 100}, {"WindowCenter": 2000}]
)
def test_a_window_that_shows_nothing_falls_back_to_the_range_and_is_counted(
    window: dict[str, float],
) -> None:
    image = decode_grey(dicom(chest(), **window), "a.dcm")
    assert np.array_equal(image.pixels_HW, by_range(chest()))
    assert image.repairs == Repair.WINDOW_UNUSABLE


@pytest.mark.parametrize(
    ("elements", "why"),
    [
        ({"Rows": 32}, "bytes of pixels where 56×32 of 16 bits are 3,584: its header is wrong"),
        ({"Rows": 65}, "bytes of pixels where 56×65 of 16 bits are 7,280: its header is wrong"),
        ({"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}, "its header is wrong"),
        ({"Rows": 60_000, "Columns": 60_000}, "60,000×60,000 pixels: refused by its header"),
        ({"Rows": 0}, "56×0 pixels: no size of a picture"),
        ({"Rows": None}, "56×0 pixels: no size of a picture"),
        ({"NumberOfFrames": 7}, "7 frames: no plain radiograph"),
        ({"SamplesPerPixel": 4}, "4 samples a pixel"),
        ({"BitsAllocated": 32}, "32 bits a pixel, not 8 or 16"),
        ({"BitsStored": 20}, "20 bits stored of 16"),
        ({"PixelData": None}, "a DICOM file without pixel data"),
        ({"SOPClassUID": REPORT}, "no picture: a structured report"),
        ({"Modality": "PR"}, "no picture: a presentation state"),
        ({"Modality": "KO"}, "no picture: a key object selection"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "palette colour: no radiograph"),
    ],
)
def test_a_header_that_cannot_be_is_refused_with_its_numbers(
    elements: dict[str, object], why: str
) -> None:
    assert why in reason_for(dicom(chest(), **elements))


def test_zeros_after_the_picture_are_no_more_of_it() -> None:
    padded = dicom(chest(), PixelData=chest().tobytes() + bytes(112))
    assert np.array_equal(decode_grey(padded, "a").pixels_HW, by_range(chest()))


def jpeg_of(pixels_HW: np.ndarray) -> bytes:
    import io

    stream = io.BytesIO()
    Image.fromarray(pixels_HW).save(stream, "JPEG")
    return stream.getvalue()


def test_a_compressed_picture_of_another_size_than_the_header_says_is_refused() -> None:
    small = encapsulate([jpeg_of(np.zeros((20, 30), np.uint8))])
    grey_HW = (chest() // 16).astype(np.uint8)
    content = dicom(grey_HW, PixelData=small, syntax=JPEGBaseline8Bit)
    assert reason_for(content) == "30×20 pixels inside, 56×64 by its header"


def test_a_deflated_bomb_is_refused_before_it_takes_memory() -> None:
    meta = dicom(chest(), syntax=DeflatedExplicitVRLittleEndian)
    (length,) = struct.unpack_from("<I", meta, 140)
    stream = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    zeros = b"".join([*(stream.compress(bytes(2**20)) for _ in range(300)), stream.flush()])
    assert reason_for(meta[: 144 + length] + zeros) == "inflates to more than 256 MiB"


def test_a_run_length_bomb_is_unpacked_no_further_than_its_picture() -> None:
    runs = b"\x81\x07" * 200_000  # 128 bytes of each two
    header = struct.pack("<16I", 1, 64, *[0] * 14)
    grey_HW = (chest() // 16).astype(np.uint8)
    content = dicom(grey_HW, PixelData=encapsulate([header + runs]), syntax=RLELossless)
    assert reason_for(content) == "constant image (every pixel is 0)"


def test_damaged_files_are_refused_in_words_and_never_crash(tmp_path: Path) -> None:
    """In a process of its own, where a crash or a word of a decoder would be seen."""
    draw = random.Random(0)
    names = ("coding", "voi", "grey", "export/PT000000/ST000000/SE000000")
    sources = [path.read_bytes() for name in names for path in sorted((FILES / name).iterdir())]
    for number in range(600):
        content = bytearray(draw.choice(sources))
        for _ in range(draw.choice([1, 3, 10])):
            content[draw.randrange(132, len(content))] = draw.randrange(256)
        if draw.random() < 0.2:
            del content[draw.randrange(132, len(content)) :]
        (tmp_path / f"{number}.dcm").write_bytes(content)
    script = (
        "import resource, sys; from pathlib import Path\n"
        "from core.data.images.decode import decode_grey, UndecodableImage\n"
        "for path in Path(sys.argv[1]).iterdir():\n"
        "    try: decode_grey(path, path.name)\n"
        "    except UndecodableImage as error: print(error.reason)\n"
    )
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert time.monotonic() - started < 20  # some decoders take seconds to see an early end
    reasons = done.stdout.splitlines()
    assert done.stderr == ""
    assert len(reasons) > 150
    assert all(0 < len(reason) < 120 for reason in reasons)


def cache_of(folder: Path, **settings: object) -> ImageCache:
    names = sorted(path.name for path in (folder / "images").iterdir())
    files = find_images(folder / "images", names).files
    return open_cache(
        folder / "cache",
        files,
        names,
        size_px=32,
        resize="squash",
        **settings,  # type: ignore[arg-type]
    )


def test_reports_among_the_images_are_passed_by_and_burned_in_names_are_counted(
    tmp_path: Path,
) -> None:
    write_dicom(tmp_path / "images" / "1", chest(), BurnedInAnnotation="YES")
    write_dicom(tmp_path / "images" / "2", chest(), BurnedInAnnotation="NO")
    write_dicom(tmp_path / "images" / "3", chest(), SOPClassUID=REPORT)
    cache = cache_of(tmp_path, max_quarantined_share=0.0)
    assert cache.quarantined == {"3": "no picture: a structured report"}
    told = cache.read_otherwise()
    assert told["stored as DICOM, made grey"] == 2
    assert told["marked BurnedInAnnotation YES: a name may stand in the picture"] == 1
    write_dicom(tmp_path / "images" / "4", chest(), NumberOfFrames=2)
    with pytest.raises(DataError, match="2 frames: no plain radiograph"):
        cache_of(tmp_path, max_quarantined_share=0.0)


def test_without_the_extra_the_message_names_it_and_the_image_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = (FILES / "coding" / "j2k_lossless.dcm").read_bytes()
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.dcm").write_bytes(content)
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "imagecodecs", None)
        cache = cache_of(tmp_path, max_quarantined_share=1.0)
        why = 'compressed as JPEG 2000: reading it needs pip install "cxr-tui[dicom]"'
        assert cache.quarantined == {"a.dcm": why}
        for name in ("coding/rle.dcm", "coding/jpeg_baseline.dcm", "grey/mono1_8bit.dcm"):
            assert decode_grey(FILES / name, name).pixels_HW.shape == (32, 26)
    assert cache_of(tmp_path).quarantined == {}


def test_what_an_earlier_version_could_not_read_is_read_now(tmp_path: Path) -> None:
    write_dicom(tmp_path / "images" / "a.dcm", chest(), NumberOfFrames=2)
    cache = cache_of(tmp_path, max_quarantined_share=1.0)
    listed = cache.folder / "quarantine.csv"
    listed.write_text("Image Index,reason\na.dcm,a DICOM file: convert it to PNG\n")
    again = cache_of(tmp_path, max_quarantined_share=1.0)
    assert again.quarantined == {"a.dcm": "2 frames: no plain radiograph"}


def test_pydicom_is_not_loaded_before_a_dicom_is_met(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a", chest())
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(tmp_path / "a.png")
    script = (
        "import sys; from pathlib import Path\n"
        "from core.data.images.decode import decode_grey\n"
        f"decode_grey(Path({str(tmp_path / 'a.png')!r}), 'a')\n"
        "print('pydicom' in sys.modules, 'imagecodecs' in sys.modules)\n"
        f"decode_grey(Path({str(path)!r}), 'a')\n"
        "print('pydicom' in sys.modules, 'imagecodecs' in sys.modules)\n"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False", "True", "False"]


def test_a_wrong_or_missing_syntax_does_not_matter_to_a_compressed_picture() -> None:
    """Decided by what the picture is: syntaxes are wrong in old archives."""
    content = (FILES / "coding" / "jpeg_lossless.dcm").read_bytes()
    wrong = content.replace(b"1.2.840.10008.1.2.4.70", JPEG2000Lossless.encode().ljust(22, b"\0"))
    right_HW = decode_grey(content, "a").pixels_HW
    assert np.array_equal(decode_grey(wrong, "a").pixels_HW, right_HW)
