"""Export a session's best network, with its pixel contract, checked against the network itself."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save

from core.data.images.decode import decode_grey, decode_square
from core.data.images.grey_rule import GreyRule
from core.data.images.image_file import ImageFile
from core.data.images.refusal import UndecodableImage
from core.errors import DataError, RunFailedError, UsageError
from core.evaluation.maps.map_source import MapSource, open_map_source
from core.evaluation.part_report import report_of_session
from core.export.card import card_of, card_text
from core.export.load_script import TEMPLATE
from core.export.pixels_in_graph import EXPRESSIBLE, GreyToProbabilities, InputToProbabilities
from core.export.recalibrated_in_graph import RecalibratedProbabilities
from core.model.densenet import ChestDenseNet
from core.store.files import token
from core.store.session import Session

LARGEST_DIFFERENCE = 1e-4
"""Of a probability in onnxruntime from the network's own; above it nothing is exported."""

CHECKED_IMAGES = 100
FILES = ("model.onnx", "model.safetensors", "load.py", "card.md", "card.json")

_TRACED_PX = (96, 80)


@dataclass(frozen=True)
class Exported:
    """What was written, and how far onnxruntime's probabilities are from the network's."""

    folder: Path
    images: int
    largest_difference: float
    begins_at: str
    """``image``: the graph resizes; ``input``: it takes pixels of the input size."""


