"""TensorBoard's event files, written by its own protocol buffers and records.

Not by torch's SummaryWriter: that one writes on yet another thread, from which a full disk can't be
reported, and needs torch, which an export of past sessions would have to load.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import time as clock
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.recipe import Recipe
from core.recipe_toml import flat_values
from core.report_shape import PartReport
from core.store.files import open_folder, open_own
from core.tracking.telling import figures_markdown

_ERA = "brain.Event:2"
"""The file version from which TensorBoard's readers drop steps that a restart made void."""


class TensorBoardFiles:
    """Writes one event file; a run that goes on adds another one to the folder.

    Args:
        folder: where the files of this run are, made if missing.
        recipe: its keys are the hyperparameters.
        name: the session's.
        is_known: whether earlier files are known to hold the run's earlier events.
    """

    run_id = ""

    def __init__(self, folder: Path, recipe: Recipe, name: str, *, is_known: bool) -> None:
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._Event, self._SessionLog = event_pb2.Event, event_pb2.SessionLog
        self._Summary = summary_pb2.Summary
        folder.mkdir(exist_ok=True)
        has_files = has_event_files(folder)
        self.is_new = not (has_files and is_known)
        self._records = RecordWriter(os.fdopen(_new_file(folder), "wb"))
        self._add(self._Event(wall_time=clock.time(), file_version=_ERA))
        if self.is_new and has_files:  # all of it is told again
            self.drop_after(clock.time(), -1)
        if self.is_new:
            self._hyperparameters(recipe, name)

    def scalars(self, time: float, step: int, values: Mapping[str, float]) -> None:
        """Points of curves."""
        points = [self._Summary.Value(tag=tag, simple_value=one) for tag, one in values.items()]
        self._summary(time, step, self._Summary(value=points))

    def drop_after(self, time: float, step: int) -> None:
        """A restart: readers drop every point from the next step on."""
        restart = self._SessionLog(status=self._SessionLog.START)
        self._add(self._Event(wall_time=time, step=step + 1, session_log=restart))

    def table(self, time: float, step: int, report: PartReport) -> None:
        """The test figures, among the texts."""
        self._text(time, step, "test/figures", figures_markdown(report))

    def picture(self, time: float, step: int, png: Path) -> None:
        """An overlay, among the images."""
        from PIL import Image

        with Image.open(png) as picture:
            width, height = picture.size
        image = self._Summary.Image(
            height=height, width=width, colorspace=3, encoded_image_string=png.read_bytes()
        )
        value = self._Summary.Value(tag=f"overlays/{png.stem}", image=image)
        self._summary(time, step, self._Summary(value=[value]))

    def end(self, time: float, state: str) -> None:
        """Tell the table of hyperparameters how the run ended."""
        from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

        is_failed = state == "failed"
        status = api_pb2.STATUS_FAILURE if is_failed else api_pb2.STATUS_SUCCESS
        ended = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=time)
        content = plugin_data_pb2.HParamsPluginData(session_end_info=ended)
        value = self._Summary.Value(
            tag=metadata.SESSION_END_INFO_TAG,
            metadata=metadata.create_summary_metadata(content),
            tensor=metadata.NULL_TENSOR,
        )
        self._summary(time, 0, self._Summary(value=[value]))

    def flush(self) -> None:
        """Hand everything to the system."""
        self._records.flush()

    def close(self) -> None:
        """Close the file."""
        self._records.close()

    def _hyperparameters(self, recipe: Recipe, name: str) -> None:
        from tensorboard.plugins.hparams import summary_v2

        now = clock.time()
        curves = [summary_v2.Metric(tag) for tag in ("auroc/mean", "loss/val", "test/auroc/mean")]
        values = flat_values(recipe)
        known = {
            key: value if isinstance(value, bool | int | float | str) else str(value)
            for key, value in values.items()
        }
        columns = [summary_v2.HParam(key) for key in known]
        self._summary(now, 0, summary_v2.hparams_config_pb(columns, curves))
        self._summary(now, 0, summary_v2.hparams_pb(known, trial_id=name, start_time_secs=now))
        rows = [f"| {key} | {value} |" for key, value in known.items()]
        self._text(now, 0, "recipe", "\n".join(["| key | value |", "| --- | --- |", *rows]))

    def _text(self, time: float, step: int, tag: str, text: str) -> None:
        from tensorboard.compat.proto.tensor_pb2 import TensorProto
        from tensorboard.plugins.text.metadata import create_summary_metadata

        metadata = create_summary_metadata(display_name=None, description=None)
        tensor = TensorProto(dtype="DT_STRING", string_val=[text.encode()])
        value = self._Summary.Value(tag=tag, metadata=metadata, tensor=tensor)
        self._summary(time, step, self._Summary(value=[value]))

    def _summary(self, time: float, step: int, summary: Any) -> None:
        self._add(self._Event(wall_time=time, step=step, summary=summary))

    def _add(self, event: Any) -> None:
        self._records.write(event.SerializeToString())


def has_event_files(folder: Path) -> bool:
    """Whether a run was written there."""
    return any(folder.glob("events.out.tfevents.*"))


def _new_file(folder: Path) -> int:
    """Create the next file; TensorBoard reads a folder's files in the order of their names.

    Raises:
        OSError: the disk refuses, or the folder is a link.
    """
    with open_folder(folder) as opened:
        for number in itertools.count():
            name = f"events.out.tfevents.{clock.time():.6f}.{socket.gethostname()}.{number}"
            with contextlib.suppress(FileExistsError):
                return open_own(Path(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL, folder=opened)
    raise AssertionError
