"""For notebooks: a session's tables as data frames, its figures, curves and maps.

    from core.frames import open_run, score

    run = open_run("sessions/20261129-125113-demo")
    run.figures("test")

Nothing here writes into the session. pandas is loaded when the first table is requested.
``docs/python.md`` shows each call with its result; its examples are run as tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import platformdirs

from core.errors import DataError
from core.evaluation.comparing.comparison_frame import compare
from core.evaluation.figure_frame import figures_of
from core.evaluation.maps.cam_table import read_maps
from core.evaluation.maps.heat_map import HeatMap, heat_map
from core.evaluation.maps.map_source import MapSource, open_map_source
from core.evaluation.maps.methods import Method
from core.evaluation.part_report import study_of_session
from core.evaluation.part_scores import read_part_scores
from core.evaluation.predicting.guard.guard_source import with_guard
from core.evaluation.predicting.prediction_frame import prediction_frame
from core.evaluation.predicting.predictor import Predictor, open_predictor
from core.evaluation.predictions import frame_of, predictions_of, read_predictions
from core.evaluation.report import EvaluationContext, evaluate
from core.evaluation.score_table import IMAGE_COLUMN, PATIENT_COLUMN
from core.events import EpochDone, Event, StepRecorded
from core.health.report import health_report_of_session
from core.store.csv_frames import read_frame
from core.store.session import Session
from core.store.sessions import open_session

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = [
    "HeatMap",
    "Run",
    "compare",
    "figures_of",
    "frame_of",
    "open_run",
    "predictions_of",
    "score",
]

Part = Literal["val", "test"]


@dataclass(frozen=True, eq=False)
class Run:
    """A session, finished or running; made by ``open_run``.

    Attributes:
        session: its folder and files.
        cache: the folder of decoded images; ``figures`` and ``heat_map`` read the data set there.
    """

    session: Session
    cache: Path
    _sources: dict[str, MapSource] = field(default_factory=dict)
    _predictors: dict[str, Predictor] = field(default_factory=dict)

    @cached_property
    def recipe(self) -> dict[str, Any]:
        """All settings, by section."""
        return self.session.recipe.model_dump(mode="json")

    def steps(self) -> DataFrame:
        """Means since the last record, one row each; the index is the step, from 1.

        Columns: epoch, train_loss, learning_rate, gradient_norm, images_per_second, time (UTC). If
        a step was taken again after a resume, its last record is used.
        """
        names = ("epoch", "train_loss", "learning_rate", "gradient_norm", "images_per_second")
        frame = _of_events(self.session.events(), StepRecorded, "step", names)
        return frame.astype({"gradient_norm": "float64"})

    def epochs(self) -> DataFrame:
        """Losses and val AUROC, one row per epoch; the index is the epoch, from 1.

        Columns: step, train_loss, val_loss, mean_auroc, is_best, learning_rate, seconds, time
        (UTC), auroc_<Finding> (NaN where undefined).
        """
        import pandas as pd

        losses = ("step", "train_loss", "val_loss", "mean_auroc")
        names = (*losses, "is_best", "learning_rate", "seconds", "auroc")
        frame = _of_events(self.session.milestones(), EpochDone, "epoch", names)
        auroc = pd.DataFrame([*frame.pop("auroc")], frame.index, dtype="float64")
        return frame.astype({"mean_auroc": "float64"}).join(auroc.add_prefix("auroc_"))

    def split(self) -> DataFrame:
        """Which image is in which part: columns Patient ID and split; the index is the image.

        Raises:
            DataError: the run has not drawn its parts yet.
        """
        path = self.session.path / "split.csv"
        if not path.is_file():
            raise DataError("the run has not drawn its parts yet", where=path)
        kinds = {IMAGE_COLUMN: str, PATIENT_COLUMN: "int64", "split": str}
        return read_frame(path, dtype=kinds).set_index(IMAGE_COLUMN)

    def labels(self) -> DataFrame:
        """The label table, one row per image; see ``LabelTable.frame``.

        It is read again, and must be the one that the run used.

        Raises:
            DataError: it has changed.
        """
        return study_of_session(self.session, self.cache).index.table.frame()

    def predictions(self, part: Part = "test") -> DataFrame:
        """Labels and probabilities, one row per image; the index is the image.

        Columns: Patient ID (nullable integer), then <Finding> (1, 0, NaN if unknown) and
        prob_<Finding> (float64, with all digits that the session saves).

        Raises:
            DataError: there are none of this part yet.
        """
        return frame_of(read_predictions(self._predictions(part)))

    def report(self, part: Part = "test") -> dict[str, Any]:
        """Every figure of a part with intervals, notes and health, as in ``evaluate --json``.

        The label table is read again; it must be the one that the run used.

        Raises:
            DataError: there are no predictions yet, or the table has changed.
        """
        return health_report_of_session(self.session, part, self.cache)

    def figures(self, part: Part = "test") -> DataFrame:
        """AUROC and other figures, one row per finding, ``mean`` last; see ``figures_of``.

        Raises:
            DataError: see ``report``.
        """
        return figures_of(self.report(part))

    def roc(self, finding: str, part: Part = "test") -> DataFrame:
        """The ROC curve: columns false_positive_rate and sensitivity, both 0 … 1.

        Raises:
            DataError: no predictions yet, no such finding, or only one class among its labels.
        """
        curve = self._curves(finding, part).roc
        return self._drawn(curve, finding)

    def calibration(self, finding: str, part: Part = "test") -> DataFrame:
        """Groups of images with similar scores: mean_score, share_present (0 … 1), num_images.

        Raises:
            DataError: no predictions yet, no such finding, or no known label.
        """
        return self._drawn(self._curves(finding, part).calibration, finding)

    def maps(self) -> DataFrame:
        """The saved maps; see ``core.evaluation.maps.cam_table.read_maps``."""
        return read_maps(self.session.path / "cams" / "cams.csv")

    def heat_map(
        self, image: str, finding: str, method: Method = "grad-cam", device: str = "auto"
    ) -> HeatMap:
        """The best checkpoint's map of one finding in one image of the data set.

        Args:
            image: its name in the label table.
            finding: one that the network was trained on.
            method: grad-cam, grad-cam++, layer-cam or cam; see ``core.evaluation.maps.gradcam``.
            device: auto, cpu, cuda, cuda:1, mps; the network stays there for the next call.

        Raises:
            DataError: no checkpoint yet, no such image, or it can't be read.
            UsageError: no such finding or device.
        """
        if device not in self._sources:
            self._sources[device] = open_map_source(self.session, self.cache, device)
        return heat_map(self._sources[device], image, finding, method)

    def predict(
        self, images: str | Path | Iterable[str | Path], *, device: str = "auto"
    ) -> DataFrame:
        """The best checkpoint's probabilities for any images; labels and tables are not needed.

        Args:
            images: files, folders, archives, or one of them; see ``docs/predict.md``.
            device: as for ``heat_map``; the network stays there for the next call.

        Returns:
            One row per image, in order; the index is the file. Columns: digest, prob_<Finding>
            (float64), call_<Finding> (1, 0; nullable), flags, error. An image that can't be read
            has an error, and NaN.

        Raises:
            UntrainedError: there is no checkpoint yet.
            UsageError: no such device.
        """
        if device not in self._predictors:
            predictor = open_predictor(self.session, device)
            self._predictors[device] = with_guard(predictor, self.cache)
        given = [images] if isinstance(images, str | Path) else images
        return prediction_frame(self._predictors[device], given)

    def _predictions(self, part: str) -> Path:
        path = self.session.predictions / f"{part}.csv"
        if not path.is_file():
            raise DataError(f"there are no predictions for the {part} part yet", where=path)
        return path

    def _curves(self, finding: str, part: str) -> Any:
        self._predictions(part)
        curves = read_part_scores(self.session, part).curves
        if finding not in curves:
            known = ", ".join(curves)
            raise DataError(f"there is no finding {finding!r}", remedy=f"Findings are {known}.")
        return curves[finding]

    def _drawn(self, curve: object, finding: str) -> DataFrame:
        import pandas as pd

        if curve is None:
            raise DataError(f"{finding}: a curve needs positive and negative images")
        return pd.DataFrame(vars(curve))


def open_run(session: str | Path, *, cache: str | Path | None = None) -> Run:
    """Open a session by its folder, or by its name under ``sessions/``.

    Args:
        session: the folder, or the name.
        cache: as with ``--cache``; None: the user's cache folder.

    Raises:
        SessionError: there is none.
    """
    folder = Path(cache) if cache is not None else platformdirs.user_cache_path("cxr-tui")
    return Run(open_session(session, Path("sessions")), folder.absolute())


def score(predictions: DataFrame, *, bootstrap: int = 5000, seed: int = 0) -> DataFrame:
    """Scores from any source, with intervals over patients; the figures of ``figures_of``.

    Args:
        predictions: one row per image, with columns <Finding> (1, 0, NaN unknown) and
            prob_<Finding> (any finite numbers that rank), as from ``Run.predictions``. ``Patient
            ID`` is optional: without it every image counts as a patient of its own, and intervals
            are too narrow if patients have several.
        bootstrap: draws of patients; 0 gives no intervals.
        seed: of the draws.

    Raises:
        DataError: a column is missing.
        RunFailedError: a score is not finite.
    """
    context = EvaluationContext(split="all", bootstrap=bootstrap, seed=seed)
    return figures_of(evaluate(predictions_of(predictions), context))


def _of_events(
    events: Iterable[Event], kind: type[Event], index: str, names: Sequence[str]
) -> DataFrame:
    """Events of a kind, one row each, indexed by one of their fields; the last duplicate is
    kept."""
    import pandas as pd

    wanted = (index, *names, "time")
    rows = [
        {name: getattr(event, name) for name in wanted}
        for event in events
        if isinstance(event, kind)
    ]
    frame = (
        pd.DataFrame(rows, columns=wanted)
        .drop_duplicates(index, keep="last")
        .set_index(index)
        .sort_index()
    )
    return frame.assign(time=pd.to_datetime(frame["time"], unit="s", utc=True))
