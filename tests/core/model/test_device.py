from __future__ import annotations

import pytest
import torch

from core.errors import UsageError
from core.model.device import Offer, busy_warning, choose_device, parse_used_by_others, pick_device
from core.model.precision import (
    Precision,
    autocast,
    choose_precision,
    cpu_has_bf16,
    pick_precision,
    use_channels_last,
)

NOTHING = Offer(cuda_names=(), has_mps=False, torch_has_cuda=False)
NO_GPU_HERE = Offer(cuda_names=(), has_mps=False, torch_has_cuda=True)
TWO_GPUS = Offer(cuda_names=("NVIDIA A100", "NVIDIA T4"), has_mps=False, torch_has_cuda=True)
APPLE = Offer(cuda_names=(), has_mps=True, torch_has_cuda=False)


@pytest.mark.parametrize(
    ("request_", "offer", "chosen"),
    [
        ("auto", NOTHING, "cpu"),
        ("auto", APPLE, "mps"),
        ("auto", TWO_GPUS, "cuda:0"),
        ("cuda", TWO_GPUS, "cuda:0"),
        ("cuda:1", TWO_GPUS, "cuda:1"),
        ("CUDA:1", TWO_GPUS, "cuda:1"),
        ("cpu", TWO_GPUS, "cpu"),
        ("mps", APPLE, "mps"),
    ],
)
def test_a_device_that_is_there_is_given(request_: str, offer: Offer, chosen: str) -> None:
    assert pick_device(request_, offer) == chosen


def test_without_a_number_the_emptiest_gpu_is_taken() -> None:
    assert pick_device("auto", TWO_GPUS, free_bytes=(10, 20)) == "cuda:1"
    assert pick_device("cuda", TWO_GPUS, free_bytes=(20, 20)) == "cuda:0"
    assert pick_device("cuda:0", TWO_GPUS, free_bytes=(10, 20)) == "cuda:0"


@pytest.mark.parametrize(
    ("request_", "offer"),
    [
        ("cuda:2", TWO_GPUS),
        ("cuda", NO_GPU_HERE),
        ("mps", TWO_GPUS),
        ("gpu", TWO_GPUS),
        ("cuda:", TWO_GPUS),
        ("cuda:-1", TWO_GPUS),
        ("", NOTHING),
    ],
)
def test_a_device_that_is_not_there_is_refused_with_those_that_are(
    request_: str, offer: Offer
) -> None:
    with pytest.raises(UsageError) as caught:
        pick_device(request_, offer)
    assert caught.value.exit_code == 2
    assert repr(request_) in str(caught.value)
    assert ", ".join(offer.devices) in str(caught.value)


def test_cuda_on_a_cpu_build_of_torch_says_that_it_is_one() -> None:
    with pytest.raises(UsageError, match="built for the CPU only"):
        pick_device("cuda", NOTHING)


def test_hidden_gpus_are_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(UsageError, match="CUDA_VISIBLE_DEVICES is ''"):
        pick_device("cuda", NO_GPU_HERE)


def test_the_cpu_is_always_there_and_has_a_name() -> None:
    choice = choose_device("cpu")
    assert choice.device == torch.device("cpu")
    assert len(choice.name) > len("(cpu)")
    assert choice.warnings == ()


def test_auto_is_bf16_only_where_the_device_does_it_well() -> None:
    assert pick_precision("auto", "cuda", does_bf16_well=True).is_bf16
    assert not pick_precision("auto", "cuda", does_bf16_well=False).is_bf16
    assert not pick_precision("fp32", "cuda", does_bf16_well=True).is_bf16


def test_bf16_that_is_asked_for_is_given_with_a_warning_where_it_is_slow() -> None:
    slow = pick_precision("bf16", "cpu", does_bf16_well=False)
    assert slow.is_bf16
    assert "slower" in slow.warnings[0]
    assert pick_precision("bf16", "cuda", does_bf16_well=True).warnings == ()


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(UsageError, match="fp16"):
        choose_precision("fp16", torch.device("cpu"))


@pytest.mark.parametrize(
    ("description", "has_bf16"),
    [
        ("model name\t: Xeon\nflags\t\t: fpu avx512f avx512_bf16 sse\n", True),
        ("flags\t\t: fpu amx_bf16 amx_tile\n", True),
        ("flags\t\t: fpu avx2 avx512f\n", False),
        ("Features\t: fp asimd bf16 i8mm\n", True),
        ("Features\t: fp asimd\n", False),
        ("bugs\t\t: bf16\n", False),
        ("", False),
    ],
)
def test_bf16_instructions_are_read_from_the_cpus_flags(description: str, has_bf16: bool) -> None:
    assert cpu_has_bf16(description) is has_bf16


def test_autocast_runs_convolutions_in_the_precision_chosen() -> None:
    convolution, image = torch.nn.Conv2d(1, 1, 3), torch.rand(1, 1, 8, 8)
    cpu = torch.device("cpu")
    with autocast(Precision("bf16", "test"), cpu):
        assert convolution(image).dtype == torch.bfloat16
    with autocast(Precision("fp32", "test"), cpu):
        assert convolution(image).dtype == torch.float32
    assert convolution.weight.dtype == torch.float32


def test_channels_last_is_for_cpu_and_cuda() -> None:
    assert use_channels_last(torch.device("cpu"))
    assert use_channels_last(torch.device("cuda"))
    assert not use_channels_last(torch.device("mps"))


def test_somebody_else_on_the_gpu_is_warned_of() -> None:
    used = parse_used_by_others("9000\n", "41, 1000\n42, 8000\n", own_pid=41)
    assert used == 8000 * 1024**2
    warning = busy_warning("cuda:0", used)
    assert warning is not None
    assert "7.8 GiB" in warning
    assert "--device" in warning


def test_a_free_gpu_or_an_unknown_one_is_not_warned_of() -> None:
    assert busy_warning("cuda:0", parse_used_by_others("1000", "41, 1000", own_pid=41)) is None
    assert busy_warning("cuda:0", parse_used_by_others("[N/A]", "", own_pid=41)) is None
    assert parse_used_by_others("10", "41, [N/A]", own_pid=41) == 10 * 1024**2
