from __future__ import annotations

import hashlib
import os
import pickle
import sys
import types
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from core.errors import DataError
from core.findings import FINDINGS
from core.model.densenet import ChestDenseNet, build_model
from core.model.foreign import read_tensors
from core.model.input_spec import CHEXNET, GREY, IMAGENET, TORCHXRAYVISION
from core.model.own_metadata import write_metadata
from core.model.patient_digests import KEY_FILE, keys_beside, own_key
from core.model.provenance import (
    NIH_RANDOM_SPLIT,
    XRV_NIH,
    XRV_OTHER,
    Provenance,
    SeenReport,
    own_provenance,
    seen_in_test,
)
from core.model.sources import XRV_LABELS
from core.model.weights import load_weights
from core.store.checkpoint import write_checkpoint

pytestmark = pytest.mark.filterwarnings("ignore:Couldn.t retrieve source code")

State = dict[str, Tensor]
FORMATS = pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "legacy"])


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def rgb_state() -> State:
    return network_state(len(FINDINGS), channels=3)


@pytest.fixture(scope="module")
def xrv_state() -> State:
    return network_state(len(XRV_LABELS), channels=1)


def network_state(num_outputs: int, *, channels: int) -> State:
    """A DenseNet121 whose head and statistics differ in every place."""
    names = [str(number) for number in range(num_outputs)]
    model = build_model(names, seed=3, input_spec=IMAGENET if channels == 3 else GREY)
    generator = torch.Generator().manual_seed(4)
    for name, tensor in model.state_dict().items():
        if name.endswith("running_var") or name == "classifier.bias":
            tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
    return dict(model.state_dict())


def save(value: object, path: Path, *, is_zip: bool = True) -> str:
    torch.save(value, path, _use_new_zipfile_serialization=is_zip)
    return str(path)


def pixels() -> Tensor:
    return torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(1))


def logits(model: ChestDenseNet) -> Tensor:
    with torch.no_grad():
        output: Tensor = model.eval()(pixels())
    return output


def old_names(state: State) -> State:
    """As torchvision named layers in 2017: no digit beside a letter, no batch counters."""
    renamed: State = OrderedDict()
    for name, tensor in state.items():
        for kind in ("norm", "conv"):
            if "denselayer" in name:
                name = name.replace(f".{kind}1.", f".{kind}.1.").replace(
                    f".{kind}2.", f".{kind}.2."
                )
        if not name.endswith("num_batches_tracked"):
            renamed[name] = tensor
    return renamed


def prefixed(prefix: str, state: State) -> State:
    return OrderedDict((prefix + name, tensor) for name, tensor in state.items())


def sequential_head(state: State) -> State:
    return OrderedDict(
        (name.replace("classifier.", "classifier.0."), tensor) for name, tensor in state.items()
    )


class Payload:
    """Runs a command wherever it is unpickled."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.proof}",)


@pytest.fixture
def foreign_module() -> type[nn.Module]:
    """The class of somebody else's whole pickled network, to be forgotten before reading."""
    module = types.ModuleType("somebodys_models")

    class DenseNet(nn.Module):
        def __init__(self, state: State) -> None:
            super().__init__()
            for name, tensor in state.items():
                place: nn.Module = self
                *folders, leaf = name.split(".")
                for folder in folders:
                    if folder not in place._modules:
                        place.add_module(folder, nn.Module())
                    place = place._modules[folder]  # type: ignore[assignment]
                is_statistic = leaf.startswith(("running", "num_"))
                if is_statistic:
                    place.register_buffer(leaf, tensor)
                else:
                    place.register_parameter(leaf, nn.Parameter(tensor))

    DenseNet.__module__, DenseNet.__qualname__ = module.__name__, "DenseNet"
    module.DenseNet = DenseNet  # type: ignore[attr-defined]
    sys.modules[module.__name__] = module
    return DenseNet


# What is in a file, and that none of it runs


