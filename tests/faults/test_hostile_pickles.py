"""Pickles that run nothing and still could fill the memory, or never end."""

from __future__ import annotations

import io
import pickle
import pickletools
import struct
import time
import zipfile
from pathlib import Path

import pytest
import torch

from core.errors import DataError
from core.findings import FINDINGS
from core.model.foreign import read_tensors
from core.model.inert_pickle import BrokenPickleError, follow
from core.model.weights import load_weights

pytestmark = pytest.mark.usefixtures("within_a_minute")


def zipped(path: Path, body: bytes, storages: dict[str, bytes] | None = None) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m/data.pkl", body)
        for key, content in (storages or {}).items():
            archive.writestr(f"m/data/{key}", content)
    return path


def refused(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_tensors(path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 2000
    return str(caught.value)


DOUBLED = pickle.EMPTY_TUPLE + (pickle.DUP + pickle.TUPLE2) * 60
"""A tuple whose text would have 2**60 letters."""


def test_a_name_that_is_a_tuple_of_tuples_is_refused(tmp_path: Path) -> None:
    refused(zipped(tmp_path / "m.pt", b"\x80\x04" + DOUBLED + DOUBLED + b"\x93."))


def test_a_key_that_is_a_tuple_of_tuples_is_refused(tmp_path: Path) -> None:
    body = b"\x80\x02}" + DOUBLED + b"K\x01s."
    refused(zipped(tmp_path / "m.pt", body))


def test_a_name_nested_very_deep_is_refused(tmp_path: Path) -> None:
    deep = pickle.EMPTY_TUPLE + pickle.TUPLE1 * 200_000
    refused(zipped(tmp_path / "m.pt", b"\x80\x04" + deep + pickle.EMPTY_TUPLE + b"\x93."))


def test_a_table_that_holds_itself_under_every_name_is_gone_through_once(tmp_path: Path) -> None:
    table: dict[str, object] = {f"entry{n}": None for n in range(100_000)}
    for name in ("state_dict", "model_state_dict", "model", "module", "net", "network", "weights"):
        table[name] = table
    refused(zipped(tmp_path / "m.pt", pickle.dumps(table, protocol=2)))


def test_a_module_that_holds_itself_has_an_end(tmp_path: Path) -> None:
    name = "n" * 500
    body = (
        b"\x80\x02ca\nM\n)\x81q\x00}(X\x08\x00\x00\x00_modules}X"
        + struct.pack("<I", len(name))
        + name.encode()
        + b"h\x00sub."
    )
    assert "contains itself" in refused(zipped(tmp_path / "m.pt", body))


def test_more_opcodes_than_any_checkpoint_has_end_soon(tmp_path: Path) -> None:
    body = b"\x80\x02(" + b"NNNNNNNN" * 1_000_000 + b"l."
    assert "too long" in refused(zipped(tmp_path / "m.pt", body))


def tensor_pickle(shape: bytes, stride: bytes, num_values: int) -> bytes:
    storage = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\n"
    storage += b"X\x01\x00\x00\x000X\x03\x00\x00\x00cpu"
    count = b"\x8a\x08" + num_values.to_bytes(8, "little", signed=True)
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + count + b"tQK\x00"
    return b"\x80\x02}X\x01\x00\x00\x00w" + tensor + shape + stride + b"\x89NtRs."


def test_a_shape_of_a_hundred_thousand_large_axes_is_refused(tmp_path: Path) -> None:
    axis = b"\x8a\x06" + (2**40).to_bytes(6, "little")
    shape = b"(" + axis * 100_000 + b"t"
    refused(zipped(tmp_path / "m.pt", tensor_pickle(shape, shape, 16), {"0": bytes(64)}))


def test_a_storage_that_claims_terabytes_is_refused(tmp_path: Path) -> None:
    shape = b"(\x8a\x06" + (2**40).to_bytes(6, "little") + b"t"
    path = zipped(tmp_path / "m.pt", tensor_pickle(shape, b"(K\x01t", 2**40), {"0": bytes(64)})
    assert "too large" in refused(path)


def test_views_of_one_storage_cannot_fill_the_memory(tmp_path: Path) -> None:
    storage = torch.zeros(1_000_000)
    torch.save({f"w{n}": storage for n in range(1000)}, tmp_path / "m.pt")
    assert "too large" in refused(tmp_path / "m.pt")


def test_a_list_of_storages_that_are_tuples_of_tuples_is_refused(tmp_path: Path) -> None:
    stream = io.BytesIO()
    torch.save({"w": torch.zeros(2)}, stream, _use_new_zipfile_serialization=False)
    content = stream.getvalue()
    places, start = [], 0
    for _ in range(5):  # the last of five pickles is the list
        places.append(start)
        reader = io.BytesIO(content[start:])
        for _ in pickletools.genops(reader):
            pass
        start += reader.tell()
    hostile = content[: places[4]] + b"\x80\x02]" + DOUBLED + b"a." + content[start:]
    (tmp_path / "m.pt").write_bytes(hostile)
    assert "belongs to no tensor" in refused(tmp_path / "m.pt")


def test_a_name_of_a_million_wrappers_is_read_in_one_go(tmp_path: Path) -> None:
    torch.save({"module." * 1_000_000 + "x": torch.zeros(1)}, tmp_path / "m.pt")
    with pytest.raises(DataError, match="only 0 of"):
        load_weights(str(tmp_path / "m.pt"), FINDINGS, seed=0)


def test_a_number_of_a_million_digits_is_followed_or_refused_without_its_text() -> None:
    body = b"\x80\x02\x8b" + struct.pack("<i", 1_000_000) + b"\x7f" * 1_000_000 + b"K\x01s."
    with pytest.raises(BrokenPickleError):
        follow(io.BytesIO(body))


MERSENNE = 2**61 - 1
"""Python's hash of a whole number is what is left of it after division by this."""


def number(value: int) -> bytes:
    content = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return pickle.LONG1 + bytes([len(content)]) + content


def dictionary(keys: list[bytes]) -> bytes:
    return b"\x80\x02}(" + b"".join(key + b"N" for key in keys) + b"u."


ALIKE = [number(n * MERSENNE) for n in range(100_000)]
TUPLES_ALIKE = [
    b"(" + b"".join(number(-1 - (n >> bit & 1)) for bit in range(17)) + b"t" for n in range(20_000)
]
TEXTS = b"]q\x00(" + b"X\x01\x00\x00\x00aN\x86" * 50_000 + b"e\x85q\x01"


@pytest.mark.parametrize(
    "body",
    [
        dictionary(ALIKE),
        dictionary(ALIKE[10:11]),
        dictionary(TUPLES_ALIKE),
        dictionary([b"K\x01"] * 20_001),
        b"\x80\x02ccollections\nOrderedDict\nq\x020" + TEXTS + b"0" + b"h\x02h\x01R0" * 10_000,
        b"N" + b"".join(b"p%d\n" % (n * MERSENNE) for n in range(100_000)) + b".",
        b"Np-1\n.",
    ],
    ids=["numbers", "beyond 64 bits", "tuples", "many", "one list", "memo", "below zero"],
)
def test_keys_and_places_that_all_hash_alike_are_refused_in_no_time(body: bytes) -> None:
    began = time.process_time()
    with pytest.raises(BrokenPickleError, match=r"key|memo"):
        follow(io.BytesIO(body))
    assert time.process_time() - began < 5


def test_the_numbered_state_of_an_optimizer_is_read() -> None:
    state = {"state": {n: {"step": 1, (n, "m"): 2.0} for n in range(5_000)}}
    assert follow(io.BytesIO(pickle.dumps(state, protocol=2))).value == state
