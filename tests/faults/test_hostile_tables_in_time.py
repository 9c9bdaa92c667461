"""Tables of awkward shapes are read or refused in seconds, and in memory that has an end."""

from __future__ import annotations

import gzip
import io
import resource
import tarfile
import warnings
from pathlib import Path

import numpy as np
import pytest

from core.data.images.archives import list_archive
from core.data.tables.boxes import read_boxes
from core.data.tables.label_table import read_label_table
from core.data.tables.text_table import MAX_CELLS
from core.errors import CxrError, DataError
from core.evaluation.joining import join_predictions
from core.evaluation.predictions import read_predictions
from core.evaluation.score_table import PATIENT_COLUMN
from core.findings import FINDINGS

pytestmark = pytest.mark.usefixtures("within_a_minute")

HEADER = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender\n"
BOX_HEADER = "Image Index,Finding Label,Bbox [x,y,w,h],,,\n"


def put(folder: Path, text: str) -> Path:
    path = folder / "table.csv"
    path.write_text(text)
    return path


@pytest.mark.parametrize("age", ["x{n}", "9{n:06d}"])
def test_as_many_ages_as_rows_cost_no_square_of_them(tmp_path: Path, age: str) -> None:
    rows = (f"{n}.png,Mass,y{n},{n},{age.format(n=n)},z{n}\n" for n in range(60_000))
    table = read_label_table(put(tmp_path, HEADER + "".join(rows)))
    assert np.isnan(table.age_years_N).all()


@pytest.mark.parametrize("name", ["c{n}", "Mas{n}", "Patien I{n}", "Imag Inde{n}"])
def test_a_hundred_thousand_columns_are_refused(tmp_path: Path, name: str) -> None:
    names = [name.format(n=n) for n in range(100_000)]
    path = put(tmp_path, ",".join(names) + "\n" + "1," * 99_999 + "1\n")
    for read in (read_label_table, read_boxes, read_predictions):
        with pytest.raises(DataError) as caught:
            read(path)
        assert len(str(caught.value)) < 7_000


def test_columns_that_are_nearly_a_finding_are_compared_with_a_few_only(tmp_path: Path) -> None:
    path = put(tmp_path, "Image Index," + ",".join(f"Mas{n}" for n in range(300_000)) + "\n")
    with pytest.raises(DataError, match="no column prob_"):
        join(path)


def join(path: Path) -> None:
    join_predictions(
        path,
        images=np.array(["a.png"], dtype=object),
        patients=np.zeros(1, np.int64),
        findings=FINDINGS,
        labels_NF=np.zeros((1, len(FINDINGS)), np.float32),
    )


def test_more_cells_than_any_table_are_refused_before_they_are_taken_apart(tmp_path: Path) -> None:
    path = put(tmp_path, "," * (MAX_CELLS + 1) + "\n")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match="too many for a table"):
        read_label_table(path)
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kib < 200_000


