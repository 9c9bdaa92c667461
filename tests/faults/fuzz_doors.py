"""The public doors that a file comes in by, one a kind, and what is drawn of it.

A door may raise a CxrError, or, for an image, say why there is none. Nothing else.
"""

from __future__ import annotations

import contextlib
import encodings.raw_unicode_escape  # noqa: F401 - pickle loads it at its first text
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from fuzz_evidence import EvidenceDoors
from fuzz_mutations import Step, mutated

from core.data.cache.quarantine import read_quarantine, write_quarantine
from core.data.images.decode import UndecodableImage, decode_grey, decode_square
from core.data.study.study import prepare_study, read_split, write_split
from core.data.tables.boxes import read_boxes
from core.data.tables.image_lists import read_image_list
from core.data.tables.label_table import read_label_table
from core.errors import CxrError
from core.evaluation.joining import join_predictions
from core.evaluation.maps.cam_table import COLUMNS, add_to_table, read_maps
from core.evaluation.part_scores import Reading, chosen_point
from core.evaluation.predictions import read_predictions
from core.findings import FINDINGS
from core.model.weights import load_weights
from core.recipe_toml import load_recipe, recipe_toml
from core.report_shape import PartReport
from core.store.checkpoint import read_checkpoint, verified_checkpoints, write_checkpoint
from core.store.event_log import EventReader, MilestoneReader
from core.store.sessions import create_session
from core.store.summary import SessionSummary
from cxr_tui.reports.figure_export import export_csv, export_markdown
from cxr_tui.reports.figure_rows import figures_of
from cxr_tui.reports.notes import missing_words, notes_of, point_lines
from cxr_tui.runs.liveness import Liveness
from cxr_tui.runs.run_view import RunView
from cxr_tui.training import text as training_text
from cxr_tui.training.auroc_table import sparkline
from cxr_tui.training.curves import CURVES, curve_chart, curve_titles
from cxr_tui.widgets.chart_picture import chart_csv, chart_files
from cxr_tui.widgets.line_chart import draw

Door = Callable[[bytes, int], None]
Mutate = Callable[[bytes], bytes]


class Doors:
    """Each kind's door, over files in one folder."""

    def __init__(self, folder: Path, phantom: Path) -> None:
        self.folder = folder
        self._file = folder / "file"
        self._checkpoints = folder / "checkpoints"
        self._pristine = folder / "pristine"
        _write_generations(self._pristine)
        keys = ["dataset.phantom=none", f"dataset.images={phantom}"]
        self._recipe = load_recipe("demo", keys)
        self._session = create_session(folder / "sessions", self._recipe, "fuzzed")
        study = prepare_study(self._recipe, folder / "cache", labels_only=True)
        self._index = study.index
        write_split(folder / "split.csv", study)
        write_quarantine(folder / "quarantine.csv", {"a.png": "truncated", "=b.png": "damaged"})
        add_to_table(folder / "cams.csv", [dict.fromkeys(COLUMNS, "x"), dict.fromkeys(COLUMNS, 1)])
        self._own = [(folder / name).read_bytes() for name in _OWN_TABLES]
        # A whole network takes a tenth of a second to build, and none is needed to be refused.
        self.by_kind: dict[str, Door] = {
            "tables": self.tables,
            "boxes": self.boxes,
            "lists": self.lists,
            "recipes": self.recipes,
            "images": self.images,
            "predictions": self.predictions,
            "weights": self.weights,
            "events": self.events,
        }
        self.evidence = EvidenceDoors(folder, phantom)
        self.by_kind["compared"] = self.evidence.compared
        self.by_kind["reports"] = self.evidence.reports

    def tables(self, content: bytes, variant: int) -> None:
        self._file.write_bytes(content)
        read_label_table(self._file, ["Mass"] if variant % 2 else ())

    def boxes(self, content: bytes, _: int) -> None:
        self._file.write_bytes(content)
        read_boxes(self._file)

    def lists(self, content: bytes, _: int) -> None:
        self._file.write_bytes(content)
        read_image_list(self._file)

    def recipes(self, content: bytes, _: int) -> None:
        self._file.write_bytes(content)
        recipe_toml(load_recipe(self._file))

    def images(self, content: bytes, variant: int) -> None:
        with contextlib.suppress(UndecodableImage):
            if variant % 2:
                self._file.write_bytes(content)
                decode_grey(self._file, "x.png")
            else:
                decode_square(content, "x.png", 32, "crop" if variant % 3 else "squash")

    def predictions(self, content: bytes, variant: int) -> None:
        self._file.write_bytes(content)
        if variant % 2:
            read_predictions(self._file)
            return
        join_predictions(
            self._file,
            images=np.array([f"{n:08d}_000.png" for n in range(9)], dtype=object),
            patients=np.arange(9),
            findings=FINDINGS,
            labels_NF=np.zeros((9, len(FINDINGS)), np.float32),
        )

    def weights(self, content: bytes, variant: int) -> None:
        self._file.write_bytes(content)
        load_weights(str(self._file), FINDINGS[:3], seed=0, allow_partial=variant % 4 == 0)

    def events(self, content: bytes, variant: int) -> None:
        self._session.events_path.write_bytes(content)
        SessionSummary.of(self._session)
        MilestoneReader(self._session.events_path).new_events()
        reader = EventReader(self._session.events_path)
        reader.tail()
        if variant % 2:
            told = [event for chunk in reader.thinned(max_steps=3) for event in chunk]
        else:
            told = reader.new_events()
        view = RunView(epochs=variant % 5)
        for event in told:
            view.apply(event)
        for text in drawn_words(view, self._session.path):
            ugly = [sign for sign in text if sign < " " and sign != "\n"]
            assert not ugly, f"control characters reach the screen: {ugly[:3]!r}"

    def checkpoints(self, steps: list[Step], variant: int) -> Callable[[], object]:
        """One file of the newest generation is damaged; often the digests are made to agree."""
        shutil.rmtree(self._checkpoints, ignore_errors=True)
        shutil.copytree(self._pristine, self._checkpoints)
        names = ("last-000002.safetensors", "last-000002.training.safetensors", "last-000002.json")
        path = self._checkpoints / names[variant % 3]
        others = [(self._checkpoints / name).read_bytes() for name in names]
        path.write_bytes(mutated(path.read_bytes(), steps, others))
        if variant % 2:
            _make_digests_agree(self._checkpoints / names[2])
        return self._read_checkpoints

    def _read_checkpoints(self) -> None:
        read = read_checkpoint(self._checkpoints, "last")
        assert read.file.generation in (1, 2)
        assert read.file.generation == 2 or read.passed_over
        verified_checkpoints(self._checkpoints)

    def own_tables(self, steps: list[Step], variant: int) -> Callable[[], object]:
        which = variant % len(_OWN_TABLES)
        path = self.folder / _OWN_TABLES[which]
        path.write_bytes(mutated(self._own[which], steps, self._own))
        gone = bool(variant % 2)
        return (
            lambda: read_split(path, self._index, self._recipe, without_gone=gone),
            lambda: read_quarantine(path),
            lambda: read_maps(path),
        )[which]