@FORMATS
def test_a_payload_in_a_checkpoint_is_not_executed(
    tmp_path: Path, rgb_state: State, is_zip: bool
) -> None:
    proof = tmp_path / "executed"
    path = tmp_path / "model.pth.tar"
    content = {"state_dict": sequential_head(rgb_state), "epoch": Payload(proof)}
    save(content, path, is_zip=is_zip)
    loaded = load_weights(str(path), FINDINGS, seed=0)
    assert loaded.report.share_matched == 1
    assert not proof.exists()
    torch.load(path, weights_only=False)
    assert proof.exists()  # the payload is a real one


@FORMATS
def test_a_payload_as_the_whole_file_or_as_a_class_is_not_executed(
    tmp_path: Path, is_zip: bool
) -> None:
    proof = tmp_path / "executed"
    path = save(Payload(proof), tmp_path / "model.pt", is_zip=is_zip)
    with pytest.raises(DataError, match="no named tensors"):
        read_tensors(Path(path))
    assert not proof.exists()


def test_a_bare_pickle_is_refused_without_running_it(tmp_path: Path) -> None:
    proof = tmp_path / "executed"
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(Payload(proof), protocol=2))
    with pytest.raises(DataError, match=r"model\.pkl"):
        read_tensors(path)
    assert not proof.exists()


@FORMATS
@pytest.mark.parametrize("is_parallel", [False, True])
def test_a_whole_pickled_module_gives_its_tensors_without_its_class(
    tmp_path: Path,
    rgb_state: State,
    foreign_module: type[nn.Module],
    is_zip: bool,
    is_parallel: bool,
) -> None:
    network = foreign_module(sequential_head(rgb_state))
    whole = nn.DataParallel(network) if is_parallel else network
    checkpoint = {
        "model": whole,
        "best_loss": np.float64(0.15),
        "epoch": 5,
        "rng_state": torch.get_rng_state(),
    }
    path = Path(save(checkpoint, tmp_path / "checkpoint", is_zip=is_zip))
    del sys.modules["somebodys_models"]
    read = read_tensors(path)
    assert read.class_name == "somebodys_models.DenseNet"
    assert read.notes["epoch"] == 5
    wrapper = "module." if is_parallel else ""
    assert set(read.tensors) == {wrapper + name for name in sequential_head(rgb_state)}
    loaded = load_weights(str(path), FINDINGS, seed=0)
    assert loaded.provenance.kind == NIH_RANDOM_SPLIT
    state = loaded.model.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in rgb_state.items())


@FORMATS
def test_views_types_and_shared_storages_are_read_exactly(tmp_path: Path, is_zip: bool) -> None:
    base = torch.arange(24, dtype=torch.float32)
    tensors = {
        "slice": base[4:10],
        "transposed": base.view(4, 6).t(),
        "half": base.half(),
        "bf16": base.bfloat16(),
        "flags": torch.tensor([True, False]),
        "scalar": torch.tensor(7),
        "empty": torch.empty(0, 3),
        "parameter": nn.Parameter(base.double()),
    }
    path = Path(save({"state_dict": tensors}, tmp_path / "some.pt", is_zip=is_zip))
    read = read_tensors(path).tensors
    assert set(read) == set(tensors)
    for name, tensor in tensors.items():
        assert read[name].dtype == tensor.dtype
        assert torch.equal(read[name], tensor.detach())


def test_a_parameter_written_by_torch_0_3_is_read(tmp_path: Path) -> None:
    # torch 0.3 wrote parameters as objects made from their tensor, with their state set after.
    class OldParameter:
        def __init__(self, tensor: Tensor) -> None:
            self.tensor = tensor

        def __reduce__(self) -> tuple[Any, ...]:
            return sys.modules["old_torch"].Parameter, (self.tensor,), (True, False, OrderedDict())

    old_torch = types.ModuleType("old_torch")

    class Parameter:
        pass

    Parameter.__module__, Parameter.__qualname__ = "old_torch", "Parameter"
    old_torch.Parameter = Parameter  # type: ignore[attr-defined]
    sys.modules["old_torch"] = old_torch
    path = Path(save({"w": OldParameter(torch.ones(3))}, tmp_path / "old.pt", is_zip=False))
    del sys.modules["old_torch"]
    assert torch.equal(read_tensors(path).tensors["w"], torch.ones(3))


