"""What CAMs does on threads: open a session's network, make its maps, read and save images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from textual import work
from textual.message import Message
from textual.worker import get_current_worker

from core.errors import CxrError, StoppedError, UntrainedError
from core.store.session import Session
from cxr_tui.cams.session_maps import (
    SessionMaps,
    cover,
    full_image,
    localize_all,
    make_maps,
    open_maps,
    save_maps,
    standing_of,
)
from cxr_tui.console.screen import ConsoleScreen

if TYPE_CHECKING:
    from core.evaluation.maps.candidates import Candidate
    from core.evaluation.maps.found_maps import FoundMap
    from core.evaluation.maps.gradcam import Method
    from core.evaluation.maps.overlay import Grey


class CamMakingScreen(ConsoleScreen):
    """Every result comes back as a message: what was done to the maps kept, on the painting side.

    Subclasses show them by ``refresh_view``.
    """

    class Did(Message):
        """Something was done; ``apply`` takes it into what is kept, ``text`` is to be said."""

        def __init__(self, apply: Callable[[], None] | None = None, text: str = "") -> None:
            super().__init__()
            self.apply, self.text = apply, text

    def __init__(self) -> None:
        super().__init__()
        self.kept: SessionMaps | None = None
        self.problem = ""
        self.is_untrained = False
        self.under_way = ""
        self.failed = ""
        self.summary: list[str] = []
        self.being_read: set[str] = set()
        self._opened: tuple[Session, tuple[object, ...]] | None = None

    def on_cam_making_screen_did(self, message: Did) -> None:
        """Take it in, and show it."""
        if message.apply is not None:
            message.apply()
        if message.text:
            self.console.say(message.text)
        self.refresh_view()

    def open_session(self, session: Session, seen: tuple[object, ...]) -> None:
        """The session's maps; nothing where they are at hand, of the same network and figures.

        ``seen`` is what the maps depend on: while it stays the same they do.
        """
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
        """Look at the session anew: it may have a checkpoint by now."""
        self._opened = None

    @work(thread=True, exclusive=True, group="maps", description="make maps")
    def make(self, kept: SessionMaps, candidates: Sequence[Candidate], method: str) -> None:
        """The maps of these, the first ones first; a new call takes the place of this one."""
        worker = get_current_worker()
        done = 0
        finding = candidates[0].finding
        try:
            made = make_maps(
                kept,
                candidates,
                cast("Method", method),
                self._on_device,
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

        # Before the message is dealt with the next batch may look for them.
        kept.take(found)
        self.post_message(self.Did(apply))

    def _fail(self, text: str) -> None:
        def apply() -> None:
            self.under_way = ""
            self.failed = text

        self.post_message(self.Did(apply, text))

    @work(thread=True, exclusive=True, group="images", description="read an image")
    def read(self, kept: SessionMaps, image: str) -> None:
        """The image at its own resolution."""
        try:
            grey = full_image(kept, image)
        except (CxrError, OSError) as error:
            reason = str(error)
            self.post_message(self.Did(lambda: self._end_reading(kept, image, None, reason)))
            return
        self.post_message(self.Did(lambda: self._end_reading(kept, image, grey, "")))

    def _end_reading(self, kept: SessionMaps, image: str, grey: Grey | None, reason: str) -> None:
        self.being_read.discard(image)
        if grey is None:
            kept.unreadable[image] = reason
        else:
            kept.take_image(image, grey)

    @work(thread=True, group="save", description="save overlays")
    def save(
        self, kept: SessionMaps, found: Sequence[FoundMap], opacity: float, threshold: float
    ) -> None:
        """PNG files in the session's ``cams/``."""
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
            self.post_message(self.Did(text=f"saved: {where}"))
        if faults:
            more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
            self._fail(f"not saved: {faults[0]}{more}")

    @work(thread=True, exclusive=True, group="cover", description="cover the lesion")
    def cover(self, kept: SessionMaps, found: FoundMap) -> None:
        """The fall of the logit with the box covered, and with an equal one elsewhere."""
        try:
            drop = cover(kept, found, self._on_device)
        except (CxrError, OSError) as error:
            self._fail(str(error))
            return
        key = found.candidate.image, found.candidate.finding
        self.post_message(self.Did(lambda: kept.drops.__setitem__(key, drop)))

    @work(thread=True, exclusive=True, group="localize", description="measure all boxed images")
    def localize(self, kept: SessionMaps, method: str) -> None:
        """All boxed images of the test part, for the file and for Results."""
        worker = get_current_worker()

        def progress(what: str, done: int, total: int) -> None:
            if worker.is_cancelled:
                raise InterruptedError
            self.post_message(self.Did(lambda: self._tell(f"{what}: {done} of {total}")))

        try:
            report = localize_all(
                kept,
                cast("Method", method),
                self._on_device,
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
        if (
            kept is self.kept
        ):  # else another session is shown by now; the file is there all the same
            self.under_way, self.summary = "", lines

    def _is_running(self) -> bool:
        return self.workspace.running is not None

    def _on_device(self, work: Callable[[], Any]) -> Any:
        return self.workspace.on_device(work)
