"""The console's screens by mode; all but the first are imported when first shown."""

from __future__ import annotations

from collections.abc import Callable

from textual.screen import Screen

from cxr_tui.sessions.screen import SessionsScreen


def _data() -> Screen[None]:
    from cxr_tui.data.screen import DataScreen

    return DataScreen()


def _recipe() -> Screen[None]:
    from cxr_tui.recipe.screen import RecipeScreen

    return RecipeScreen()


def _training() -> Screen[None]:
    from cxr_tui.training.screen import TrainingScreen

    return TrainingScreen()


def _results() -> Screen[None]:
    from cxr_tui.results.screen import ResultsScreen

    return ResultsScreen()


def _cams() -> Screen[None]:
    from cxr_tui.cams.screen import CamsScreen

    return CamsScreen()


MODES: dict[str, Callable[[], Screen[None]]] = {
    "sessions": SessionsScreen,
    "data": _data,
    "recipe": _recipe,
    "training": _training,
    "results": _results,
    "cams": _cams,
}