_OWN_TABLES = ("split.csv", "quarantine.csv", "cams.csv")


def _write_generations(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for step in (1, 2):
        write_checkpoint(
            folder,
            "last",
            {"w": torch.full((3, 2), float(step)), "n": torch.tensor(step)},
            {"step": step, "lr": [0.1, 0.2], "best": {"epoch": 1, "auroc": 0.5}},
            {"about": f"step {step}"},
            training_tensors={"momentum.w": torch.zeros(3, 2)},
        )


def _make_digests_agree(manifest_path: Path) -> None:
    """As somebody would who wants damage to be believed."""
    with contextlib.suppress(ValueError, RecursionError, AttributeError, TypeError, KeyError):
        manifest = json.loads(manifest_path.read_bytes())
        for name in manifest["digests"]:
            path = manifest_path.parent / Path(name).name
            if path.is_file():
                manifest["digests"][name] = hashlib.sha256(path.read_bytes()).hexdigest()
        state = json.dumps(manifest["state"], sort_keys=True).encode()
        manifest["state_digest"] = hashlib.sha256(state).hexdigest()
        manifest_path.write_text(json.dumps(manifest))


def drawn_words(view: RunView, path: Path) -> list[str]:
    """All that Training and Results say of a run, the charts included."""
    texts = []
    for around in (Liveness(), Liveness(state="silent", silent_seconds=500.0)):
        texts.append(training_text.head("fuzzed", view, around, None, 80).plain)
        texts.append(training_text.notice("fuzzed", path, view, around, 80).plain)
        texts.append(training_text.foot(view, around, 80, ascii_only=False).plain)
    texts.append(training_text.messages(view).plain)
    texts.append(training_text.waiting_words(view, None))
    for curve in CURVES:
        for log_scale in (False, True):
            chart = curve_chart(curve, view, log_scale=log_scale, smooth=log_scale, empty="…")
            texts += curve_titles(curve, chart, smooth=log_scale, ascii_only=False)
            texts.append(draw(chart, 60, 14).plain)
            chart_csv(chart)
    chart_files(curve_chart("loss", view, log_scale=False, smooth=False, empty="…"), "t", "c")
    texts += [sparkline(view.trend(finding)) for finding in view.findings]
    for part in ("test", "val"):
        texts.append(
            missing_words(
                view, "x", part, is_reading=False, is_written=part == "val", val_is_there=True
            )
        )
    return texts + (_report_words(view) if view.report is not None else [])


def _report_words(view: RunView) -> list[str]:
    report = view.report or PartReport()
    with contextlib.suppress(CxrError):
        figures = figures_of(report)
        export_csv(figures)
        export_markdown(figures, "title", ["note"])
        texts = [
            column.cell(row)
            for row in (*figures.findings, *figures.summaries)
            for column in figures.columns()
        ]
        for row in figures.findings:
            point = chosen_point(report, row.name, None, Reading())
            texts += [note.text for note in notes_of(report, figures, row.name)]
            texts.append(point_lines(row, "test", point, None))
        return texts
    return []