def test_a_box_beyond_every_number_is_cut_off_without_a_warning(tmp_path: Path) -> None:
    path = put(tmp_path, BOX_HEADER + "a.png,Mass,1,1,1.7e308,5\nb.png,Mass,1e308,1,1e308,5\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DataError, match="outside an image"):
            read_boxes(path)


@pytest.mark.parametrize("number", ["1" * 30, "-1", "1" * 5000, "1e3", "٣", str(2**53)])
def test_a_patient_that_is_no_number_of_ours_is_refused_by_its_line(
    tmp_path: Path, number: str
) -> None:
    head = f"Image Index,{PATIENT_COLUMN},Mass,prob_Mass\n"
    path = put(tmp_path, f"{head}a.png,{number},1,0.5\n")
    if number == "٣":  # Python takes it for a 3, and so may everybody
        assert read_predictions(path).patients.tolist() == [3]
        return
    with pytest.raises(DataError, match="line 2: Patient ID is"):
        read_predictions(path)


@pytest.mark.parametrize("cell", ["1" * 130_000, "x" * 130_000])
def test_what_is_said_of_a_cell_of_130_000_letters_is_short(tmp_path: Path, cell: str) -> None:
    for text in (
        f"{BOX_HEADER}a.png,Mass,{cell},1,1,5\n",
        f"{BOX_HEADER}a.png,{cell},1,1,1,5\n",
        f"{HEADER}a.png,{cell},0,1,57,M\n",
        f"{HEADER}a.png,Mass,0,{cell},57,M\n",
    ):
        with pytest.raises(CxrError) as caught:
            (read_boxes if text.startswith(BOX_HEADER) else read_label_table)(put(tmp_path, text))
        assert len(str(caught.value)) < 13_000


def bomb(path: Path, claimed: int, kind: bytes) -> Path:
    """A small archive whose entry claims a name of so many bytes, all of them there: zeros."""
    entry = tarfile.TarInfo("x")
    entry.size, entry.type = claimed, kind
    with gzip.open(path, "wb", compresslevel=1) as stream:
        stream.write(entry.tobuf(tarfile.GNU_FORMAT))
        for _ in range(claimed >> 24):
            stream.write(bytes(1 << 24))
    return path


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XGLTYPE])
def test_a_name_larger_than_any_image_in_an_archive_is_refused_unread(
    tmp_path: Path, kind: bytes
) -> None:
    path = bomb(tmp_path / "images.tar.gz", 17 << 24, kind)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match="an entry claims"):
        list_archive(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_an_archive_of_many_entries_is_not_kept_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "images.tar"
    block = tarfile.TarInfo("x").tobuf()
    with path.open("wb") as stream:
        stream.write(block * 50_000)
        stream.write(bytes(tarfile.RECORDSIZE))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert list_archive(path).members == ()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000


def entry_of_size(size: int) -> bytes:
    """A header, with the size where tar keeps numbers that are too large, or below zero."""
    entry = tarfile.TarInfo("a.png")
    entry.size = size
    return entry.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.usefixtures("within_a_minute")
@pytest.mark.parametrize("back", [1, 512, 1024, 10 * 512])
def test_an_archive_whose_entry_leads_back_has_an_end(tmp_path: Path, back: int) -> None:
    path = tmp_path / "images.tar"
    entries = entry_of_size(0) * 9 + entry_of_size(-back)
    path.write_bytes(entries + bytes(2 * tarfile.BLOCKSIZE))
    with pytest.raises(DataError, match="points backwards"):
        list_archive(path)


@pytest.mark.usefixtures("within_a_minute")
def test_a_size_below_zero_in_an_extended_header_has_an_end(tmp_path: Path) -> None:
    path = tmp_path / "images.tar"
    entry = tarfile.TarInfo("a.png")
    entry.pax_headers = {"size": "-5120"}
    path.write_bytes(entry.tobuf(tarfile.PAX_FORMAT) + bytes(2 * tarfile.BLOCKSIZE))
    with pytest.raises(DataError, match=r"points backwards|can.t be read"):
        list_archive(path)


@pytest.mark.parametrize("left", [0, 100])
def test_a_sparse_file_whose_places_are_cut_short_is_refused_by_name(
    tmp_path: Path, left: int
) -> None:
    entry = tarfile.TarInfo("a.png")
    entry.type = tarfile.GNUTYPE_SPARSE
    header = bytearray(entry.tobuf(tarfile.GNU_FORMAT))
    header[482] = 1  # more places in the next block
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    path = tmp_path / "images.tar"
    path.write_bytes(header + bytes(left))
    with pytest.raises(DataError, match="is truncated"):
        list_archive(path)


@pytest.mark.parametrize("name", ["../../escape.png", "/etc/escape.png", "a/../../escape.png"])
def test_an_archives_member_never_leaves_it(tmp_path: Path, name: str) -> None:
    with tarfile.open(tmp_path / "images.tar", "w") as tar:
        entry = tarfile.TarInfo(name)
        entry.size = 3
        tar.addfile(entry, io.BytesIO(b"abc"))
    assert [member.path for member in list_archive(tmp_path / "images.tar").members] == [name]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["images.tar"]
