from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import DataError, SessionError
from core.store.checkpoint import (
    CheckpointFile,
    read_checkpoint,
    verified_checkpoints,
    verify_model_file,
    write_checkpoint,
)


def write(folder: Path, step: int, name: str = "last") -> CheckpointFile:
    tensors = {"w": torch.full((3, 2), float(step)), "counter": torch.tensor(step)}
    momentum = {"momentum.w": torch.full((3, 2), step / 7)}
    return write_checkpoint(
        folder, name, tensors, {"step": step}, {"about": f"step {step}"}, training_tensors=momentum
    )


def flip_a_bit(path: Path, place: int = -3) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_checkpoint_comes_back_as_it_was_written(tmp_path: Path) -> None:
    tensors = {
        "conv": torch.rand(4, 3, 5, 5).to(memory_format=torch.channels_last),
        "bf16": torch.rand(3).bfloat16(),
        "part": torch.arange(10.0)[2:5],
        "count": torch.tensor(3),
    }
    state = {"step": 12, "best": 0.1 + 0.2, "lr": [1e-4, 3e-05], "nested": {"a": None, "b": True}}
    momentum = {"momentum": torch.rand(7)}
    write_checkpoint(tmp_path, "last", tensors, state, {"k": "v – ü"}, training_tensors=momentum)
    read = read_checkpoint(tmp_path, "last")
    assert set(read.tensors) == set(tensors)
    for name, tensor in tensors.items():
        assert read.tensors[name].dtype == tensor.dtype
        assert torch.equal(read.tensors[name], tensor)
    assert torch.equal(read.training_tensors["momentum"], momentum["momentum"])
    assert read.state == state
    assert read.metadata == {"k": "v – ü"}
    assert read.passed_over == ()


@settings(max_examples=30, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    )
)
def test_any_json_state_survives_exactly(
    tmp_path_factory: pytest.TempPathFactory, value: object
) -> None:
    folder = tmp_path_factory.mktemp("state")
    write_checkpoint(folder, "best", {"w": torch.zeros(1)}, {"value": value}, {})
    assert read_checkpoint(folder, "best").state == {"value": value}


def test_a_loss_that_is_no_number_does_not_cost_the_checkpoint(tmp_path: Path) -> None:
    state = {"loss": math.nan, "best": -math.inf}
    write_checkpoint(tmp_path, "last", {"w": torch.zeros(1)}, state, {})
    read = read_checkpoint(tmp_path, "last").state
    assert math.isnan(read["loss"])
    assert read["best"] == -math.inf


def test_the_newest_two_generations_are_kept_and_best_apart_from_last(tmp_path: Path) -> None:
    write(tmp_path, 1, "best")
    for step in range(1, 6):
        write(tmp_path, step)
    assert read_checkpoint(tmp_path, "last").state == {"step": 5}
    assert read_checkpoint(tmp_path, "best").state == {"step": 1}
    whole = verified_checkpoints(tmp_path)
    assert [(file.name, file.generation) for file in whole] == [
        ("last", 5),
        ("last", 4),
        ("best", 1),
    ]
    assert len(names(tmp_path)) == 9


@pytest.mark.parametrize("suffix", [".safetensors", ".training.safetensors", ".json"])
@pytest.mark.parametrize("damage", ["a bit", "truncated", "empty", "gone"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before_and_says_so(
    tmp_path: Path, suffix: str, damage: str
) -> None:
    write(tmp_path, 1)
    newest = write(tmp_path, 2)
    path = newest.model_path.with_name(f"last-000002{suffix}")
    if damage == "a bit":
        flip_a_bit(path, place=-8)
    elif damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: 40 if damage == "truncated" else 0])
    read = read_checkpoint(tmp_path, "last")
    assert read.state == {"step": 1}
    assert torch.equal(read.tensors["w"], torch.full((3, 2), 1.0))
    if suffix == ".json" and damage == "gone":
        assert read.passed_over == ()  # then it was never finished
    else:
        assert path.name in read.passed_over[0]
    assert [file.generation for file in verified_checkpoints(tmp_path)] == [1]


def test_a_changed_step_in_the_state_is_noticed(tmp_path: Path) -> None:
    write(tmp_path, 1)
    path = write(tmp_path, 2).state_path
    text = path.read_text()
    assert '"step": 2' in text
    path.write_text(text.replace('"step": 2', '"step": 9'))
    assert read_checkpoint(tmp_path, "last").state == {"step": 1}


