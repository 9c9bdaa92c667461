"""A door for notebooks: a session's tables as data frames, its figures, curves and maps.

    from core.frames import open_run, score

    run = open_run("sessions/20261129-125113-demo")
    run.figures("test")

Nothing here writes into the session. pandas is loaded when the first table is asked for.
``docs/python.md`` shows each call with what it gives; its examples are run as tests.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import platformdirs
from numpy.typing import NDArray

from core.errors import DataError
from core.evaluation.maps.gradcam import Method
from core.evaluation.maps.map_geometry import upsampled
from core.evaluation.maps.map_source import MapSource
from core.evaluation.part_scores import read_part_scores
from core.evaluation.predictions import Predictions, read_predictions
from core.evaluation.report import EvaluationContext, evaluate
from core.evaluation.score_table import (
    IMAGE_COLUMN,
    PATIENT_COLUMN,
    SCORE_PREFIX,
    UNKNOWN_PATIENT,
)
from core.events import EpochDone, Event, StepRecorded
from core.health.report import health_report_of_session
from core.store.session import Session
from core.store.sessions import open_session

if TYPE_CHECKING:
    from pandas import DataFrame

Part = Literal["val", "test"]
MEAN = "mean"
"""The row of ``figures`` and ``score`` that holds the mean over findings."""


@dataclass(frozen=True, eq=False)
class HeatMap:
    """Where the network sees a finding on one image.

    Attributes:
        image_SS: the network's input, uint8, S pixels a side.
        map_MM: evidence by cell of the network's last map, float32, 0 and above, on a scale of its
            own; all zero where nothing speaks for the finding.
        heat_SS: the same, bilinear over the input, 0 … 1; all zero without evidence.
        probability: of the finding, by the same pass.
        boxes_K4: x, y, width, height of the label table's boxes, in pixels of the input.
        peak: x, y of the map's highest point on the input, in pixels; None without evidence.
    """

    image_SS: NDArray[np.uint8]
    map_MM: NDArray[np.float32]
    heat_SS: NDArray[np.float32]
    probability: float
    boxes_K4: NDArray[np.float64]
    peak: tuple[float, float] | None


@dataclass(frozen=True, eq=False)
class Run:
    """A session, finished or under way; made by ``open_run``.

    Attributes:
        session: its folder and files.
        cache: the folder of decoded images; ``figures`` and ``heat_map`` read the data set there.
    """

    session: Session
    cache: Path
    _sources: dict[str, MapSource] = field(default_factory=dict)

    @cached_property
    def recipe(self) -> dict[str, Any]:
        """Every setting, by section."""
        return self.session.recipe.model_dump(mode="json")

    def steps(self) -> DataFrame:
        """Means since the last record, a row each; the index is the step, from 1.

        Columns: epoch, train_loss, learning_rate, gradient_norm, images_per_second, time (UTC). Of
        a step that was taken again after a resume, the last record stays.
        """
        names = ("epoch", "train_loss", "learning_rate", "gradient_norm", "images_per_second")
        return _of_events(self.session.events(), StepRecorded, "step", names)

    def epochs(self) -> DataFrame:
        """Losses and val AUROC of each epoch, a row each; the index is the epoch, from 1.

        Columns: step, train_loss, val_loss, mean_auroc, auroc_<Finding> (NaN where undefined),
        is_best, learning_rate, seconds, time (UTC).
        """
        losses = ("step", "train_loss", "val_loss", "mean_auroc", "auroc")
        names = (*losses, "is_best", "learning_rate", "seconds")
        return _of_events(self.session.milestones(), EpochDone, "epoch", names)

    def split(self) -> DataFrame:
        """Which image is in which part: columns Patient ID and split; the index is the image.

        Raises:
            DataError: the run has not drawn its parts yet.
        """
        import pandas as pd

        path = self.session.path / "split.csv"
        if not path.is_file():
            raise DataError("the run has not drawn its parts yet", where=path)
        return pd.read_csv(path, dtype={IMAGE_COLUMN: str, "split": str}).set_index(IMAGE_COLUMN)

    def predictions(self, part: Part = "test") -> DataFrame:
        """Labels and probabilities, a row an image; the index is the image.

        Columns: Patient ID (nullable integer), then <Finding> (1, 0, NaN where unknown) and
        prob_<Finding> (float64, every digit that the session keeps).

        Raises:
            DataError: there are none of this part yet.
        """
        return frame_of(read_predictions(self._predictions(part)))

    def report(self, part: Part = "test") -> dict[str, Any]:
        """Every figure of a part with intervals, notes and health, as ``evaluate --json`` has it.

        The label table is read again; it must be the one that the run saw.

        Raises:
            DataError: there are no predictions yet, or the table has changed.
        """
        return health_report_of_session(self.session, part, self.cache)

    def figures(self, part: Part = "test") -> DataFrame:
        """AUROC and the rest, a row a finding, ``mean`` last; see ``figures_of``.

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
        """Groups of images of like scores: mean_score, share_present (0 … 1), num_images.

        Raises:
            DataError: no predictions yet, no such finding, or no known label.
        """
        return self._drawn(self._curves(finding, part).calibration, finding)

    def maps(self) -> DataFrame:
        """cams.csv, a row a map that was saved; empty where none was.

        Coordinates and sizes are in pixels of the network's input; hit is True where the map's
        peak is in a box, and missing where the image has no box.
        """
        import pandas as pd

        from core.evaluation.maps.cam_table import COLUMNS

        path = self.session.path / "cams" / "cams.csv"
        return pd.read_csv(path) if path.is_file() else pd.DataFrame(columns=list(COLUMNS))

    def heat_map(
        self, image: str, finding: str, method: Method = "grad-cam", device: str = "auto"
    ) -> HeatMap:
        """The best checkpoint's map of one finding on one image of the data set.

        Args:
            image: its name in the label table.
            finding: one that the network was trained on.
            method: grad-cam, grad-cam++, layer-cam or cam; see ``core.evaluation.maps.gradcam``.
            device: auto, cpu, cuda, cuda:1, mps; the network stays there for the next call.

        Raises:
            DataError: no checkpoint yet, no such image, or it can't be read.
            UsageError: no such finding or device.
        """
        from core.evaluation.maps.candidates import candidate_of, known_finding
        from core.evaluation.maps.found_maps import maps_of

        if device not in self._sources:
            from core.evaluation.maps.map_source import open_map_source

            self._sources[device] = open_map_source(self.session, self.cache, device)
        source = self._sources[device]
        candidate = candidate_of(source, image, known_finding(source, finding))
        if candidate is None:
            raise DataError(
                f"no part has an image {image!r} that was scored",
                remedy="Name it as the label table does; a test image comes with the run's end.",
            )
        cache = source.cache([image])
        if image in cache.quarantined:
            raise DataError(f"can't be read ({cache.quarantined[image]})", where=image)
        ((found,),) = maps_of(source, cache, [candidate], method)
        return HeatMap(
            image_SS=cache.pixels(cache.rows_of([image]))[0],
            map_MM=found.map_MM,
            heat_SS=_spread(found.map_MM, found.size_px),
            probability=found.probability,
            boxes_K4=found.boxes_K4,
            peak=found.peak,
        )

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
            raise DataError(f"there is no finding {finding!r}", remedy=f"There are: {known}.")
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
    """Anybody's scores with intervals over patients; the figures of ``figures_of``.

    Args:
        predictions: a row an image, with columns <Finding> (1, 0, NaN unknown) and prob_<Finding>
            (any finite numbers that rank), as ``Run.predictions`` gives them. ``Patient ID`` is
            optional: without it every image counts as a patient of its own, and intervals come
            out too narrow where patients have several.
        bootstrap: draws of patients; 0 gives no intervals.
        seed: of the draws.

    Raises:
        DataError: a column is missing.
        RunFailedError: a score is not finite.
    """
    context = EvaluationContext(split="all", bootstrap=bootstrap, seed=seed)
    return figures_of(evaluate(predictions_of(predictions), context))


