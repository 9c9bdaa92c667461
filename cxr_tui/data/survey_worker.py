"""Following the draft's data set: read once, searched for images, drawn anew on each change."""

from __future__ import annotations

from pathlib import Path

from textual import on, work
from textual.message import Message
from textual.worker import get_current_worker

from core.data.study.sources import phantom_folder
from core.data.study.survey import Picture, Survey, picture_of, read_survey, with_found_images
from core.errors import CxrError, StoppedError
from core.recipe import PhantomSettings, Recipe
from cxr_tui.console.screen import ConsoleScreen
from cxr_tui.data.notes import ImageSearch
from cxr_tui.data.recent_data_sets import DataSet, remember


class SurveyingScreen(ConsoleScreen):
    """Reading, searching and drawing, each on a thread and each answering with a message.

    The tables of a data set are read once; images are looked for after the first picture; a
    change of the draft costs one drawing.
    """

    class Read(Message):
        """The tables were read."""

        def __init__(self, data_set: DataSet, survey: Survey) -> None:
            super().__init__()
            self.data_set, self.survey = data_set, survey

    class Searched(Message):
        """How far the search for images is; ``survey`` comes with its end."""

        def __init__(
            self, data_set: DataSet, search: ImageSearch, survey: Survey | None = None
        ) -> None:
            super().__init__()
            self.data_set, self.search, self.survey = data_set, search, survey

    class Drawn(Message):
        """A recipe's picture; ``refusal`` where it can't be drawn."""

        def __init__(self, recipe: Recipe, picture: Picture | None, refusal: str = "") -> None:
            super().__init__()
            self.recipe, self.picture, self.refusal = recipe, picture, refusal

    class Told(Message):
        """What a thread is doing, or why it could not."""

        def __init__(self, data_set: DataSet, doing: str = "", refusal: str = "") -> None:
            super().__init__()
            self.data_set, self.doing, self.refusal = data_set, doing, refusal

    def __init__(self) -> None:
        super().__init__()
        self._data_set: DataSet | None = None
        self._survey: Survey | None = None
        self._found: Survey | None = None
        self._search = ImageSearch()
        self._picture: Picture | None = None
        self._doing = ""
        self._refusal = ""
        self._asked_for: tuple[Recipe, Survey] | None = None
        self._is_drawing = False

    def show_survey(self) -> None:
        """Show what is known."""

    def show_notes(self) -> None:
        """Show what is known of the images."""

    def refresh_view(self) -> None:
        """Follow the draft, which other screens change too."""
        if not self.is_mounted:
            return
        data_set = DataSet.of(self.workspace.draft)
        if data_set != self._data_set:
            self._data_set = data_set
            self._survey = self._found = self._picture = self._asked_for = None
            self._search = ImageSearch()
            self._doing = self._refusal = ""
            if data_set.is_named and not self._is_unmade():
                self._read(self.workspace.draft, data_set)
            self.show_survey()
        else:
            self._draw()

    def _is_unmade(self) -> bool:
        phantom = self.workspace.draft.dataset.phantom
        return phantom is not None and not phantom_folder(phantom, self.workspace.cache).is_dir()

    @work(thread=True, exclusive=True, group="read", description="read the tables")
    def _read(self, recipe: Recipe, data_set: DataSet) -> None:
        from core.data.phantom import write_phantom  # the image library: not for the first paint

        worker = get_current_worker()

        def make(settings: PhantomSettings, folder: Path) -> Path:
            def tell(done: int, total: int) -> None:
                if worker.is_cancelled:
                    raise StoppedError("the synthetic set is not wanted any more")
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
            self.post_message(self.Told(data_set, refusal=str(error)))
            return
        self.post_message(self.Read(data_set, survey))

    @on(Told)
    def _on_told(self, message: Told) -> None:
        if message.data_set == self._data_set:
            self._doing, self._refusal = message.doing, message.refusal
            self.show_survey()

    @on(Read)
    def _on_read(self, message: Read) -> None:
        if message.data_set != self._data_set:
            return
        self._survey, self._doing, self._refusal = message.survey, "", ""
        self._search = ImageSearch(in_table=len(message.survey.index.images))
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
            self.log.warning(f"recent data sets can't be kept: {error}")
        survey.read_ahead()
        try:
            found = with_found_images(survey, self.workspace.cache, progress=tell)
        except (CxrError, OSError) as error:
            search = ImageSearch("refused", in_table=in_table, refusal=str(error))
            self.post_message(self.Searched(data_set, search))
            return
        found.read_ahead()
        search = ImageSearch(
            "found",
            in_table=in_table,
            missing=found.index.missing_images or 0,
            extra=found.index.extra_images or 0,
            quarantined=found.quarantined,
        )
        self.post_message(self.Searched(data_set, search, found))

    @on(Searched)
    def _on_searched(self, message: Searched) -> None:
        if message.data_set != self._data_set:
            return
        self._search, self._found = message.search, message.survey
        self._draw()
        self.show_notes()

    def _draw(self) -> None:
        """Draw what the draft asks for, unless that is shown; one drawing at a time."""
        survey = self._survey_at_hand()
        recipe = self.workspace.draft
        if survey is None or self._is_drawing or self._asked_for == (recipe, survey):
            return
        self._asked_for = (recipe, survey)
        self._is_drawing = True
        self._draw_on_thread(recipe, survey)

    def _survey_at_hand(self) -> Survey | None:
        """Over the images that are there, where a run would be; over the whole table otherwise."""
        found = self._found
        if found is None or (
            found.index.missing_images and not self.workspace.draft.dataset.partial
        ):
            return self._survey
        return found

    # Without a description Textual would write out the arguments, arrays and all: 36 ms.
    @work(thread=True, group="draw", description="draw the parts")
    def _draw_on_thread(self, recipe: Recipe, survey: Survey) -> None:
        try:
            picture = picture_of(survey, recipe)
        except (CxrError, OSError) as error:
            self.post_message(self.Drawn(recipe, None, str(error)))
            return
        self.post_message(self.Drawn(recipe, picture))

    @on(Drawn)
    def _on_drawn(self, message: Drawn) -> None:
        self._is_drawing = False
        if DataSet.of(message.recipe) == self._data_set:
            self._picture, self._refusal = message.picture, message.refusal
            self.show_survey()
        self._draw()  # what was changed while this was drawn
