"""Follows the draft's data set: read once, searched for images, redrawn on each change."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from textual import work
from textual.message import Message
from textual.worker import get_current_worker

from core.data.study.sources import phantom_folder
from core.data.study.survey import Picture, Survey, picture_of, read_survey, with_found_images
from core.errors import CxrError, StoppedError
from core.recipe import PhantomSettings, Recipe
from cxr_tui.console.background import Background
from cxr_tui.data.notes import ImageSearch
from cxr_tui.data.recent_data_sets import DataSet, remember


class Surveying(Background):
    """Reading, searching and drawing, each on a thread and each reporting with a message.

    The tables of a data set are read once; images are looked for after the first picture; a change
    of the draft costs one drawing.
    """

    class Read(Message):
        """The tables were read."""

        def __init__(self, data_set: DataSet, survey: Survey) -> None:
            super().__init__()
            self.data_set, self.survey = data_set, survey

    class Searched(Message):
        """Progress of the search for images; ``survey`` comes at its end."""

        def __init__(
            self, data_set: DataSet, search: ImageSearch, survey: Survey | None = None
        ) -> None:
            super().__init__()
            self.data_set, self.search, self.survey = data_set, search, survey

    class Drawn(Message):
        """A recipe's picture; ``refusal`` if it can't be drawn, ``changes`` that would mend it."""

        def __init__(
            self,
            recipe: Recipe,
            picture: Picture | None,
            refusal: str = "",
            changes: Sequence[str] = (),
        ) -> None:
            super().__init__()
            self.recipe, self.picture = recipe, picture
            self.refusal, self.changes = refusal, tuple(changes)

    class Told(Message):
        """What a thread is doing, or why it failed, and the changes that would mend it."""

        def __init__(
            self,
            data_set: DataSet,
            doing: str = "",
            refusal: str = "",
            changes: Sequence[str] = (),
        ) -> None:
            super().__init__()
            self.data_set, self.doing = data_set, doing
            self.refusal, self.changes = refusal, tuple(changes)

    def __init__(self) -> None:
        super().__init__()
        self.data_set: DataSet | None = None
        self._reading: object = None
        self.survey: Survey | None = None
        self.search = ImageSearch()
        self.picture: Picture | None = None
        self.doing = ""
        self.refusal = ""
        self._changes: tuple[str, ...] = ()
        self.is_drawing = False
        self._found: Survey | None = None
        self._asked_for: tuple[Recipe, Survey] | None = None

    def follow(self) -> bool:
        """Draw the draft's picture; True if it has another data set, to be read first."""
        data_set, reading = DataSet.of(self.workspace.draft), _reading_of(self.workspace.draft)
        if data_set == self.data_set and reading == self._reading:
            self._draw()
            return False
        self.data_set, self._reading = data_set, reading
        self.survey = self._found = self.picture = self._asked_for = None
        self.search = ImageSearch()
        self.doing = self.refusal = ""
        self._changes = ()
        if data_set.is_named and not self._is_unmade():
            self._read(self.workspace.draft, data_set)
        return True

    def read(self) -> None:
        """Read the data set; a synthetic one is created first if missing."""
        if self.data_set is not None and not self.doing:
            self.refusal = ""
            self._read(self.workspace.draft, self.data_set)

    def forget(self) -> None:
        """Read it again when the draft is followed next: its files may have changed."""
        self.data_set = None

    def _is_unmade(self) -> bool:
        draft = self.workspace.draft
        phantoms = [one.phantom for one in (draft.dataset, *draft.datasets) if one.phantom]
        return any(not phantom_folder(one, self.workspace.cache).is_dir() for one in phantoms)

    @work(thread=True, exclusive=True, group="read", description="read the tables")
    def _read(self, recipe: Recipe, data_set: DataSet) -> None:
        from core.data.phantom import write_phantom  # the image library: not for the first paint

        worker = get_current_worker()

        def make(settings: PhantomSettings, folder: Path) -> Path:
            def tell(done: int, total: int) -> None:
                if worker.is_cancelled:
                    raise StoppedError("the synthetic set is no longer needed")
                doing = f"drawing the synthetic set: {done:,} of {total:,} images"
                self.post_message(self.Told(data_set, doing))

            write_phantom(
                folder,
                patients=settings.patients,
                size_px=settings.size_px,
                seed=settings.seed,
                progress=tell,
            )
            return folder

        self.post_message(self.Told(data_set, "reading the label table"))
        try:
            survey = read_survey(recipe, self.workspace.cache, make_phantom=make)
        except (CxrError, OSError) as error:
            self.post_message(self.Told(data_set, "", str(error), _changes_of(error)))
            return
        self.post_message(self.Read(data_set, survey))

    def on_surveying_told(self, message: Told) -> None:
        """Store it."""
        if message.data_set != self.data_set:
            message.stop()
            return
        self.doing, self.refusal = message.doing, message.refusal
        self._changes = message.changes

    def on_surveying_read(self, message: Read) -> None:
        """Draw a first picture, and meanwhile look for the images."""
        if message.data_set != self.data_set:
            message.stop()
            return
        self.survey, self.doing, self.refusal = message.survey, "", ""
        self._changes = ()
        self.search = ImageSearch(in_table=len(message.survey.index.images))
        self._draw()
        self._look_for_images(message.survey, message.data_set)

    @work(thread=True, exclusive=True, group="search", description="look for images")
    def _look_for_images(self, survey: Survey, data_set: DataSet) -> None:
        worker = get_current_worker()
        in_table = len(survey.index.images)

        def tell(so_far: int) -> None:
            if worker.is_cancelled:
                raise StoppedError("another data set was opened")
            search = ImageSearch(so_far=so_far, in_table=in_table)
            self.post_message(self.Searched(data_set, search))

        try:
            remember(data_set)
        except OSError as error:
            self.log.warning(f"recent data sets can't be saved: {error}")
        survey.read_ahead()
        try:
            found = with_found_images(survey, self.workspace.cache, progress=tell)
        except (CxrError, OSError) as error:
            search = ImageSearch(
                "refused", in_table=in_table, refusal=str(error), changes=_changes_of(error)
            )
            self.post_message(self.Searched(data_set, search))
            return
        found.read_ahead()
        search = ImageSearch(
            "found",
            in_table=found.index.num_table_images,
            missing=found.index.missing_images or 0,
            extra=found.index.extra_images or 0,
            quarantined=found.quarantined,
        )
        self.post_message(self.Searched(data_set, search, found))

    def on_surveying_searched(self, message: Searched) -> None:
        """Draw it again if other images count now."""
        if message.data_set != self.data_set:
            message.stop()
            return
        self.search, self._found = message.search, message.survey
        self._draw()

    def _draw(self) -> None:
        """Draw the draft's picture, unless it is shown; one drawing at a time."""
        survey = self.survey_at_hand()
        recipe = self.workspace.draft
        if survey is None or self.is_drawing or self._asked_for == (recipe, survey):
            return
        self._asked_for = (recipe, survey)
        self.is_drawing = True
        self._draw_on_thread(recipe, survey)

    @property
    def changes(self) -> tuple[str, ...]:
        """Those of the recipe that would mend what is refused."""
        return self._changes or self.search.changes

    @property
    def found(self) -> Survey | None:
        """With the images that were found; None until the search for them is over."""
        return self._found

    def survey_at_hand(self) -> Survey | None:
        """Over the images found, if a run would use those; otherwise over the whole table."""
        found = self._found
        if found is None or (
            found.index.missing_images and not self.workspace.draft.dataset.partial
        ):
            return self.survey
        return found

    # Without a description Textual would format the arguments, arrays and all: 36 ms.
    @work(thread=True, group="draw", description="draw the parts")
    def _draw_on_thread(self, recipe: Recipe, survey: Survey) -> None:
        try:
            picture = picture_of(survey, recipe)
        except (CxrError, OSError) as error:
            self.post_message(self.Drawn(recipe, None, str(error), _changes_of(error)))
            return
        self.post_message(self.Drawn(recipe, picture))

    def on_surveying_drawn(self, message: Drawn) -> None:
        """Store it, and draw changes made meanwhile."""
        self.is_drawing = False
        if DataSet.of(message.recipe) == self.data_set:
            self.picture, self.refusal = message.picture, message.refusal
            self._changes = message.changes
        else:
            message.stop()
        self._draw()


def _changes_of(error: Exception) -> tuple[str, ...]:
    return error.changes if isinstance(error, CxrError) else ()


def _reading_of(recipe: Recipe) -> object:
    """What of a recipe decides how its label table is read."""
    dataset = recipe.dataset
    one = dataset.kind, dataset.views, dataset.image_from, dataset.patient_from, dataset.columns
    return recipe.datasets or (*one, recipe.labels)
