"""``cxr-tui bench``: what it measures, what it refuses, and that nothing is left of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from small_runs import until
from tiny_training import same, tiny_trainer

from core.bench import parts
from core.bench.blocks import Blocks
from core.bench.limit import find_limit
from core.bench.training import Taken, TrainingRates
from core.evaluation.predict import Placement
from core.model.precision import Precision
from core.recipe import Recipe
from core.recipe_toml import load_recipe
from core.training.step.device_use import take_best_step
from core.training.step.engines import made_engine

RATES = {
    "decode_one_core",
    "decode_all_cores",
    "ingest",
    "cache",
    "augmentation",
    "step",
    "loop",
    "validation",
}


def _small(phantom_dir: Path) -> list[str]:
    keys = {
        "dataset.phantom": "none",
        "dataset.images": phantom_dir,
        "image.size_px": 32,
        "train.batch_size": 4,
        "train.precision": "fp32",
    }
    return [word for key, value in keys.items() for word in ("--set", f"{key}={value}")]


@pytest.fixture(scope="module")
def measured(
    tmp_path_factory: pytest.TempPathFactory, phantom_dir: Path
) -> tuple[dict[str, Any], Path, str]:
    """What the command printed, the folder that it ran in, and what it told on the way."""
    folder = tmp_path_factory.mktemp("bench")
    command = [sys.executable, "-m", "cxr_tui", "bench", "demo", *_small(phantom_dir)]
    done = subprocess.run(
        [*command, "--cache", str(folder / "cache"), "--seconds", "0.2", "--json"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    return json.loads(done.stdout), folder, done.stderr


def test_every_part_has_a_rate_with_its_spread(measured: tuple[dict[str, Any], Path, str]) -> None:
    found, _, _ = measured
    rates = found["images_per_second"]
    assert set(rates) == RATES
    for rate in rates.values():
        assert 0 < rate["low"] <= rate["median"] <= rate["high"]
        assert rate["blocks"] >= 3
    # Each holds the one before it, and reading bytes is nothing beside the network.
    assert rates["cache"]["median"] > 10 * rates["step"]["median"]
    assert rates["validation"]["median"] > rates["loop"]["median"]


def test_what_follows_from_the_rates_is_there(
    measured: tuple[dict[str, Any], Path, str],
) -> None:
    found, _, _ = measured
    loop = found["images_per_second"]["loop"]["median"]
    assert set(found["ratios"]) == {"ingest_to_cores", "loop_to_step", "validation_to_loop"}
    assert 0 <= found["waiting_share"] <= found["data_share"] < 1
    assert found["peak_host_bytes"] > 100 * 2**20
    assert found["peak_device_bytes"] is None
    assert (found["step"], found["images_held"]) == ("eager", [])
    assert found["step_reason"] == "compiling pays off only on CUDA"
    assert found["images_to_decode"] == sum(found["images"].values())
    expected = found["expected_seconds"]
    assert expected["nih_epoch"] == pytest.approx(
        86_524 / loop, rel=0.005
    )  # the rate has three digits
    assert expected["run"] > found["images"]["train"] / loop * 5
    assert found["nih"]["ingest_is_estimated"] is True  # its images are of 64 px
    assert found["limit"]["text"].endswith(".")
    assert found["limit"]["part"] in {"ingest", "cache", "augmentation", "loop", "network"}


def test_it_leaves_neither_a_session_nor_a_cache(
    measured: tuple[dict[str, Any], Path, str],
) -> None:
    _, folder, told = measured
    assert [path.name for path in folder.iterdir()] == ["cache"]
    assert list((folder / "cache").iterdir()) == []
    assert "training, scoring and each part alone" in told


def test_a_wrong_key_is_refused(cxr_tui: Callable[..., Any], phantom_dir: Path) -> None:
    done = cxr_tui("bench", "demo", "--set", "train.batch_sise=4")
    assert done.returncode == 2
    assert "train.batch_size" in done.stderr
    assert done.stdout == ""


def test_images_that_are_not_there_are_refused(cxr_tui: Callable[..., Any], tmp_path: Path) -> None:
    done = cxr_tui("bench", "nih-14", "--set", f"dataset.images={tmp_path / 'nowhere'}", "--json")
    assert done.returncode == 3
    assert "nowhere" in done.stderr
    assert done.stdout == ""


def test_a_block_without_length_is_refused(cxr_tui: Callable[..., Any]) -> None:
    done = cxr_tui("bench", "demo", "--seconds", "0")
    assert done.returncode == 2
    assert "--seconds" in done.stderr


def test_a_signal_ends_it_and_nothing_is_left(tmp_path: Path, phantom_dir: Path) -> None:
    cache = tmp_path / "cache"
    command = [sys.executable, "-m", "cxr_tui", "bench", "demo", *_small(phantom_dir)]
    with subprocess.Popen(
        [*command, "--cache", str(cache), "--seconds", "30"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as bench:
        until(
            lambda: list(cache.glob("bench-*/sessions/*")) or bench.poll() is not None, "training"
        )
        os.kill(bench.pid, signal.SIGTERM)
        _, told = bench.communicate(timeout=60)
    assert bench.returncode == 75
    assert "no result was saved" in told
    assert not list(cache.glob("bench-*"))


def _recipe(**changes: object) -> Recipe:
    return load_recipe("demo", [f"{key}={value}" for key, value in changes.items()])


def _rates(
    *, loop: float, step: float = 100, waiting: float = 0.0, augmentation: float = 1e5
) -> TrainingRates:
    return TrainingRates(
        loop=Blocks((loop,)),
        step=Blocks((step,)),
        validation=Blocks((3 * loop,)),
        cache=Blocks((1e6,)),
        augmentation=Blocks((augmentation,)),
        waiting_share=waiting,
        steps=10,
        micro_batch_size=None,
        taken=Taken("eager", ""),
        peak_host_bytes=None,
        peak_device_bytes=None,
    )


_FP32 = Placement(torch.device("meta"), Precision("fp32", ""))  # a device without bf16


@pytest.mark.parametrize(
    ("rates", "ingest_share", "part", "said"),
    [
        (_rates(loop=98), 0.1, "network", "98 %"),
        (_rates(loop=102), 0.1, "network", "reaches 100 %"),
        (_rates(loop=98), 0.7, "ingest", "70 %"),
        (_rates(loop=60, waiting=0.35), 0.1, "cache", "35 %"),
        (_rates(loop=70, augmentation=300), 0.1, "augmentation", "23 %"),
        (_rates(loop=70), 0.1, "loop", "70 %"),
        # What is slow in every epoch counts more than what is paid once.
        (_rates(loop=60, waiting=0.35), 0.9, "cache", "35 %"),
    ],
)
def test_the_narrowest_part_is_named(
    rates: TrainingRates, ingest_share: float, part: str, said: str
) -> None:
    limit = find_limit(_recipe(), _FP32, rates, ingest_share=ingest_share)
    assert limit.part == part
    assert said in limit.text
    assert limit.remedy.endswith(".")


def test_a_smaller_input_is_offered_down_to_two_map_cells() -> None:
    said = {
        size_px: find_limit(
            _recipe(**{"image.size_px": size_px}), _FP32, _rates(loop=98), ingest_share=0.0
        ).remedy
        for size_px in (224, 64)
    }
    assert "image.size_px=160: 51 % of the cost" in said[224]
    assert "size_px" not in said[64]


@pytest.mark.parametrize("step", ["eager", "compiled"])
def test_the_ceiling_takes_the_runs_own_step_on_a_network_of_its_own(
    step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.compiler.reset()
    monkeypatch.setattr(parts, "BACKEND", "aot_eager")  # generates no C++
    alike, trainer = (tiny_trainer(augment=False, step=step) for _ in range(2))
    take_best_step(trainer, lambda _: None, partial(made_engine, backend="aot_eager"))
    assert (trainer.train_step.engine is not None) == (step == "compiled")
    batch = parts.first_batch(trainer)
    before = {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}
    bare = parts.BareStep(trainer, batch)
    for _ in range(2):
        bare()
        alike.step(batch)
    assert same(trainer.model.state_dict(), before)
    assert not same(bare.network.state_dict(), before)
    trained = alike.model.state_dict()
    for name, tensor in bare.network.state_dict().items():
        assert torch.allclose(tensor, trained[name], atol=1e-6), name


def test_blocks_are_compared_side_by_side() -> None:
    ratio = Blocks((10.0, 20.0, 30.0)).over(Blocks((5.0, 5.0, 10.0)))
    assert (ratio.low, ratio.median, ratio.high) == (2.0, 3.0, 4.0)