def export_session(
    session: Session, folder: Path, cache: Path, told: Callable[[str], None] = lambda _: None
) -> Exported:
    """Write model.onnx, model.safetensors, load.py, card.md and card.json into a new folder.

    Args:
        session: one with a checkpoint and figures of its test part.
        folder: it must not exist, or be empty.
        cache: the folder of caches, to read the session's data set again.
        told: called with each stage in words.

    Raises:
        UntrainedError: there is no undamaged checkpoint.
        UsageError: the folder isn't empty, or the extra is missing.
        DataError: no val image is left to check with, or figures are missing.
        RunFailedError: onnxruntime differs from the network by more than ``LARGEST_DIFFERENCE``.
    """
    refuse_filled(folder)
    onnxruntime = _runtime()
    told("reading the session")
    report = report_of_session(session, "test", cache)
    source = open_map_source(session, cache, "cpu")
    model = source.model.float().eval()
    begins_at = "image" if model.input_spec.resize in EXPRESSIBLE else "input"
    unfinished = folder.with_name(f".{folder.name}.{token()}")
    try:
        unfinished.mkdir(parents=True)
        told("translating the network")
        shown = probabilities_of(source)
        _write_onnx(model, shown, source.size_px, begins_at, unfinished / "model.onnx")
        told("comparing it with the network")
        running = onnxruntime.InferenceSession(
            str(unfinished / "model.onnx"), providers=["CPUExecutionProvider"]
        )
        images, largest = _compared(source, model, running, begins_at)
        (unfinished / "model.safetensors").write_bytes(save(_torchvisions(model)))
        rule = GreyRule.of(session.recipe.image)
        card = card_of(
            session,
            report,
            source.study.patients_known_as,
            {
                "size_px": source.size_px,
                **model.input_spec.to_json(),
                "grey": rule.grey,
                "equalize": rule.equalize,
                "onnx_begins_at": begins_at,
            },
            {"images": images, "largest_difference": largest, "in": "onnxruntime on val"},
            source.recalibration,
        )
        text = json.dumps(card, indent=2, ensure_ascii=False)
        (unfinished / "card.json").write_text(f"{text}\n", encoding="utf-8")
        (unfinished / "card.md").write_text(card_text(card), encoding="utf-8")
        (unfinished / "load.py").write_text(TEMPLATE, encoding="utf-8")
        if folder.is_dir():
            folder.rmdir()
        unfinished.rename(folder)
    except OSError as error:
        raise DataError(
            f"the export can't be written ({error.strerror})",
            where=folder,
            remedy="Free some space there, or name another folder.",
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return Exported(folder, images, largest, begins_at)


def refuse_filled(folder: Path) -> None:
    """Raises UsageError if something is in the folder, or it is none."""
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if folder.exists() or folder.is_symlink():
        raise UsageError(
            "isn't an empty folder" if folder.is_dir() else "is there already, and is no folder",
            where=folder,
            why="An export overwrites nothing",
            remedy="Name a new folder.",
        )


def _runtime() -> Any:
    try:
        import onnx  # noqa: F401 - torch's exporter needs it
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UsageError(
            f"export needs {error.name}, which is not installed",
            remedy='pip install "cxr-tui[onnx]"',
        ) from error
    return onnxruntime


def probabilities_of(source: MapSource) -> torch.nn.Module:
    """From logits to the probabilities that the session shows."""
    if source.recalibration is None:
        return torch.nn.Sigmoid()
    return RecalibratedProbabilities(source.recalibration, source.model.findings)


def _write_onnx(
    model: ChestDenseNet, shown: torch.nn.Module, size_px: int, begins_at: str, path: Path
) -> None:
    dynamic = torch.export.Dim.DYNAMIC
    if begins_at == "image":
        graph: torch.nn.Module = GreyToProbabilities(model, size_px, shown)
        example = torch.zeros((2, 1, *_TRACED_PX), dtype=torch.uint8)
        shapes = {0: dynamic, 2: dynamic, 3: dynamic}
    else:
        graph = InputToProbabilities(model, shown)
        example = torch.zeros((2, 1, size_px, size_px), dtype=torch.uint8)
        shapes = {0: dynamic}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, about itself
        program = torch.onnx.export(
            graph.eval(),
            (example,),
            dynamo=True,
            dynamic_shapes=(shapes,),
            input_names=["grey"],
            output_names=["probabilities"],
            opset_version=18,
            verbose=False,
        )
    if program is None:
        raise RunFailedError("torch's exporter gave no graph", where=path)
    program.save(str(path))


def _compared(
    source: MapSource, model: ChestDenseNet, running: Any, begins_at: str
) -> tuple[int, float]:
    """Number of val images, and the largest difference in probability on them.

    Raises:
        DataError: none can be read.
        RunFailedError: the difference is too large.
    """
    resize = model.input_spec.resize
    largest, compared = 0.0, 0
    rule = GreyRule.of(source.session.recipe.image)
    rows = source.study.rows("val")
    chosen = np.unique(np.linspace(0, len(rows) - 1, min(CHECKED_IMAGES, len(rows))).astype(int))
    for name in source.study.index.images[rows[chosen]]:
        file = source.study.index.files.get(name)
        if file is None or file.member is not None:
            continue
        try:
            given, square_SS = _pixels(file, source.size_px, resize, rule, begins_at)
        except (UndecodableImage, OSError):
            continue
        with torch.inference_mode():
            logits_1F = model(source.pixels(square_SS[None].copy()))
        own_F = torch.sigmoid(logits_1F.double()).numpy()[0]
        if source.recalibration is not None:
            own_F = source.recalibration.batch(model.findings, own_F[None])[0]
        (there_BF,) = running.run(None, {"grey": given[None, None]})
        largest = max(largest, float(np.abs(there_BF[0] - own_F).max()))
        compared += 1
    if not compared:
        raise DataError(
            "none of its val images can be read, so the export can't be checked",
            where=source.study.sources.images,
            remedy="Bring the images back to this folder, at least a few.",
        )
    if not largest <= LARGEST_DIFFERENCE:
        raise RunFailedError(
            f"a probability differs by {largest:.1e} from the network's, above "
            f"{LARGEST_DIFFERENCE:.0e}",
            where="model.onnx in onnxruntime",
            why="Whoever used it would get other figures than those of the card",
            remedy="Try other versions of onnx and onnxruntime.",
        )
    return compared, largest


def _pixels(
    file: ImageFile, size_px: int, resize: str, rule: GreyRule, begins_at: str
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """What the graph is given, and the network's own input, both from the source file."""
    square_SS = decode_square(file.path, file.name, size_px, resize, rule).pixels_SS
    if begins_at == "input":
        return square_SS, square_SS
    return decode_grey(file.path, file.name, rule).pixels_HW, square_SS


def _torchvisions(model: ChestDenseNet) -> dict[str, torch.Tensor]:
    """The tensors under torchvision's names, without anything else of a checkpoint."""
    return {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