def figures_of(report: Mapping[str, Any]) -> DataFrame:
    """A report's figures, a row a finding and ``mean`` last; the index is the finding.

    Columns: positives, negatives, positive_patients, effective_positive_patients, prevalence,
    auroc, auroc_low, auroc_high, auprc, auprc_low, auprc_high, table_alone_auroc, threshold,
    sensitivity, specificity, ppv, npv (each with _low and _high). NaN is undefined; intervals are
    95 %, over patients (``docs/intervals.md``).
    """
    import pandas as pd

    rows = {name: _figures(entry) for name, entry in report["findings"].items()}
    low, high = report.get("mean_auroc_ci") or (None, None)
    rows[MEAN] = {
        "auroc": report["mean_auroc"],
        "auroc_low": low,
        "auroc_high": high,
        "auprc": report["mean_auprc"],
    }
    frame = pd.DataFrame.from_dict(rows, orient="index").astype("float64")
    frame.index.name = "finding"
    return frame


def frame_of(predictions: Predictions) -> DataFrame:
    """Predictions as a data frame, see ``Run.predictions``."""
    import pandas as pd

    patients = pd.Series(predictions.patients).astype("Int64")
    columns: dict[str, Any] = {PATIENT_COLUMN: patients.mask(patients == UNKNOWN_PATIENT).array}
    for column, finding in enumerate(predictions.findings):
        columns[finding] = predictions.labels_NF[:, column]
        columns[f"{SCORE_PREFIX}{finding}"] = predictions.scores_NF[:, column]
    return pd.DataFrame(columns, index=pd.Index(predictions.images, name=IMAGE_COLUMN))


