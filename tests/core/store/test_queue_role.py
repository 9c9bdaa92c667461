"""One worker a GPU: by the GPU itself, whatever number a process sees it under."""

import pytest

from core.errors import SessionError
from core.store.queue.queue import Queue
from core.store.queue.role import take_role

_TWO = "0, GPU-aa, NVIDIA H100, 70000, 80000, 3\n1, GPU-bb, NVIDIA H100, 70000, 80000, 0\n"


@pytest.fixture
def two_gpus(tmp_path, monkeypatch):
    """A program that answers as nvidia-smi does on a machine with two GPUs."""
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ncat <<END\n{_TWO}END\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize("device", ["auto", "cuda", "cuda:0"])
def test_a_gpu_has_one_worker_and_another_gpu_has_another(tmp_path, device):
    queue = Queue(tmp_path / "s")
    first = take_role(queue, "cuda:0")
    with pytest.raises(SessionError, match="another worker has this GPU: host"):
        take_role(queue, device)
    second = take_role(queue, "cuda:1")
    first.give_up()
    take_role(queue, device).give_up()
    second.give_up()


@pytest.mark.usefixtures("two_gpus")
def test_the_number_that_a_process_sees_does_not_matter(tmp_path, monkeypatch):
    queue = Queue(tmp_path / "s")
    first = take_role(queue, "cuda:1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    with pytest.raises(SessionError, match="another worker"):
        take_role(queue, "cuda:0")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-aa")
    take_role(queue, "auto").give_up()
    first.give_up()


def test_workers_on_a_cpu_are_not_counted(tmp_path):
    queue = Queue(tmp_path / "s")
    take_role(queue, "cpu").give_up()
    held = [take_role(queue, "cpu") for _ in range(2)]
    for role in held:
        role.give_up()
    assert not queue.path.exists()
