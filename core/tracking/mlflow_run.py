"""One run in MLflow: in a SQLite file beside the sessions, or on the user's server."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from core.recipe import Recipe
from core.recipe_toml import flat_values
from core.report_shape import PartReport
from core.store.files import alone_with
from core.tracking.telling import figures_markdown

if TYPE_CHECKING:
    from mlflow import MlflowClient

ADDRESS_VARIABLE = "MLFLOW_TRACKING_URI"
STORE_FILE = "mlflow.db"
_EXPERIMENT = "cxr-tui"
_STATES = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}
_SESSION_TAG = "cxr-tui.session"
_NOT_IN_NAMES = re.compile(r"[^\w\-. :/]")
_MOST_METRICS, _MOST_PARAMETERS, _LONGEST_VALUE = 1000, 100, 6000
"""MLflow's own limits of one request."""

_SETTINGS = {
    # A run tells nobody but the tracker that was asked for.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_CONFIGURE_LOGGING": "false",
    # Its default is to try for many minutes, which no end of a run should wait for.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}


class MlflowRun:
    """A run of MLflow, new or continued.

    Args:
        folder: has the SQLite file if no server is named.
        recipe: its keys are the parameters.
        name: the session's.
        run_id: of the run that this session had before; '' if none.
        began: when the session was made, in seconds since 1970.
    """

    def __init__(self, folder: Path, recipe: Recipe, name: str, run_id: str, began: float) -> None:
        self._client = _client(folder)
        known = run_id if run_id and self._has(run_id) else ""
        self.is_new = not known
        self._metrics: list[tuple[str, float, int, int]] = []
        if known:
            self.run_id = known
            self._client.update_run(known, status="RUNNING")
            return
        with alone_with(folder / f"{STORE_FILE}.lock"):
            experiment = _experiment(self._client, folder)
        tags = {_SESSION_TAG: name, "mlflow.source.name": "cxr-tui"}
        made = self._client.create_run(experiment, int(1000 * began), tags, run_name=name)
        self.run_id = made.info.run_id
        self._parameters(recipe)

    def scalars(self, time: float, step: int, values: Mapping[str, float]) -> None:
        """Points of curves, sent by ``flush``."""
        milliseconds = int(1000 * time)
        self._metrics += [
            (_NOT_IN_NAMES.sub("_", name), value, milliseconds, step)
            for name, value in values.items()
        ]

    def drop_after(self, time: float, step: int) -> None:
        """MLflow can't take back a point: what was sent stays, beside the same step's new one."""
        del time
        self._metrics = [metric for metric in self._metrics if metric[-1] <= step]
        self._client.set_tag(self.run_id, "cxr-tui.resumed_from_step", step)

    def table(self, time: float, step: int, report: PartReport) -> None:
        """The test figures, as an artifact in Markdown."""
        del time, step
        self._client.log_text(self.run_id, figures_markdown(report) + "\n", "test-figures.md")

    def picture(self, time: float, step: int, png: Path) -> None:
        """An overlay, as an artifact."""
        del time, step
        self._client.log_artifact(self.run_id, str(png), "overlays")

    def end(self, time: float, state: str) -> None:
        """Set the run's status."""
        self._client.set_terminated(self.run_id, _STATES[state], int(1000 * time))

    def flush(self) -> None:
        """Send the points, as many at once as a request takes."""
        from mlflow.entities import Metric

        metrics, self._metrics = self._metrics, []
        for start in range(0, len(metrics), _MOST_METRICS):
            some = [Metric(*metric) for metric in metrics[start : start + _MOST_METRICS]]
            self._client.log_batch(self.run_id, metrics=some)

    def close(self) -> None:
        """Nothing is open: each request is its own."""

    def _has(self, run_id: str) -> bool:
        from mlflow.exceptions import MlflowException

        try:
            return bool(self._client.get_run(run_id).info.lifecycle_stage == "active")
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return False  # another store, or somebody deleted it

    def _parameters(self, recipe: Recipe) -> None:
        from mlflow.entities import Param

        told = [
            Param(key, str(value)[:_LONGEST_VALUE]) for key, value in flat_values(recipe).items()
        ]
        for start in range(0, len(told), _MOST_PARAMETERS):
            self._client.log_batch(self.run_id, params=told[start : start + _MOST_PARAMETERS])


def has_run(folder: Path, session: str) -> bool:
    """Whether the store has a run of a session of this name."""
    client = _client(folder)
    found = client.get_experiment_by_name(_experiment_name())
    if found is None:
        return False
    quoted = session.replace("'", "")  # no session's name has one
    wanted = f"tags.`{_SESSION_TAG}` = '{quoted}'"
    return len(client.search_runs([found.experiment_id], wanted, max_results=1)) > 0


def store_address(folder: Path) -> str:
    """The server that the user's environment names, or the SQLite file in the folder."""
    return os.environ.get(ADDRESS_VARIABLE) or f"sqlite:///{folder.resolve() / STORE_FILE}"


def _client(folder: Path) -> MlflowClient:
    """A client of the store, which is made if it is our own file."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    for name in ("mlflow", "alembic"):  # their lines would be drawn across the screen
        logging.getLogger(name).setLevel(logging.ERROR)
    from mlflow import MlflowClient

    with alone_with(folder / f"{STORE_FILE}.lock"):  # two runs at once make its tables once
        client = MlflowClient(store_address(folder))
        client.get_experiment_by_name(_experiment_name())
    return client


def _experiment_name() -> str:
    return os.environ.get("MLFLOW_EXPERIMENT_NAME") or _EXPERIMENT


def _experiment(client: MlflowClient, folder: Path) -> str:
    found = client.get_experiment_by_name(_experiment_name())
    if found is not None:
        return str(found.experiment_id)
    is_own = not os.environ.get(ADDRESS_VARIABLE)
    # Without one, artifacts would go to ./mlruns, wherever the run was started.
    place = (folder.resolve() / "mlflow-artifacts").as_uri() if is_own else None
    return str(client.create_experiment(_experiment_name(), artifact_location=place))
