"""Waits in slices: nothing ends because it ended at a slice's edge."""

import threading
from datetime import timedelta

import pytest
import torch
from torch.distributed import HashStore, ProcessGroupGloo

from core.training.distributed.heartbeat import SILENT_SECONDS, AwakeClock
from core.training.distributed.waits import waited


@pytest.fixture
def two():
    """Two ranks' groups in one process."""
    store, groups = HashStore(), {}

    def join(rank):
        groups[rank] = ProcessGroupGloo(store, rank, 2, timedelta(seconds=30))

    threads = [threading.Thread(target=join, args=(rank,)) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return groups[0], groups[1]


class EndsAtTheEdge:
    """A real exchange, of which the other rank does its share just as we stop waiting for it."""

    def __init__(self, ours, theirs):
        self.tensor = torch.ones(3)
        self._work, self._theirs = ours.allreduce([self.tensor]), theirs
        self.timed_out = 0

    def wait(self, _slice):
        try:
            return self._work.wait(timedelta(milliseconds=20))
        except RuntimeError:
            self.timed_out += 1
            self._theirs.allreduce([torch.ones(3)]).wait()
            self._work.wait(timedelta(seconds=10))
            raise

    def is_completed(self):
        return self._work.is_completed()


def test_what_ends_between_a_slice_and_the_look_after_it_has_ended_well(two):
    work = EndsAtTheEdge(*two)
    assert waited(work)
    assert work.timed_out == 1
    assert work.tensor.tolist() == [2, 2, 2]


def test_what_has_not_ended_is_waited_for_again(two):
    ours, theirs = two
    work = ours.allreduce([torch.ones(3)])
    assert not waited(work)
    theirs.allreduce([torch.ones(3)]).wait()
    assert waited(work)


def test_a_suspension_however_long_is_no_silence_of_others_and_being_awake_is():
    now = 100.0
    clock = AwakeClock(lambda: now)
    now += 3600  # the whole job was suspended
    assert clock() < SILENT_SECONDS / 2
    before = clock()
    for _ in range(30):
        now += 1
        clock()
    assert clock() - before == pytest.approx(30)