def test_after_a_fallback_the_whole_one_is_kept_until_the_next_is_verified(tmp_path: Path) -> None:
    write(tmp_path, 1)
    flip_a_bit(write(tmp_path, 2).model_path)
    write(tmp_path, 3)
    assert [file.generation for file in verified_checkpoints(tmp_path)] == [3, 1]
    assert not (tmp_path / "last-000002.json").exists()


def test_when_every_generation_is_damaged_each_is_named(tmp_path: Path) -> None:
    for path in [write(tmp_path, step).model_path for step in (1, 2)]:
        flip_a_bit(path)
    with pytest.raises(DataError, match=r"last-000002\.safetensors.*last-000001\.safetensors"):
        read_checkpoint(tmp_path, "last")


def test_without_a_checkpoint_the_folder_is_named(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(SessionError, match="no 'last' checkpoint") as caught:
            read_checkpoint(folder, "last")
        assert str(folder) in str(caught.value)
        assert verified_checkpoints(folder) == ()


def test_a_write_that_fails_leaves_the_one_before_and_no_rest(tmp_path: Path) -> None:
    # A file-size limit of the process stands in for a full disk: the same partial write.
    program = (
        "import resource, signal, sys, torch\n"
        "from pathlib import Path\n"
        "from core.errors import RunFailedError\n"
        "from core.store.checkpoint import write_checkpoint\n"
        "folder = Path(sys.argv[1])\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "write_checkpoint(folder, 'last', {'w': torch.zeros(10)}, {'step': 1}, {})\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "try:\n"
        "    write_checkpoint(folder, 'last', {'w': torch.zeros(100_000)}, {'step': 2}, {})\n"
        "except RunFailedError as error:\n"
        "    assert 'last-000002' in str(error), error\n"
        "else:\n"
        "    raise SystemExit('the write went through')\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True)
    assert names(tmp_path) == {"last-000001.json", "last-000001.safetensors"}
    assert read_checkpoint(tmp_path, "last").state == {"step": 1}


def test_a_writer_killed_at_any_moment_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    # Kill the writer before one of its flushes, renames and removals, as a power cut would.
    program = """
import os, sys, torch
from pathlib import Path
from core.store.checkpoint import write_checkpoint

def write(folder, step):
    write_checkpoint(folder, "last", {"w": torch.zeros(10)}, {"step": step}, {})

def counted(call):
    def wrapper(*args, **kwargs):
        global calls_left
        calls_left -= 1
        if calls_left < 0:
            os._exit(9)
        return call(*args, **kwargs)
    return wrapper

torch.set_num_threads(1)
for calls_left in map(int, sys.argv[2:]):
    folder = Path(sys.argv[1], str(calls_left))
    if os.fork():
        os.wait()
        continue
    folder.mkdir()
    write(folder, 1)
    os.fsync, Path.replace = counted(os.fsync), counted(Path.replace)
    Path.unlink = counted(Path.unlink)
    write(folder, 2)
    write(folder, 3)
    os._exit(0)
"""
    moments = [str(calls) for calls in (*range(16), 99)]
    subprocess.run([sys.executable, "-c", program, str(tmp_path), *moments], check=True)
    steps = []
    for moment in moments:
        folder = tmp_path / moment
        read = read_checkpoint(folder, "last")
        assert read.passed_over == ()
        steps.append(read.state["step"])
        write(folder, 99)
        assert read_checkpoint(folder, "last").state == {"step": 99}
        assert not any(name.endswith(".tmp") for name in names(folder))
    assert steps == sorted(steps)
    assert set(steps) == {1, 2, 3}


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_other_people_may_read_a_checkpoint_as_the_umask_says(tmp_path: Path) -> None:
    previous = os.umask(0o022)
    try:
        file = write(tmp_path, 1)
    finally:
        os.umask(previous)
    assert file.model_path.stat().st_mode & 0o777 == 0o644


def test_only_last_and_best_are_checkpoints(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="newest"):
        write_checkpoint(tmp_path, "newest", {"w": torch.zeros(1)}, {}, {})


def test_a_models_file_is_checked_against_the_digest_beside_it(tmp_path: Path) -> None:
    path = write(tmp_path, 1, "best").model_path
    verify_model_file(path)
    lonely = tmp_path / "copied.safetensors"
    lonely.write_bytes(path.read_bytes())
    verify_model_file(lonely)
    flip_a_bit(path)
    with pytest.raises(DataError, match=r"best-000001\.safetensors"):
        verify_model_file(path)
