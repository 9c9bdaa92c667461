"""Work on threads with a session's network: open it, make maps, measure, save."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from textual import work
from textual.message import Message
from textual.worker import get_current_worker

from core.errors import CxrError, StoppedError, UntrainedError
from core.store.session import Session
from cxr_tui.cams.session_maps import (
    SessionMaps,
    cover,
    file_of,
    localize_all,
    make_maps,
    open_maps,
    save_maps,
    see,
    standing_of,
)
from cxr_tui.console.background import Background
from cxr_tui.runs.open_session import OpenSession

if TYPE_CHECKING:
    from core.evaluation.maps.candidates import Candidate
    from core.evaluation.maps.found_maps import FoundMap
    from core.evaluation.maps.methods import Method


class MapMaker(Background):
    """Every result comes back as a message, and is applied on the painting thread."""

    class Did(Message):
        """Some work is done; ``apply`` stores its result."""

        def __init__(self, apply: Callable[[], None]) -> None:
            super().__init__()
            self.apply = apply

    def __init__(self) -> None:
        super().__init__()
        self.kept: SessionMaps | None = None
        self.problem = ""
        self.is_untrained = False
        self.under_way = ""
        self.failed = ""
        self.summary: list[str] = []
        self.opened_image: str | None = None
        self._asked: tuple[SessionMaps, str, str] | None = None
        self._opened: tuple[Session, tuple[object, ...]] | None = None

    def on_map_maker_did(self, message: Did) -> None:
        """Apply it."""
        message.apply()

    def follow(self, shown: OpenSession) -> None:
        """Open the session's maps, unless they are open with the same network and figures."""
        view = shown.view
        seen: tuple[object, ...] = (view.report is not None, view.best and view.best.epoch)
        if view.state in ("running", "paused"):
            # While a run continues its maps stay those of the network they were opened with; if
            # there was none yet, of its first.
            seen = ("running", view.kept is not None)
        session = shown.session
        if (session, seen) != self._opened:
            for group in ("maps", "cover", "localize"):
                self.workers.cancel_group(self, group)
            self._opened, self.kept, self.problem, self.summary = (session, seen), None, "", []
            self.is_untrained = False
            self.under_way = "loading the network"
            self._open(session, seen)

    @work(thread=True, exclusive=True, group="open", description="open the session's network")
    def _open(self, session: Session, seen: tuple[object, ...]) -> None:
        opened = session, seen
        try:
            kept = open_maps(session, self.workspace.cache, self.workspace.device)
        except (CxrError, OSError) as error:
            text, is_untrained = str(error), isinstance(error, UntrainedError)
            self.post_message(self.Did(lambda: self._take_problem(opened, text, is_untrained)))
            return
        self.post_message(self.Did(lambda: self._take(opened, kept)))

    def _take(self, opened: object, kept: SessionMaps) -> None:
        if opened == self._opened:
            self.kept, self.under_way = kept, ""

    def _take_problem(self, opened: object, problem: str, is_untrained: bool) -> None:
        if opened == self._opened:
            self.problem, self.is_untrained, self.under_way = problem, is_untrained, ""

    def try_again(self) -> None:
        """Open the session again: it may have a checkpoint by now."""
        self._opened = None

    def ask(self, finding: str, method: str, wanted: str | None) -> None:
        """Make all of the finding's maps in the list's order, once per method; ``wanted`` first."""
        kept = self.kept
        if kept is None or (wanted is None and (kept, finding, method) == self._asked):
            return
        missing: list[Candidate] = [
            candidate
            for candidate in kept.candidates[finding]
            if kept.found(method, candidate) is None and candidate.image not in kept.unreadable
        ]
        missing.sort(key=lambda candidate: candidate.image != wanted)
        candidates = missing or kept.candidates[finding][:1]
        # Another finding or method replaces the current one, which is then requested again.
        self._asked = (kept, finding, method)
        if candidates and (missing or (method, finding) not in kept.standing):
            self.failed = ""
            self._make(kept, candidates, method)

    @work(thread=True, exclusive=True, group="maps", description="make maps")
    def _make(self, kept: SessionMaps, candidates: Sequence[Candidate], method: str) -> None:
        worker = get_current_worker()
        done = 0
        finding = candidates[0].finding
        try:
            made = make_maps(
                kept,
                candidates,
                cast("Method", method),
                self.workspace.on_device,
                self._is_running,
                lambda: worker.is_cancelled,
            )
            for found, unreadable in made:
                if worker.is_cancelled:
                    return
                done += len(found)
                words = f"{done} of {len(candidates)} maps" if done < len(candidates) else ""
                self._keep(kept, found, unreadable, words)
            standing = standing_of(kept, finding, method)
        except StoppedError:
            return
        except (CxrError, OSError) as error:
            self._fail(str(error))
            return
        if standing is not None and not worker.is_cancelled:
            key = method, finding
            self.post_message(self.Did(lambda: kept.standing.__setitem__(key, standing)))

    def _keep(
        self,
        kept: SessionMaps,
        found: Sequence[FoundMap],
        unreadable: dict[str, str],
        under_way: str,
    ) -> None:
        def apply() -> None:
            kept.take(found)
            kept.unreadable.update(unreadable)
            self.under_way = under_way

        # The next batch may look for them before the message is processed.
        kept.take(found)
        self.post_message(self.Did(apply))

    def _fail(self, text: str) -> None:
        def apply() -> None:
            self.under_way = ""
            self.failed = text

        self.post_message(self.Did(apply))
        self.console.say(text)

    def open_image(self, kept: SessionMaps, path: Path) -> None:
        """Score an image by its path and list it; ``opened_image`` is then its name there."""
        self.under_way = f"scoring {path.name}"
        self._see(kept, lambda: path)

    def open_external(self, kept: SessionMaps, part: str, image: str) -> None:
        """The same with an image of ``external/NAME``, by its name in that data set."""
        self.under_way = f"scoring {image}"
        cache = self.workspace.cache
        self._see(kept, lambda: file_of(kept, cache, part, image))

    @work(thread=True, exclusive=True, group="given", description="score an image")
    def _see(self, kept: SessionMaps, find: Callable[[], Path]) -> None:
        try:
            seen = see(kept, find(), self.workspace.on_device, is_running=self._is_running())
        except (CxrError, OSError) as error:
            self._fail(str(error))
            return
        for note in seen.predictor.notes:
            self.console.say(note)

        def apply() -> None:
            image = kept.take_given(seen)
            if kept is self.kept:
                self.under_way, self.opened_image = "", image

        self.post_message(self.Did(apply))

    @work(thread=True, group="save", description="save overlays")
    def save(
        self, kept: SessionMaps, found: Sequence[FoundMap], opacity: float, threshold: float
    ) -> None:
        """Write PNG files into the session's ``cams/``."""
        worker = get_current_worker()
        try:
            files, faults = save_maps(kept, found, opacity, threshold, lambda: worker.is_cancelled)
        except OSError as error:
            self._fail(f"{kept.session.path / 'cams'} can't be written ({error.strerror})")
            return
        except CxrError as error:
            self._fail(str(error))
            return
        if files:
            where = str(files[0])
            if len(files) > 1:
                where = f"{len(files)} overlays in {files[0].parent}"
            self.console.say(f"saved: {where}")
        if faults:
            more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
            self._fail(f"not saved: {faults[0]}{more}")

    @work(thread=True, exclusive=True, group="cover", description="cover the lesion")
    def cover(self, kept: SessionMaps, found: FoundMap) -> None:
        """Drop of the logit with the box covered, and with an equal one elsewhere."""
        try:
            drop = cover(kept, found, self.workspace.on_device)
        except (CxrError, OSError) as error:
            self._fail(str(error))
            return
        key = found.candidate.image, found.candidate.finding
        self.post_message(self.Did(lambda: kept.drops.__setitem__(key, drop)))

    def localize(self, kept: SessionMaps, method: str) -> None:
        """Measure all boxed images of the test part, for the file and for Results."""
        self.under_way = "measuring"
        self._localize(kept, method)

    @work(thread=True, exclusive=True, group="localize", description="measure all boxed images")
    def _localize(self, kept: SessionMaps, method: str) -> None:
        worker = get_current_worker()

        def progress(what: str, done: int, total: int) -> None:
            if worker.is_cancelled:
                raise InterruptedError
            self.post_message(self.Did(lambda: self._tell(f"{what}: {done} of {total}")))

        try:
            report = localize_all(
                kept,
                cast("Method", method),
                self.workspace.on_device,
                self._is_running,
                progress,
                lambda: worker.is_cancelled,
            )
        except (InterruptedError, StoppedError):
            return
        except (CxrError, OSError) as error:
            self._fail(str(error))
            return
        lines = [*report["summary"], *report["warnings"]]
        self.post_message(self.Did(lambda: self._end_localizing(kept, lines)))

    def _tell(self, words: str) -> None:
        self.under_way = words

    def _end_localizing(self, kept: SessionMaps, lines: list[str]) -> None:
        if kept is self.kept:  # otherwise another is shown by now; the file is written anyway
            self.under_way, self.summary = "", lines

    def _is_running(self) -> bool:
        return self.workspace.running is not None
