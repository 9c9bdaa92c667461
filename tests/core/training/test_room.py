"""What a run does while a disk is full: it waits, says so once, and gives up in time."""

import errno

import pytest

from core.errors import DataError, NoRoomError, StoppedError
from core.events import Continued, IngestProgress, Paused, RunStarted, Stopped
from core.recipe_toml import load_recipe
from core.requests import Request
from core.store.recorder import Recorder
from core.store.sessions import create_session
from core.training.control import Control
from core.training.room import RoomWait


class Run:
    """A run's recorder and patience, on a session of its own."""

    def __init__(self, folder, limit_seconds=None, request=Request.CONTINUE):
        self.session = create_session(folder, load_recipe("demo"))
        self.told = []
        self.recorder = Recorder(self.session, self.told.append)
        control = Control(lambda: request, lambda: Request.CONTINUE, self.recorder)
        self.room = RoomWait(self.session, control, self.recorder, limit_seconds)
        self.recorder.keep = self.room.keep

    def kinds(self):
        return [type(event) for event in self.told]


def full():
    return OSError(errno.ENOSPC, "No space left on device", "/data/x")


def after(failures, error):
    """A write that fails so often, and then gives 7."""
    left = [error] * failures

    def write():
        if left:
            raise left.pop()
        return 7

    return write


def progress():
    return IngestProgress(
        done=0, total=1, images_per_second=0, seconds_left=None, quarantined=0, waiting_for=None
    )


def test_a_write_is_tried_until_it_goes_through_and_the_pause_is_told_once(tmp_path):
    run = Run(tmp_path)
    assert run.room.keep(after(3, full())) == 7
    assert run.kinds() == [Paused, Continued]
    assert run.told[0].reason == "no room on the disk of /data/x (No space left on device)"


def test_an_error_caused_by_the_disk_is_waited_for_too(tmp_path):
    error = DataError("the cache can't be written")
    error.__cause__ = full()
    assert Run(tmp_path).room.keep(after(2, error)) == 7


@pytest.mark.parametrize("error", [PermissionError(errno.EACCES, "no"), DataError("a bad table")])
def test_what_waiting_does_not_mend_is_raised_at_once(tmp_path, error):
    run = Run(tmp_path)
    with pytest.raises(type(error)):
        run.room.keep(after(1, error))
    assert run.told == []


def test_too_little_room_is_refused_at_the_start_and_waited_for_later(tmp_path):
    run = Run(tmp_path)
    with pytest.raises(NoRoomError):
        run.room.keep(after(1, NoRoomError("needs 5 GiB")))
    errors = [NoRoomError("needs 5 GiB"), full()]

    def write():
        if errors:
            raise errors.pop()
        return 7

    assert run.room.keep(write) == 7


def test_the_time_is_up_though_events_are_recorded_between_the_attempts(tmp_path):
    run = Run(tmp_path, limit_seconds=0.6)

    def ingest():
        run.recorder(progress())  # its own write goes through
        raise full()

    with pytest.raises(StoppedError, match="no room on the disk of /data/x") as caught:
        run.room.keep(ingest)
    assert caught.value.exit_code == 75
    assert f"--resume {run.session.path}" in str(caught.value)
    assert run.kinds().count(Paused) == 1
    assert Continued not in run.kinds()


def test_a_stop_ends_the_waiting_after_a_last_moment(tmp_path):
    run = Run(tmp_path, request=Request.STOP)
    with pytest.raises(StoppedError, match="asked to stop while waiting: no room"), run.recorder:
        run.room.keep(after(1000, full()))
    assert isinstance(run.told[-1], Stopped)


def test_what_is_recorded_on_a_full_disk_is_in_the_session_once_there_is_room(tmp_path):
    run = Run(tmp_path)
    writes = run.recorder.writer._events
    real, refused = writes.flush, [full(), full()]

    def flush(*, sync):
        if refused:
            raise refused.pop()
        real(sync=sync)

    writes.flush = flush
    run.recorder(RunStarted(name="x", host="h", pid=1))
    assert [type(event) for event in run.session.events()] == [RunStarted, Paused, Continued]
