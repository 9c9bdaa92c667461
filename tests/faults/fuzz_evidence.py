"""The doors of what is said about runs: comparison, report, recalibration, ledger, queue, search,
and the user's own settings."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from fuzz_mutations import Step, mutated

from core.document.report import Format, write_report
from core.evaluation.calibrating.kept_recalibration import (
    FILE,
    recalibration_json,
    recalibration_of,
)
from core.evaluation.calibrating.recalibration import fit_recalibration
from core.evaluation.comparing.compare import compare_named
from core.evaluation.predictions import Predictions, write_predictions
from core.evaluation.report import EvaluationContext, evaluate
from core.recipe_toml import load_recipe, recipe_toml
from core.search.space import read_space, shipped_spaces, with_values
from core.store.ledger import LEDGER, look_at, part_of_images
from core.store.queue.queue import Queue
from core.store.sessions import create_session
from cxr_tui.config import config_template, user_config
from cxr_tui.reports.comparison_table import print_comparison

_IMAGES, _FINDINGS = 60, ("Mass", "Nodule")
_FORMS: tuple[Format, ...] = ("markdown", "latex", "markdown", "latex", "html")


class EvidenceDoors:
    """Each kind's door, over files in one folder."""

    def __init__(self, folder: Path, phantom: Path) -> None:
        self._folder, self._cache = folder, folder / "cache"
        self._sessions = folder / "evidence"
        keys = {
            "dataset.phantom": "none",
            "dataset.images": phantom,
            "dataset.findings": '["Mass", "Nodule"]',
            "evaluate.recalibrate": "platt",
        }
        recipe = load_recipe("demo", [f"{key}={value}" for key, value in keys.items()])
        self._recipe = recipe
        self._session = create_session(self._sessions, recipe, "told")
        test, val = _scored(1), _scored(2)
        write_predictions(self._session.predictions / "val.csv", val)
        write_predictions(folder / "other.csv", _scored(3))
        self._recalibration = self._session.path / FILE
        self.corpus: dict[str, list[bytes]] = {
            "compared": [_bytes_of(test, folder / "one.csv")],
            "reports": [_report(test, val)],
            "small files": [b""],  # made by its door
        }
        self._queue = Queue(self._sessions)
        self._entry = self._queue.add(recipe, "later").path
        self._config = folder / "config.toml"
        os.environ["CXR_TUI_CONFIG"] = str(self._config)
        self._small: dict[str, tuple[bytes, Callable[[bytes], object]]] = {
            "ledger": (_ledger(self._sessions), self._of_ledger),
            "entry": ((self._entry / "entry.json").read_bytes(), self._of_entry),
            "its recipe": (recipe_toml(recipe).encode(), self._of_queued_recipe),
            "recalibration": (_fitted(val), self._of_recalibration),
            "space": (next(iter(shipped_spaces().values())).encode(), self._of_space),
            "config": (_settings(), self._of_config),
        }

    def compared(self, content: bytes, variant: int) -> None:
        one = self._folder / "one.csv"
        one.write_bytes(content)
        names = [str(one), str(self._folder / "other.csv")]
        report = compare_named(
            names, sessions=self._sessions, common=variant % 2 == 0, margin=0.01, draws=20
        )
        json.dumps(report, allow_nan=False)
        if variant % 3 == 0:
            with contextlib.redirect_stdout(io.StringIO()):
                print_comparison(report)

    def reports(self, content: bytes, variant: int) -> None:
        (self._session.path / "evaluation").mkdir(exist_ok=True)
        (self._session.path / "evaluation" / "test.json").write_bytes(content)
        form = _FORMS[variant % len(_FORMS)]
        written = self._sessions / "report"  # beside it, its folder is synced
        write_report([self._session], written, self._cache, form, with_images=False)
        assert "<script" not in written.read_text("utf-8").lower()

    def small_files(self, steps: list[Step], variant: int) -> Callable[[], object]:
        """Each comes in by a door of its own."""
        content, enter = list(self._small.values())[variant % len(self._small)]
        others = [other for other, _ in self._small.values()]
        return lambda: enter(mutated(content, steps, others))

    def _of_ledger(self, content: bytes) -> None:
        (self._sessions / LEDGER).write_bytes(content)
        looks = look_at(self._sessions, "x", part_of_images(["a.png"]), "fuzz")
        json.dumps(looks.as_json())

    def _of_entry(self, content: bytes) -> None:
        (self._entry / "entry.json").write_bytes(content)
        for entry in self._queue.entries():
            json.dumps([entry.number, entry.fault])

    def _of_queued_recipe(self, content: bytes) -> None:
        (self._entry / "recipe.toml").write_bytes(content)
        assert len(self._queue.entries()) <= 1

    def _of_recalibration(self, content: bytes) -> None:
        self._recalibration.parent.mkdir(exist_ok=True)
        self._recalibration.write_bytes(content)
        found = recalibration_of(self._session)
        if found is not None:
            found.predictions(_scored(4))

    def _of_space(self, content: bytes) -> None:
        path = self._folder / "space.toml"
        path.write_bytes(content)
        space = read_space(str(path), self._recipe)
        for one in space.dimensions:
            with_values(self._recipe, {one.key: one.choices[0] if one.choices else one.low}, "x")

    def _of_config(self, content: bytes) -> None:
        self._config.write_bytes(content)
        user_config()


def _scored(seed: int) -> Predictions:
    rng = np.random.default_rng(seed)
    labels_NF = (np.random.default_rng(0).random((_IMAGES, 2)) < 0.4).astype(np.float32)
    scores_NF = np.clip(0.3 + 0.2 * labels_NF + rng.normal(0, 0.15, labels_NF.shape), 0.01, 0.99)
    names = np.array([f"{row:08d}_000.png" for row in range(_IMAGES)], dtype=object)
    return Predictions(names, np.arange(_IMAGES) // 2 + 1, _FINDINGS, labels_NF, scores_NF)


def _bytes_of(predictions: Predictions, path: Path) -> bytes:
    write_predictions(path, predictions)
    return path.read_bytes()


def _report(test: Predictions, val: Predictions) -> bytes:
    return json.dumps(evaluate(test, EvaluationContext(val=val, bootstrap=20))).encode()


def _fitted(val: Predictions) -> bytes:
    return json.dumps(recalibration_json(fit_recalibration(val, "platt"))).encode()


def _ledger(sessions: Path) -> bytes:
    for source in ("one", "other"):
        look_at(sessions, source, part_of_images(["a.png"]), "evaluate")
    return (sessions / LEDGER).read_bytes()


def _settings() -> bytes:
    """The template with each setting switched on."""
    lines = config_template().splitlines()
    is_setting = re.compile(r"# (\w+ = |\[weights)")
    return "\n".join(line[2:] if is_setting.match(line) else line for line in lines).encode()
