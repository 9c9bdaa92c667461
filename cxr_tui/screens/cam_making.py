"""What CAMs does on threads: open a session's network, make its maps, read and save images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from textual import work
from textual.message import Message
from textual.worker import get_current_worker

from core.errors import CxrError
from core.store.session import Session
from cxr_tui.screens.base import ConsoleScreen
from cxr_tui.session_maps import (
    SessionMaps,
    cover,
    full_image,
    localize_all,
    make_maps,
    open_maps,
    save_maps,
    standing_of,
)

if TYPE_CHECKING:
    from core.evaluation.candidates import Candidate
    from core.evaluation.found_maps import FoundMap
    from core.evaluation.gradcam import Method


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
        self.under_way = ""
        self.summary: list[str] = []
        self._opened: Session | None = None

    def on_cam_making_screen_did(self, message: Did) -> None:
        """Take it in, and show it."""
        if message.apply is not None:
            message.apply()
        if message.text:
            self.console.say(message.text)
        self.refresh_view()

    def open_session(self, session: Session) -> None:
        """Another session's maps; nothing where it is the one at hand."""
        if session != self._opened:
            self._opened, self.kept, self.problem, self.summary = session, None, "", []
            self.under_way = "loading the network"
            self._open(session)

    @work(thread=True, exclusive=True, group="open", description="open the session's network")
    def _open(self, session: Session) -> None:
        try:
            kept = open_maps(session, self.desk.cache, self.desk.device)
        except (CxrError, OSError) as error:
            text = str(error)
            self.post_message(self.Did(lambda: self._take(session, None, text)))
            return
        self.post_message(self.Did(lambda: self._take(session, kept, "")))

    def _take(self, session: Session, kept: SessionMaps | None, problem: str) -> None:
        if session == self._opened:
            self.kept, self.problem, self.under_way = kept, problem, ""

    def try_again(self) -> None:
        """Look at the session anew: it may have a checkpoint by now."""
        self._opened = None

    @work(thread=True, exclusive=True, group="maps", description="make maps")
    def make(self, kept: SessionMaps, candidates: Sequence[Candidate], method: str) -> None:
        """The maps of these, the first ones first; a new call takes the place of this one."""
        worker = get_current_worker()
        done = 0
        try:
            made = make_maps(
                kept,
                candidates,
                cast("Method", method),
                self._on_device,
                lambda: self.desk.running is not None,
            )
            for found, unreadable in made:
                if worker.is_cancelled:
                    return
                done += len(found)
                words = f"{done} of {len(candidates)} maps" if done < len(candidates) else ""
                self._keep(kept, found, unreadable, words)
            standing = standing_of(kept, candidates[0].finding, method)
        except (CxrError, OSError) as error:
            self._fail(str(error))
            return
        if standing is not None and not worker.is_cancelled:
            key = method, candidates[0].finding
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

        self.post_message(self.Did(apply, text))

    @work(thread=True, group="images", description="read an image")
    def read(self, kept: SessionMaps, image: str) -> None:
        """The image at its own resolution."""
        try:
            grey = full_image(kept, image)
        except (CxrError, OSError) as error:
            reason = str(error)
            self.post_message(self.Did(lambda: kept.unreadable.update({image: reason})))
            return
        self.post_message(self.Did(lambda: kept.take_image(image, grey)))

    @work(thread=True, group="save", description="save overlays")
    def save(
        self, kept: SessionMaps, found: Sequence[FoundMap], opacity: float, threshold: float
    ) -> None:
        """PNG files in the session's ``cams/``."""
        try:
            files = save_maps(kept, found, opacity, threshold)
        except CxrError as error:
            self._fail(str(error))
            return
        except OSError as error:
            self._fail(f"{kept.session.path / 'cams'} can't be written ({error.strerror})")
            return
        where = str(files[0]) if len(files) == 1 else f"{len(files)} overlays in {files[0].parent}"
        self.post_message(self.Did(text=f"saved: {where}"))

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
            report = localize_all(kept, cast("Method", method), self._on_device, progress)
        except InterruptedError:
            return
        except (CxrError, OSError) as error:
            self._fail(str(error))
            return
        lines = [*report["summary"], *report["warnings"]]
        self.post_message(self.Did(lambda: self._end_localizing(lines)))

    def _tell(self, words: str) -> None:
        self.under_way = words

    def _end_localizing(self, lines: list[str]) -> None:
        self.under_way, self.summary = "", lines

    def _on_device(self, work: Callable[[], Any]) -> Any:
        return self.desk.on_device(work)
