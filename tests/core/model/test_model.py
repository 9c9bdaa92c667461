from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from core.errors import DataError
from core.model.densenet import ChestDenseNet, build_model
from core.model.input_spec import GREY, IMAGENET, TORCHXRAYVISION, InputSpec

FINDINGS = ("Mass", "Nodule", "Hernia")


@pytest.fixture(scope="module")
def model() -> ChestDenseNet:
    return build_model(FINDINGS, seed=0, input_spec=IMAGENET).eval()


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def pixels(batch: int = 2, size_px: int = 64) -> torch.Tensor:
    return torch.rand(batch, 1, size_px, size_px, generator=torch.Generator().manual_seed(1))


def test_logits_are_float32_and_finely_resolved_under_bf16_autocast(model: ChestDenseNet) -> None:
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        maps_BCHW = model.feature_maps(pixels(24, 32))
        logits_BF = model.classify(maps_BCHW)
    assert maps_BCHW.dtype == torch.bfloat16
    assert logits_BF.dtype == torch.float32
    rounded_BF = logits_BF.bfloat16().float()
    assert (rounded_BF != logits_BF).float().mean() > 0.9
    assert len(set(logits_BF[:, 0].tolist())) > len(set(rounded_BF[:, 0].tolist()))


def test_a_hook_on_the_cam_layer_sees_the_tensor_that_is_pooled(model: ChestDenseNet) -> None:
    seen: list[torch.Tensor] = []
    hook = model.cam_layer.register_forward_hook(lambda _m, _i, output: seen.append(output))
    with torch.no_grad():
        logits_BF = model(pixels())
    hook.remove()
    (maps_BCHW,) = seen
    pooled_BC = maps_BCHW.mean(dim=(2, 3))
    by_hand_BF = pooled_BC @ model.classifier.weight.T + model.classifier.bias
    torch.testing.assert_close(logits_BF, by_hand_BF)


def test_the_cam_layer_leaves_its_input_as_it_was(model: ChestDenseNet) -> None:
    inputs: list[torch.Tensor] = []
    hook = model.features.register_forward_hook(lambda _m, _i, output: inputs.append(output))
    with torch.no_grad():
        model(pixels())
    hook.remove()
    assert inputs[0].min() < 0  # in place, the ReLU would have cut these


def test_the_gradient_at_the_cam_layer_is_the_heads_row(model: ChestDenseNet) -> None:
    maps_BCHW = model.feature_maps(pixels(1)).detach().requires_grad_()
    (gradient_BCHW,) = torch.autograd.grad(model.classify(maps_BCHW)[0, 1], maps_BCHW)
    gradient_C = gradient_BCHW.mean(dim=(0, 2, 3))
    num_cells = maps_BCHW.shape[2] * maps_BCHW.shape[3]
    torch.testing.assert_close(gradient_C * num_cells, model.classifier.weight[1].detach())


@pytest.mark.parametrize(
    ("spec", "black", "white"),
    [
        (GREY, (-2.0,), (2.0,)),
        (TORCHXRAYVISION, (-1024.0,), (1024.0,)),
        (IMAGENET, (-2.1179, -2.0357, -1.8044), (2.2489, 2.4286, 2.64)),
    ],
)
def test_the_first_convolution_sees_what_the_weights_expect(
    spec: InputSpec, black: tuple[float, ...], white: tuple[float, ...]
) -> None:
    model = build_model(FINDINGS, seed=0, input_spec=spec).eval()
    seen: list[torch.Tensor] = []
    model.features.conv0.register_forward_pre_hook(lambda _m, inputs: seen.append(inputs[0]))
    half_black = torch.zeros(1, 1, 32, 32)
    half_black[..., 16:] = 1.0
    model.feature_maps(half_black)
    assert seen[0].shape == (1, spec.channels, 32, 32)
    assert seen[0][0, :, 0, 0].tolist() == pytest.approx(black, abs=1e-3)
    assert seen[0][0, :, 0, -1].tolist() == pytest.approx(white, abs=1e-3)


def test_the_same_seed_gives_the_same_weights_and_disturbs_no_other_draw() -> None:
    torch.manual_seed(5)
    expected_draw = torch.rand(3)
    torch.manual_seed(5)
    first = build_model(FINDINGS, seed=7).state_dict()
    assert torch.equal(torch.rand(3), expected_draw)
    second = build_model(FINDINGS, seed=7).state_dict()
    other = build_model(FINDINGS, seed=8).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["classifier.weight"], other["classifier.weight"])
    assert not torch.equal(first["features.conv0.weight"], other["features.conv0.weight"])


def test_prevalence_becomes_the_heads_probability_before_any_step() -> None:
    assert build_model(FINDINGS, seed=0).classifier.bias.tolist() == [0.0, 0.0, 0.0]
    model = build_model(FINDINGS, seed=0, prevalence=(0.29, 0.5, 0.0))
    probabilities = torch.sigmoid(model.classifier.bias).tolist()
    assert probabilities == pytest.approx([0.29, 0.5, 1e-4], rel=1e-4)


def test_what_the_weights_expect_is_not_part_of_the_state(model: ChestDenseNet) -> None:
    names = set(model.state_dict())
    assert all(name.startswith(("features.", "classifier.")) for name in names)
    assert {"features.norm5.running_var", "classifier.bias"} <= names


@pytest.mark.parametrize(
    "wrong",
    [torch.rand(2, 3, 32, 32), torch.rand(1, 32, 32), torch.zeros(1, 1, 32, 32, dtype=torch.uint8)],
)
def test_pixels_that_are_not_grey_floats_are_refused(
    model: ChestDenseNet, wrong: torch.Tensor
) -> None:
    with pytest.raises(ValueError, match="pixels must"):
        model(wrong)


def test_channels_last_gives_the_same_logits() -> None:
    contiguous = build_model(FINDINGS, seed=0).eval()
    channels_last = build_model(FINDINGS, seed=0).eval()
    channels_last.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    with torch.no_grad():
        torch.testing.assert_close(
            channels_last(pixels()), contiguous(pixels()), rtol=1e-4, atol=1e-4
        )
        maps_BCHW = channels_last.feature_maps(pixels())
    assert maps_BCHW.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("spec", [GREY, IMAGENET, TORCHXRAYVISION])
def test_an_input_spec_survives_json(spec: InputSpec) -> None:
    assert InputSpec.from_json(spec.to_json(), where="here") == spec


@pytest.mark.parametrize("change", [{"channels": 2}, {"std": [0.0]}, {"mean": "x"}, {"more": 1}])
def test_an_input_spec_that_cannot_be_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(DataError, match=r"last-000001\.safetensors"):
        InputSpec.from_json({**GREY.to_json(), **change}, where="last-000001.safetensors")


def test_torchvision_loads_in_a_fresh_process_and_the_shim_is_done_once() -> None:
    program = (
        "from core.model.torchvision_shim import declare_missing_operators as declare\n"
        "first, second = declare(), declare()\n"
        "import torch, torchvision\n"
        "assert second == () and hasattr(torch.ops.torchvision, 'nms')\n"
        "assert torchvision.extension._has_ops() == (first == ())\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