def predictions_of(frame: DataFrame) -> Predictions:
    """The other way round: columns <Finding> and prob_<Finding>, and Patient ID where it is there.

    Raises:
        DataError: no scores, or scores without labels.
    """
    findings = [str(name)[len(SCORE_PREFIX) :] for name in frame if _is_score(name)]
    unlabelled = [name for name in findings if name not in frame]
    if not findings or unlabelled:
        missing = ", ".join(unlabelled) or f"{SCORE_PREFIX}<Finding>"
        raise DataError(
            f"there is no column {missing}",
            why="Scores can't be scored without labels, nor labels without scores.",
            remedy=f"Name labels <Finding> and scores {SCORE_PREFIX}<Finding>.",
        )
    rows = len(frame)
    patients = frame[PATIENT_COLUMN] if PATIENT_COLUMN in frame else np.arange(1, rows + 1)
    numbers, _ = _numbered(patients)
    return Predictions(
        images=np.asarray(frame.index.astype(str), dtype=object),
        patients=numbers,
        findings=tuple(findings),
        labels_NF=frame[findings].to_numpy(np.float32),
        scores_NF=frame[[f"{SCORE_PREFIX}{name}" for name in findings]].to_numpy(np.float64),
    )


def _is_score(name: object) -> bool:
    return isinstance(name, str) and name.startswith(SCORE_PREFIX)


def _numbered(patients: Any) -> tuple[NDArray[np.int64], Any]:
    """Any names of patients -> numbers; UNKNOWN_PATIENT where there is none."""
    import pandas as pd

    codes, names = pd.factorize(np.asarray(patients, dtype=object))
    return np.where(codes < 0, UNKNOWN_PATIENT, codes + 1).astype(np.int64), names


def _figures(entry: Mapping[str, Any]) -> dict[str, Any]:
    point = entry.get("operating_point") or {}
    counts = ("positives", "negatives", "positive_patients", "effective_positive_patients")
    row = {name: entry.get(name) for name in (*counts, "prevalence")}
    row |= _with_interval(entry, ("auroc", "auprc", "table_alone_auroc"))
    row["threshold"] = point.get("threshold")
    return row | _with_interval(point, ("sensitivity", "specificity", "ppv", "npv"))


def _with_interval(values: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name in names:
        low, high = values.get(f"{name}_ci") or (None, None)
        row |= {name: values.get(name), f"{name}_low": low, f"{name}_high": high}
    return row


def _of_events(
    events: Iterable[Event], kind: type[Event], index: str, names: Sequence[str]
) -> DataFrame:
    """Events of a kind, a row each under one of their fields; the last of equals stays."""
    import pandas as pd

    rows: dict[int, dict[str, Any]] = {}
    for event in events:
        if isinstance(event, kind):
            values = {item.name: getattr(event, item.name) for item in dataclasses.fields(event)}
            rows[values[index]] = _flat({name: values[name] for name in (*names, "time")})
    frame = pd.DataFrame.from_dict(rows, orient="index").sort_index()
    frame.index.name = index
    if rows:
        frame["time"] = pd.to_datetime(frame["time"], unit="s", utc=True)
    return frame


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            row |= {f"{name}_{key}": item for key, item in value.items()}
        else:
            row[name] = value
    return row


def _spread(map_MM: NDArray[np.float32], size_px: int) -> NDArray[np.float32]:
    """The map over the input, 0 … 1, as overlays and figures take it."""
    top = float(map_MM.max())
    if top <= 0:
        return np.zeros((size_px, size_px), np.float32)
    return upsampled(map_MM / top, size_px).astype(np.float32)