@FORMATS
def test_a_file_cut_anywhere_is_refused_with_its_name(tmp_path: Path, is_zip: bool) -> None:
    whole = tmp_path / "whole.pt"
    save({"w": torch.rand(50), "v": torch.rand(50)}, whole, is_zip=is_zip)
    content = whole.read_bytes()
    for length in range(1, len(content) - 1, max(1, len(content) // 60)):
        path = tmp_path / "cut.pt"
        path.write_bytes(content[:length])
        with pytest.raises(DataError, match=r"cut\.pt"):
            read_tensors(path)


def test_a_tensor_that_reaches_outside_its_storage_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "reach.pt"
    save({"w": torch.rand(77)}, path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            # the shape, the second 77 of the pickle, becomes 200; the storage stays
            parts = content.split(b"K\x4d") if name.endswith("data.pkl") else [content]
            archive.writestr(
                name, b"K\x4d".join(parts[:2]) + b"".join(b"K\xc8" + p for p in parts[2:])
            )
    with pytest.raises(DataError, match="outside its storage"):
        read_tensors(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html>Google Drive can't scan this file</html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS"),
        (b"\x89HDF\r\n\x1a\n" + bytes(600), "HDF5"),
        (b"\x1f\x8b" + bytes(600), "unpack"),
        (b"\x80\x02" + b"(" * 600, "can't be read as a checkpoint"),
        (b"\x80\x02r\xff\xff\xff\xff.", "can't be read as a checkpoint"),
        (b"\x80\x02)" + b"\x85" * 200_000 + b"q\x000}h\x00K\x01s.", "dictionary key"),
        (b"PK\x03\x04" + bytes(600), "can't be read as a checkpoint"),
        ((8).to_bytes(8, "little") + b"{not json", "can't be read as a checkpoint"),
    ],
)
def test_a_file_that_is_no_checkpoint_is_named_for_what_it_is(
    tmp_path: Path, content: bytes, said: str
) -> None:
    path = tmp_path / "weights.pt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=said) as caught:
        read_tensors(path)
    assert str(path) in str(caught.value)


def test_a_compressed_zip_is_refused_before_it_is_unfolded(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb/data.pkl", bytes(50_000_000))
    with pytest.raises(DataError, match="compressed"):
        read_tensors(path)


# Whose checkpoint it is, and what follows


def test_old_names_prefixes_and_a_sequential_head_fill_the_whole_network(
    tmp_path: Path, rgb_state: State
) -> None:
    old = prefixed("module.densenet121.", old_names(sequential_head(rgb_state)))
    path = save({"state_dict": old, "epoch": 9}, tmp_path / "model.pth.tar", is_zip=False)
    assert "module.densenet121.features.denseblock1.denselayer1.norm.1.weight" in old
    loaded = load_weights(path, FINDINGS, seed=0)
    assert (loaded.report.matched, loaded.report.total) == (604, 604)
    assert loaded.report.head_rows_matched == 14
    assert loaded.report.unexpected == ()
    assert loaded.model.input_spec == CHEXNET
    state = loaded.model.state_dict()
    assert all(
        torch.equal(state[name], tensor)
        for name, tensor in rgb_state.items()
        if not name.endswith("num_batches_tracked")
    )


@pytest.mark.parametrize(
    "prefix", ["model_ft.", "feature_extractor.", "a.b.student.", "cnn.features."]
)
def test_whatever_stands_before_the_networks_own_names_is_taken_off_and_said(
    tmp_path: Path, rgb_state: State, prefix: str
) -> None:
    others = {"optimiser.moment": torch.zeros(3), "head.classifier.weight": torch.zeros(2, 3)}
    path = save(dict(prefixed(prefix, rgb_state)) | others, tmp_path / "model.pth")
    report = load_weights(path, FINDINGS, seed=0).report
    assert report.matched == report.total
    assert f"'{prefix}' removed from names" in report.text
    assert set(report.unexpected) == set(others)


def test_two_networks_in_one_file_are_named_and_refused(tmp_path: Path, rgb_state: State) -> None:
    both = dict(prefixed("student.", rgb_state)) | dict(prefixed("teacher.", rgb_state))
    with pytest.raises(DataError, match="2 networks, with the prefixes 'student"):
        load_weights(save(both, tmp_path / "model.pth"), FINDINGS, seed=0)


def test_a_findings_logit_does_not_depend_on_the_order_it_is_asked_in(
    tmp_path: Path, rgb_state: State
) -> None:
    path = save({"state_dict": sequential_head(rgb_state)}, tmp_path / "model.pth.tar")
    all_BF = logits(load_weights(path, FINDINGS, seed=0).model)
    wanted = ("Hernia", "Mass", "Atelectasis")
    some = load_weights(path, wanted, seed=1)
    expected_BF = all_BF[:, [FINDINGS.index(finding) for finding in wanted]]
    torch.testing.assert_close(logits(some.model), expected_BF)
    assert some.report.head_rows == {finding: finding for finding in wanted}


def test_torchxrayvision_weights_bring_one_channel_their_range_and_their_order(
    tmp_path: Path, xrv_state: State, foreign_module: type[nn.Module]
) -> None:
    name = "nih-pc-chex-mimic_ch-google-openi-kaggle-densenet121-d121-tw-lr001-best.pt"
    path = save(foreign_module(xrv_state), tmp_path / name, is_zip=False)
    del sys.modules["somebodys_models"]
    loaded = load_weights(path, ("Pleural_Thickening", "Effusion"), seed=0)
    assert loaded.model.input_spec == TORCHXRAYVISION
    assert loaded.provenance.kind == XRV_NIH
    rows = [XRV_LABELS.index("Pleural_Thickening"), XRV_LABELS.index("Effusion")]
    assert torch.equal(loaded.model.classifier.weight, xrv_state["classifier.weight"][rows])
    # By hand, as torchxrayvision feeds it: bytes of 0 … 255 onto -1024 … 1024.
    by_hand = build_model(("a", "b"), seed=0)
    by_hand.load_state_dict(loaded.model.state_dict())
    with torch.no_grad():
        range_B1HW = (2 * (pixels() * 255) / 255 - 1) * 1024
        maps_BCHW = by_hand.eval().cam_layer(by_hand.features(range_B1HW))
        torch.testing.assert_close(logits(loaded.model), by_hand.classify(maps_BCHW))


def test_rows_that_torchxrayvision_never_trained_stay_fresh(
    tmp_path: Path, xrv_state: State
) -> None:
    path = save(xrv_state, tmp_path / "chex-densenet121-d121-tw-lr001-best.pt")
    loaded = load_weights(path, ("Mass", "Edema"), seed=0)
    assert loaded.report.head_rows == {"Mass": None, "Edema": "Edema"}
    fresh = build_model(("Mass", "Edema"), seed=0, input_spec=TORCHXRAYVISION).classifier.weight
    assert torch.equal(loaded.model.classifier.weight[0], fresh[0])
    assert loaded.provenance.kind == XRV_OTHER
    assert "random: Mass" in loaded.report.text


def test_one_channel_of_unknown_range_is_refused(tmp_path: Path, xrv_state: State) -> None:
    state = {
        **xrv_state,
        "classifier.weight": torch.rand(3, 1024),
        "classifier.bias": torch.rand(3),
    }
    path = save(state, tmp_path / "mine.pt")
    with pytest.raises(DataError, match="value range"):
        load_weights(path, FINDINGS, seed=0)
    assert load_weights(path, FINDINGS, seed=0, allow_partial=True).report.head_rows_matched == 0


def imagenet_folder(folder: Path, rgb_state: State) -> Path:
    """A folder with a file of ImageNet's form, named by its digest as torchvision names its own."""
    state = old_names(rgb_state)
    state["classifier.weight"], state["classifier.bias"] = torch.rand(1000, 1024), torch.rand(1000)
    path = folder / "saved.pth"
    save(state, path, is_zip=False)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    return path.rename(folder / f"densenet121-{digest}.pth")


def test_imagenet_weights_are_found_and_their_head_stays_fresh(
    tmp_path: Path, rgb_state: State
) -> None:
    imagenet_folder(tmp_path, rgb_state)
    loaded = load_weights("imagenet", FINDINGS, seed=0, search_folders=[tmp_path])
    assert loaded.report.kind == "imagenet"
    assert loaded.report.share_matched == 1
    assert loaded.report.head_rows_matched == 0
    assert loaded.model.input_spec == IMAGENET
    fresh = build_model(FINDINGS, seed=0, input_spec=IMAGENET)
    assert torch.equal(loaded.model.classifier.weight, fresh.classifier.weight)


def test_a_damaged_imagenet_file_is_told_by_its_name(tmp_path: Path, rgb_state: State) -> None:
    path = imagenet_folder(tmp_path, rgb_state)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"damaged.*download\.pytorch\.org"):
        load_weights("imagenet", FINDINGS, seed=0, search_folders=[tmp_path])


def test_missing_imagenet_weights_name_the_file_where_it_goes_and_the_alternative(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    with pytest.raises(DataError) as caught:
        load_weights("imagenet", FINDINGS, seed=0)
    message = str(caught.value)
    assert "https://download.pytorch.org/models/densenet121-a639ec97.pth" in message
    assert str(tmp_path / "torch" / "hub" / "checkpoints") in message
    assert "--set model.weights=none" in message


def test_without_weights_the_network_is_the_seeds_own() -> None:
    loaded = load_weights("none", ("Mass",), seed=5, prevalence=(0.25,))
    expected = build_model(("Mass",), seed=5, prevalence=(0.25,)).state_dict()
    assert all(torch.equal(expected[name], t) for name, t in loaded.model.state_dict().items())
    assert loaded.report.matched == 0
    assert loaded.provenance.kind == "none"


# What doesn't fit is refused


def test_less_than_nine_tenths_of_the_backbone_is_refused_unless_asked_for(
    tmp_path: Path, rgb_state: State
) -> None:
    names = [name for name in rgb_state if name.startswith("features.")]
    state = {name: rgb_state[name] for name in names[: len(names) // 2]}
    path = save({"state_dict": state}, tmp_path / "half.pt")
    with pytest.raises(DataError, match=r"only \d+ of 604 tensors"):
        load_weights(path, FINDINGS, seed=0)
    report = load_weights(path, FINDINGS, seed=0, allow_partial=True).report
    assert 0.4 < report.share_matched < 0.6
    assert len(report.missing) == 604 - report.matched
    assert any("random" in warning for warning in report.warnings)


def test_a_file_with_nothing_of_the_backbone_is_refused_even_when_asked_for(
    tmp_path: Path,
) -> None:
    path = save({"layer1.0.conv1.weight": torch.rand(8, 8, 3, 3)}, tmp_path / "resnet.pt")
    with pytest.raises(DataError, match=r"layer1\.0\.conv1\.weight"):
        load_weights(path, FINDINGS, seed=0, allow_partial=True)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_numbers_are_refused_by_name(
    tmp_path: Path, rgb_state: State, value: float
) -> None:
    name = "features.denseblock3.denselayer7.conv2.weight"
    broken = rgb_state[name].clone()
    broken[3, 2, 1, 0] = value
    path = save({**rgb_state, name: broken}, tmp_path / "nan.pt")
    with pytest.raises(DataError, match=name):
        load_weights(path, FINDINGS, seed=0)


def test_a_wrong_shape_is_refused_by_name(tmp_path: Path, rgb_state: State) -> None:
    name = "features.transition2.conv.weight"
    path = save({**rgb_state, name: torch.rand(2, 3, 1, 1)}, tmp_path / "shape.pt")
    with pytest.raises(DataError, match=name):
        load_weights(path, FINDINGS, seed=0, allow_partial=True)


# Our own


KEY = bytes(32)


def own_checkpoint(folder: Path, provenance: Provenance) -> tuple[Path, ChestDenseNet]:
    findings = ("Nodule", "Mass")
    model = build_model(findings, seed=11, input_spec=IMAGENET)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    metadata = write_metadata(findings, model.input_spec, provenance)
    folder.mkdir(parents=True, exist_ok=True)
    file = write_checkpoint(folder, "best", model.state_dict(), {"step": 7}, metadata)
    return file.model_path, model


def test_an_own_checkpoint_comes_back_whole(tmp_path: Path) -> None:
    fresh = Provenance("none", "random weights")
    provenance = own_provenance(
        [3, 1, 2], dataset="nih", session="first", started_from=fresh, key=KEY
    )
    path, model = own_checkpoint(tmp_path / "session" / "checkpoints", provenance)
    for choice in (path, tmp_path / "session", path.parent):
        loaded = load_weights(str(choice), ("Mass", "Nodule"), seed=0)
        assert loaded.report.kind == "own"
        assert loaded.model.input_spec == model.input_spec
        assert loaded.provenance == provenance
        torch.testing.assert_close(
            logits(loaded.model), logits(model)[:, [1, 0]], rtol=1e-4, atol=1e-4
        )


def test_a_damaged_own_checkpoint_is_refused_by_its_digest(tmp_path: Path) -> None:
    path, _ = own_checkpoint(tmp_path, Provenance("none", "random weights"))
    content = bytearray(path.read_bytes())
    content[-5] ^= 1  # the file is still readable: only the digest tells
    path.write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        load_weights(str(path), ("Mass",), seed=0)


def test_an_own_checkpoint_with_a_broken_description_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    save_file({"features.conv0.weight": torch.rand(64, 3, 7, 7)}, path, metadata={"cxr-tui": "{}"})
    with pytest.raises(DataError, match=r"mine\.safetensors"):
        load_weights(str(path), ("Mass",), seed=0)


# Whom the weights have seen


def test_test_patients_of_an_earlier_session_are_named() -> None:
    fresh = Provenance("none", "random weights")
    first = own_provenance(range(100), dataset="nih", session="first", started_from=fresh, key=KEY)
    seen = seen_in_test(first, [98, 99, 100, 101], dataset="nih")
    assert (seen.level, seen.patients) == ("named", (98, 99))
    assert "98, 99" in seen.message
    assert "2 of 4 test patients" in seen.message
    assert seen_in_test(first, [100, 101], dataset="nih").level == "none"


def test_what_weights_started_from_is_not_forgotten() -> None:
    chexnet = Provenance(NIH_RANDOM_SPLIT, "a CheXNet reproduction")
    second = own_provenance([1], dataset="nih", session="second", started_from=chexnet, key=KEY)
    third = own_provenance([2], dataset="nih", session="third", started_from=second, key=KEY)
    restored = Provenance.from_json(third.to_json(), where="here")
    assert restored == third
    restored = restored.with_keys(third.keys())
    clean = seen_in_test(restored, [50], dataset="nih")
    assert clean.level == "possible"
    assert "17,920 of the 25,596" in clean.message
    shared = seen_in_test(restored, [1, 50], dataset="nih")
    assert (shared.level, shared.patients) == ("named", (1,))


@pytest.mark.parametrize("kind", ["none", "imagenet", "xrv-other"])
def test_weights_that_saw_no_nih_patient_are_clear(kind: str) -> None:
    assert seen_in_test(Provenance(kind, "x"), [1, 2], dataset="nih").level == "none"


@pytest.mark.parametrize("kind", ["nih-random-split", "xrv-nih", "unknown"])
def test_weights_that_may_have_seen_nih_patients_say_so(kind: str) -> None:
    report = seen_in_test(Provenance(kind, "x"), [1, 2], dataset="nih")
    assert report.level == "possible"
    assert report.patients == ()
    assert seen_in_test(Provenance(kind, "x"), [1, 2], dataset="phantom").level == "none"


def test_the_same_numbers_in_another_data_set_are_not_taken_for_the_same_people() -> None:
    fresh = Provenance("none", "random weights")
    demo = own_provenance([1, 2], dataset="phantom", session="demo", started_from=fresh, key=KEY)
    assert seen_in_test(demo, [1, 2], dataset="nih").level == "none"
    clinic = own_provenance([1, 2], dataset="f00d", session="clinic", started_from=fresh, key=KEY)
    assert seen_in_test(clinic, [1, 2], dataset="nih").level == "possible"
    assert seen_in_test(clinic, [1, 2]).level == "named"


# Who the patients are stays in the session


def test_weights_name_no_patient_and_the_key_is_its_owners_alone(tmp_path: Path) -> None:
    key = own_key(tmp_path, {})
    fresh = Provenance("none", "random weights")
    numbers = [99887761, 99887762]
    provenance = own_provenance(numbers, dataset="nih", session="s", started_from=fresh, key=key)
    path, _ = own_checkpoint(tmp_path / "checkpoints", provenance)
    for file in (tmp_path / "checkpoints").iterdir():
        assert b"9988776" not in file.read_bytes()
        assert key.hex().encode() not in file.read_bytes()
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert own_key(tmp_path, {}) == key
    for folder in (path, tmp_path):
        loaded = load_weights(str(folder), ("Mass",), seed=0)
        seen = seen_in_test(loaded.provenance, [99887762, 5], dataset="nih")
        assert (seen.level, seen.patients) == ("named", (99887762,))


def test_of_weights_without_their_key_nobody_can_tell(tmp_path: Path) -> None:
    key = own_key(tmp_path, {})
    fresh = Provenance("none", "random weights")
    provenance = own_provenance([1, 2], dataset="nih", session="s", started_from=fresh, key=key)
    path, _ = own_checkpoint(tmp_path / "checkpoints", provenance)
    alone = tmp_path / "elsewhere" / "handed on" / path.name
    alone.parent.mkdir(parents=True)
    alone.write_bytes(path.read_bytes())

    loaded = load_weights(str(alone), ("Mass",), seed=0).provenance

    def seen(dataset: str) -> SeenReport:
        return seen_in_test(loaded.with_keys(keys_beside(alone)), [1, 50], dataset=dataset)

    assert (seen("nih").level, seen("nih").patients) == ("possible", ())
    assert KEY_FILE in seen("nih").message
    assert seen("phantom").level == "none"
    other = tmp_path / "other"
    other.mkdir()
    own_key(other, {})
    (alone.parent / KEY_FILE).write_bytes((other / KEY_FILE).read_bytes())
    assert seen("nih").level == "possible"
    (alone.parent / KEY_FILE).write_bytes(b'{"own": "", "keys": 7}')
    assert seen("nih").level == "possible"
    (alone.parent / KEY_FILE).write_bytes((tmp_path / KEY_FILE).read_bytes())
    assert seen("nih").patients == (1,)


def test_a_session_keeps_the_keys_of_those_whose_weights_it_started_from(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    old = Provenance("own", "session old", frozenset([7]), "nih")  # of before there were keys
    first = own_provenance(
        [1], dataset="nih", session="one", started_from=old, key=own_key(one, {})
    )
    own_checkpoint(one / "checkpoints", first)
    began_with = load_weights(str(one), ("Mass",), seed=0).provenance
    key = own_key(two, began_with.keys())
    second = own_provenance([2], dataset="nih", session="two", started_from=began_with, key=key)
    own_checkpoint(two / "checkpoints", second)
    loaded = load_weights(str(two), ("Mass",), seed=0).provenance
    assert seen_in_test(loaded, [1, 2, 3, 7], dataset="nih").patients == (1, 2, 7)


def test_weights_that_still_name_their_patients_are_understood() -> None:
    told = {"kind": "own", "text": "session old", "trained_patients": [1, 2], "dataset": "nih"}
    old = Provenance.from_json(told | {"started_from": None}, where="old.safetensors")
    assert seen_in_test(old, [2, 3], dataset="nih").patients == (2,)


@pytest.mark.parametrize(
    "patients", [{}, {"key": "a", "hmac_sha256": "?"}, {"hmac_sha256": "AA=="}]
)
def test_digests_that_are_none_are_refused_by_their_file(patients: dict[str, str]) -> None:
    told = {"kind": "own", "text": "s", "trained_patients": patients, "dataset": "nih"}
    with pytest.raises(DataError, match=r"mine\.safetensors"):
        Provenance.from_json(told | {"started_from": None}, where="mine.safetensors")
