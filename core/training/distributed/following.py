"""What every rank but the first does: wait for rank 0's next command, and do its share.

It has no session, writes nothing, and decides nothing. It reports failures to rank 0, which passes
them on to everybody.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from core.data.batches import Part
from core.data.cache.cache import ImageCache
from core.data.study.sources import locate_sources
from core.data.study.together import sources_of
from core.errors import DataError
from core.evaluation.predict import Placement
from core.model.densenet import build_model
from core.model.memory import free_bytes
from core.model.precision import Precision
from core.training.distributed.expected import (
    expect_nothing,
    expect_parts,
    expect_weights,
    refuse_other_rows,
)
from core.training.distributed.messages import Heading
from core.training.distributed.rank_device import device_for
from core.training.distributed.ranks import (
    BUILT,
    CACHED,
    STEP_MADE,
    BeginEpoch,
    Build,
    End,
    PartRows,
    Prepare,
    Restore,
    Score,
    Step,
    TakeStep,
)
from core.training.distributed.team import LeaderEndedError, Team
from core.training.preparation import cache_of
from core.training.resuming.same_images import content_of
from core.training.scoring import score_share
from core.training.step.device_use import agree_on_step, hold_parts, make_told_step
from core.training.trainer import NotFiniteError, Trainer


def follow(team: Team, device: str, cache: Path, stop_requested: Callable[[], bool]) -> int:
    """Follow rank 0 to the end; returns the exit code that it sent.

    Raises:
        CxrError: this rank failed, or another was lost.
    """
    follower = _Follower(team, device, cache, stop_requested)
    try:
        while True:
            follower.let_know()
            command = team.receive(follower.let_know, follower.expect)
            if isinstance(command, End):
                return command.code
            follower.obey(command)
    except LeaderEndedError as ended:
        return ended.code


@dataclass
class _Follower:
    team: Team
    device: str
    cache: Path
    stop_requested: Callable[[], bool]
    _told: bool = False
    _prepared: Prepare | None = None
    _parts: dict[str, Part] = field(default_factory=dict)
    _trainer: Trainer | None = None
    _steps: Iterator[object] = field(default_factory=lambda: iter(()))

    @property
    def trainer(self) -> Trainer:
        """The network, once rank 0 has described it."""
        assert self._trainer is not None
        return self._trainer

    def let_know(self) -> None:
        """Report a stop requested of this rank; rank 0 answers it."""
        if self.stop_requested() and not self._told:
            self._told = True
            self.team.heartbeat.show(asked_to_stop=True)

    def expect(self, heading: Heading) -> None:
        """Refuse a command whose tensors can't belong to this run, before any of them is received.

        Raises:
            CommandError: they don't.
        """
        match heading.kind:
            case "Restore" if self._trainer is not None:
                expect_weights(heading, self._trainer)
            case "Build" if self._prepared is not None:
                expect_parts(heading, len(self._prepared.files))
            case _:
                expect_nothing(heading)

    def obey(
        self, command: Prepare | Build | Restore | TakeStep | BeginEpoch | Step | Score
    ) -> None:
        """Execute the command."""
        match command:
            case Prepare():
                self._prepare(command)
            case Build():
                self._build(command)
            case Restore():
                self.trainer.restore(command.model, command.optimizer, command.state)
                self.trainer.skipped_in_a_row = 0
            case TakeStep():
                make_told_step(self.trainer, command.kind)
                self.team.heartbeat.show(stage=STEP_MADE)
                agree_on_step(self.trainer)
            case BeginEpoch():
                self._close_epoch()
                self.trainer.restore_state(command.state)
                self._steps = self.trainer.epoch_steps()
            case Step():
                with contextlib.suppress(NotFiniteError):  # as on rank 0, which reacts
                    next(self._steps)
            case Score():
                part, progress = self._parts[command.part], self._scoring_goes_on
                score_share(self.trainer, part, progress, exactly=command.exactly)

    def _prepare(self, command: Prepare) -> None:
        self._prepared = command
        leader_host = self.team.heartbeat.statuses[0].host
        own_host = self.team.heartbeat.statuses[self.team.rank].host
        if not self.team.launch.leads_its_host or own_host == leader_host:
            return
        if command.recipe.dataset.phantom is not None:
            locate_sources(command.recipe, cache=self.cache)  # creates a missing synthetic set
        self._open_cache(command)
        self.team.heartbeat.show(stage=CACHED)

    def _build(self, command: Build) -> None:
        assert self._prepared is not None
        recipe = self._prepared.recipe
        cache = self._open_cache(self._prepared)
        for name, rows in command.parts.items():
            refuse_other_rows(rows.index_rows_N, len(self._prepared.files))
            self._parts[name] = _part(self._prepared, cache, name, rows)
        if content_of(self._parts) != command.content:
            raise DataError(
                f"the image files of host {socket.gethostname()} differ from those of process "
                "0, though their names are the same",
                where=recipe.dataset.images,
                why="One run would train on two data sets.",
                remedy="Copy the same files to each host.",
            )
        model = build_model(command.findings, seed=0, input_spec=command.input_spec)
        device = torch.device(device_for(self.team.launch, self.device))
        placement = Placement(device, Precision(command.precision, "as on rank 0"))
        self._trainer = Trainer(model, self._parts["train"], recipe, placement, ranks=self.team)
        self._parts = hold_parts(
            self._trainer,
            self._parts,
            free_bytes(device),
            may_go_on=lambda: not self._should_leave(),
            record=lambda _event: None,
        )
        self.team.heartbeat.show(stage=BUILT)

    def _open_cache(self, command: Prepare) -> ImageCache:
        names = list(command.files)
        return cache_of(
            command.recipe,
            command.files,
            [names[row] for row in command.wanted],
            command.resize,
            self.cache,
            command.is_miniature,
            should_stop=self._should_leave,
        )

    def _should_leave(self) -> bool:
        self.let_know()
        self.team.check()
        return False

    def _scoring_goes_on(self, _done: int) -> bool:
        self._should_leave()
        return not self.team.leader_leaves_early

    def _close_epoch(self) -> None:
        if isinstance(self._steps, Iterator) and hasattr(self._steps, "close"):
            self._steps.close()


def _part(prepared: Prepare, cache: ImageCache, name: str, rows: PartRows) -> Part:
    """The part with these rows, whose images are in the cache; see ``preparation.part_of``."""
    images_N = np.array(list(prepared.files), dtype=np.object_)[rows.index_rows_N]
    return Part(
        name=name,
        cache=cache,
        cache_rows_N=cache.rows_of(images_N.tolist()),
        index_rows_N=rows.index_rows_N,
        images_N=images_N,
        patients_N=rows.patients_N,
        labels_NF=rows.labels_NF,
        weights_N=rows.weights_N,
        sources_N=sources_of(images_N, prepared.recipe),
        is_even=name == "train" and prepared.recipe.train.sources == "even",
    )
