"""Safetensors files that were made to mislead, as weights to start from and as a session's own."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save, save_file

from core.errors import DataError
from core.findings import FINDINGS
from core.model.densenet import build_model
from core.model.input_spec import IMAGENET
from core.model.own_metadata import KEY, write_metadata
from core.model.provenance import Provenance
from core.model.weights import load_weights
from core.store.checkpoint import read_checkpoint, write_checkpoint

pytestmark = pytest.mark.usefixtures("within_a_minute")

CONV = "features.conv0.weight"


def headed(header: bytes, body: bytes = b"", *, size: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if size is None else size) + header + body


def entry(
    start: int, stop: int, *, shape: object = (2,), dtype: object = "F32"
) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


def described(tensors: dict[str, object]) -> bytes:
    return headed(json.dumps(tensors).encode(), bytes(16))


HOSTILE = {
    "a header longer than the file": headed(b'{"a":1}', size=10_000),
    "a header of 2**63 bytes": headed(b'{"a":1}', size=2**63),
    "a header of 2**64 - 1 bytes": headed(b'{"a":1}', size=2**64 - 1),
    "a header of no bytes": headed(b"", bytes(64)),
    "a header of 99 MB": headed(b'{"a":1}', size=99_000_000),
    "no JSON": headed(b"{this is none}"),
    "a JSON list": headed(b"{[1, 2]}"),
    "JSON that ends early": headed(b'{"a": {"dtype": "F32"'),
    "a header that is not UTF-8": headed(b'{"\xff\xfe": 1}'),
    "tables in tables": headed(b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
    "lists in lists": headed(b'{"a":' + b"[" * 50_000 + b"]" * 50_000 + b"}"),
    "offsets that overlap": described({"a": entry(0, 8), "b": entry(4, 12)}),
    "offsets that run backwards": described({"a": entry(8, 0)}),
    "negative offsets": described({"a": entry(-8, 0)}),
    "offsets behind the end": described({"a": entry(0, 8), "b": entry(8, 10**12, shape=(10**11,))}),
    "offsets of 10**30": described({"a": entry(0, 10**30)}),
    "offsets with a hole": described({"a": entry(0, 8), "b": entry(12, 16, shape=(1,))}),
    "a shape of another size": described({"a": entry(0, 16, shape=(3,))}),
    "a shape that overflows": described({"a": entry(0, 16, shape=(2**62, 2**62))}),
    "a negative shape": described({"a": entry(0, 16, shape=(-4,))}),
    "a shape of a million axes": described({"a": entry(0, 16, shape=[1] * 10**6)}),
    "a shape that is text": described({"a": entry(0, 16, shape="four")}),
    "an unknown dtype": described({"a": entry(0, 16, dtype="F7")}),
    "a dtype that is a number": described({"a": entry(0, 16, dtype=32)}),
    "metadata that is a number": headed(b'{"__metadata__": 7}'),
    "metadata that holds tables": headed(b'{"__metadata__": {"a": {"b": 1}}}'),
    "the same name twice": headed(
        b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},'
        b'"a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}',
        bytes(16),
    ),
}


@pytest.mark.parametrize("fault", HOSTILE)
def test_a_hostile_header_is_refused_as_weights(tmp_path: Path, fault: str) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(HOSTILE[fault])
    with pytest.raises(DataError, match=r"model\.safetensors") as caught:
        load_weights(str(path), FINDINGS, seed=0, allow_partial=True)
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize("suffix", [".safetensors", ".training.safetensors"])
@pytest.mark.parametrize("fault", HOSTILE)
def test_a_sessions_checkpoint_with_a_hostile_header_is_passed_over_and_named(
    tmp_path: Path, fault: str, suffix: str
) -> None:
    for step in (1, 2):
        tensors = {"w": torch.full((2,), float(step))}
        write_checkpoint(tmp_path, "last", tensors, {"step": step}, {}, training_tensors=tensors)
    path = tmp_path / f"last-000002{suffix}"
    path.write_bytes(HOSTILE[fault])
    agree(path)  # whoever makes such a file makes its digest too
    read = read_checkpoint(tmp_path, "last")
    if read.file.generation == 2:  # safetensors itself takes the last of two equal names
        assert fault == "the same name twice"
        return
    assert read.state == {"step": 1}
    assert torch.equal(read.tensors["w"], torch.ones(2))
    assert path.name in read.passed_over[0]


def agree(path: Path) -> None:
    manifest_path = path.with_name("last-000002.json")
    manifest = json.loads(manifest_path.read_text())
    manifest["digests"][path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    manifest_path.write_text(json.dumps(manifest))


def few_tensors() -> dict[str, torch.Tensor]:
    state = build_model(FINDINGS, seed=1, input_spec=IMAGENET).state_dict()
    return {name: state[name].clone() for name in (CONV, "classifier.weight", "classifier.bias")}


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        *((float("nan"), torch.float32), (float("inf"), torch.float32)),
        *((float("nan"), torch.bfloat16), (float("nan"), torch.float16)),
        *((float("nan"), torch.float8_e4m3fn), (float("inf"), torch.float8_e5m2)),
        (1e300, torch.float64),  # a number there, and infinite in the network
    ],
)
def test_values_that_are_no_numbers_in_the_network_are_refused(
    tmp_path: Path, value: float, dtype: torch.dtype
) -> None:
    tensors = few_tensors()
    broken = tensors[CONV].to(torch.float64)
    broken[3, 2, 1, 0] = value
    save_file({**tensors, CONV: broken.to(dtype)}, tmp_path / "model.safetensors")
    with pytest.raises(DataError, match=f"{CONV} has invalid values"):
        load_weights(str(tmp_path / "model.safetensors"), FINDINGS, seed=0, allow_partial=True)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.bool, torch.uint16, torch.float8_e4m3fn])
def test_weights_of_another_kind_of_number_are_converted_not_crashed_on(
    tmp_path: Path, dtype: torch.dtype
) -> None:
    tensors = {**few_tensors(), CONV: torch.ones(64, 3, 7, 7).to(dtype)}
    save_file(tensors, tmp_path / "model.safetensors")
    loaded = load_weights(str(tmp_path / "model.safetensors"), FINDINGS, seed=0, allow_partial=True)
    assert torch.equal(loaded.model.state_dict()[CONV], torch.ones(64, 3, 7, 7))


def own_file(path: Path, findings: tuple[str, ...], *, num_rows: int | None = None) -> str:
    tensors = few_tensors()
    rows = len(findings) if num_rows is None else num_rows
    tensors["classifier.weight"] = torch.arange(rows).float().repeat(1024, 1).T.contiguous()
    tensors["classifier.bias"] = torch.arange(rows).float()
    metadata = write_metadata(findings, IMAGENET, Provenance("none", "random weights"))
    save_file(tensors, path, metadata=metadata)
    return str(path)


def test_another_order_of_findings_is_mapped_by_name(tmp_path: Path) -> None:
    path = own_file(tmp_path / "m.safetensors", ("Nodule", "Hernia", "Mass"))
    report, model = _loaded(path, ("Mass", "Nodule", "Edema"))
    assert report.head_rows == {"Mass": "Mass", "Nodule": "Nodule", "Edema": None}
    assert model.classifier.bias[:2].tolist() == [2, 0]
    assert "random: Edema" in report.text


def test_rows_without_a_finding_of_ours_are_left_out_and_said_so(tmp_path: Path) -> None:
    path = own_file(tmp_path / "m.safetensors", ("Cats", "Dogs"))
    report, _ = _loaded(path, ("Mass",))
    assert report.head_rows == {"Mass": None}
    assert "head: 0 of 1 findings" in report.text


@pytest.mark.parametrize("num_rows", [0, 1, 3, 1000])
def test_another_number_of_rows_than_findings_is_refused(tmp_path: Path, num_rows: int) -> None:
    path = own_file(tmp_path / "m.safetensors", ("Mass", "Nodule"), num_rows=num_rows)
    with pytest.raises(DataError, match=r"classifier\.weight has shape"):
        _loaded(path, ("Mass",))


@pytest.mark.parametrize(
    "description",
    [
        *("", "7", "[]", "null", "{}", "[" * 50_000, "9" * 5000, "NaN"),
        json.dumps({"format": 1, "architecture": "densenet121", "findings": 7}),
        json.dumps({"format": [1], "architecture": {}, "findings": [], "input": 1}),
    ],
)
def test_a_description_of_itself_that_cannot_be_read_is_refused(
    tmp_path: Path, description: str
) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(save(few_tensors(), metadata={KEY: description}))
    with pytest.raises(DataError, match=r"m\.safetensors"):
        _loaded(str(path), ("Mass",))


def _loaded(path: str, findings: tuple[str, ...]):  # type: ignore[no-untyped-def]
    loaded = load_weights(path, findings, seed=0, allow_partial=True)
    return loaded.report, loaded.model
