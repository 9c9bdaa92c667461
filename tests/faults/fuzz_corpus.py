"""Small valid files of every kind that is read, made here and, where they are, cut from NIH's."""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save as save_safetensors

from core import events
from core.data.phantom import write_phantom
from core.event_lines import event_line
from core.findings import FINDINGS
from core.model.densenet import build_model
from core.model.input_spec import GREY, IMAGENET
from core.model.own_metadata import write_metadata
from core.model.provenance import Provenance
from core.shipped_recipes import shipped_recipes

Corpus = dict[str, list[bytes]]

_DICOM = Path(__file__).parents[1] / "core" / "data" / "dicom_files"


def made_corpus(folder: Path) -> Corpus:
    """Kind -> a few valid files' bytes."""
    phantom = folder / "phantom"
    write_phantom(phantom, patients=8, size_px=32, seed=1)
    real = Path(os.environ["CXR_NIH_DIR"]) if os.environ.get("CXR_NIH_DIR") else None
    tables = [*_named(phantom, "Data_Entry*.csv"), _plain_table(), _v2020_table()]
    boxes = _named(phantom, "BBox*.csv")
    lists = [b"00000001_000.png\n00000002_000.png\r\n\nimages_001/images/00000003_001.png"]
    images = [*_made_images(), *_named(phantom, "**/*.png")[:3], *_dicoms()]
    if real is not None:
        tables += [_cut(content, 30) for content in _named(real, "**/Data_Entry*.csv")[:3]]
        boxes += [_cut(content, 30) for content in _named(real, "**/BBox*.csv")[:1]]
        lists += [_cut(content, 30) for content in _named(real, "**/*_list*.txt")[:2]]
        images += sorted(_named(real, "**/*.png"), key=len)[:2]
    return {
        "tables": tables,
        "boxes": boxes,
        "lists": lists,
        "recipes": [text.encode() for text in shipped_recipes().values()],
        "images": images,
        "predictions": [_predictions(), _anybodys_predictions()],
        "weights": list(_weights()),
        "checkpoints": [b""],  # made by its door, which needs several files
        "events": [_events()],
        "own tables": [b""],  # likewise
    }


def _named(folder: Path, pattern: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder.glob(pattern))]


def _dicoms() -> list[bytes]:
    """One of each coding, and of each kind of window."""
    return _named(_DICOM, "coding/*.dcm") + _named(_DICOM, "voi/*.dcm")


def _cut(content: bytes, num_lines: int) -> bytes:
    return b"".join(content.splitlines(keepends=True)[:num_lines])


def _plain_table() -> bytes:
    return b'image,patient,age,Mass,Nodule\n"a.png",P-1,57,1,0\nb.png,2,,0,\nc.png,3,11,,1\n'


def _v2020_table() -> bytes:
    header = (
        "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,"
        "View Position,OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]\n"
    )
    words = ("No Finding", "Mass|Nodule", "Hernia", "Infiltration", "No Finding")
    rows = (
        f"{number:08d}_000.png,{word},0,{number},57,M,PA,2682,2749,0.143,0.143\n"
        for number, word in enumerate(words, start=1)
    )
    return (header + "".join(rows)).encode()


def _made_images() -> Iterator[bytes]:
    pixels = np.random.default_rng(0).integers(0, 255, (24, 20), np.uint8)
    grey = Image.fromarray(pixels)
    deep = Image.fromarray(pixels.astype(np.uint16) * 16)
    for image, kind in (
        *((grey, "PNG"), (grey, "JPEG"), (grey, "BMP"), (deep, "PNG"), (deep, "TIFF")),
        *((grey.convert("RGBA"), "PNG"), (grey.convert("P"), "PNG"), (grey.convert("1"), "BMP")),
    ):
        stream = io.BytesIO()
        image.save(stream, kind)
        yield stream.getvalue()


def _predictions() -> bytes:
    rows = (f"{n:08d}_000.png,{n},{n % 2},0.{n}5,,0.{9 - n}" for n in range(1, 6))
    head = "Image Index,Patient ID,Mass,prob_Mass,Nodule,prob_Nodule"
    return "\n".join([head, *rows, ""]).encode()


def _anybodys_predictions() -> bytes:
    return b"Nodule,image index,Mass\r\n-1.5,00000001_000.png,2e-3\r\n0.5,00000002_000.png,7\r\n"


def _few_tensors(channels: int, num_outputs: int) -> dict[str, torch.Tensor]:
    spec = GREY if channels == 1 else IMAGENET
    state = build_model([str(n) for n in range(num_outputs)], seed=1, input_spec=spec).state_dict()
    wanted = ("features.conv0", "features.norm0", "features.denseblock1.denselayer1.norm1")
    few = {name: tensor for name, tensor in state.items() if name.startswith(wanted)}
    return few | {name: state[name].clone() for name in ("classifier.weight", "classifier.bias")}


def _weights() -> Iterator[bytes]:
    """Few tensors of a network: a whole one would make each example a tenth of a second."""
    few = _few_tensors(3, len(FINDINGS))
    own = write_metadata(FINDINGS, IMAGENET, Provenance("none", "random weights"))
    yield save_safetensors(few, metadata=own)
    yield save_safetensors(_few_tensors(1, 18))
    wrapped = {"state_dict": {f"module.{name}": value for name, value in few.items()}, "epoch": 3}
    for content in (wrapped, few):
        for is_zip in (True, False):
            stream = io.BytesIO()
            torch.save(content, stream, _use_new_zipfile_serialization=is_zip)
            yield stream.getvalue()
    module = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2))
    stream = io.BytesIO()
    torch.save({"model": module, "targets": ["Mass", "Nodule"]}, stream)
    yield stream.getvalue()
    yield pickle.dumps({"features.conv0.weight": [1, 2, (3, {4: "x"})]}, protocol=2)


def _events() -> bytes:
    return "".join(event_line(event) + "\n" for event in events_of_a_run()).encode()


def events_of_a_run() -> list[events.Event]:
    """A whole run, every kind of event in it."""
    point = {
        "threshold": 0.4,
        "sensitivity": 0.8,
        "counts": {"true_positives": 3, "false_positives": 1},
    }
    figures = {
        "positives": 5,
        "auroc": 0.8,
        "auroc_ci": [0.7, 0.9],
        "auroc_by_view": {"PA": 0.8, "AP": None},
        "operating_point": point,
        "note": "10 patients: read the interval, not the number",
    }
    report = {
        "split": "test",
        "split_kind": "official",
        "images": 25,
        "patients": 12,
        "findings": {"Mass": figures, "Nodule": figures},
        "mean_auroc": 0.8,
        "mean_auroc_ci": [0.7, 0.9],
        "reference": {"column": "wang2017_official", "note": None},
        "table_alone": {"mean_auroc": 0.6, "note": None},
        "operating_point": "youden",
        "warnings": ["a warning"],
    }
    counts = {"train": 80, "val": 20, "test": 25}
    story = (
        events.RunStarted(name="x", host="h", pid=7),
        events.DatasetProgress(stage="looking for images", done=3, total=9),
        events.DatasetReady(
            table_version="NIH v2020",
            findings=("Mass", "Nodule"),
            images=counts,
            patients=counts,
            positives={"train": {"Mass": 9, "Nodule": 4}},
            dropped={"no such image": 2},
        ),
        events.IngestProgress(
            done=5, total=125, images_per_second=80.0, seconds_left=2.0, quarantined=1
        ),
        events.IngestDone(images=124, seconds=3.0, quarantined={"b.png": "truncated"}),
        events.ModelReady(
            device="cpu",
            device_name="a processor",
            precision="fp32",
            weights="fresh weights",
            matched_tensors=0,
            total_tensors=604,
            steps_per_epoch=5,
            base_rate_loss=0.3,
        ),
        events.ImagesHeld(parts=("train",), images=80, size_bytes=4096, text="80 images of train"),
        events.StepChosen(kind="graph", reason="it pays", gain=1.2, seconds=9.0),
        *(event for epoch in (1, 2) for event in _epoch(epoch)),
        events.LearningRateCut(epoch=2, before=0.01, after=0.001),
        events.Paused(step=10, reason="disk full"),
        events.Continued(step=10),
        events.Warned(message="look at this", where="labels.csv line 3"),
        events.Resumed(step=5, epoch=1, position=0, checkpoint="last-000001"),
        *_epoch(2),
        events.EarlyStopped(epoch=2, best_epoch=1),
        events.TestStarted(epoch=1, images=25),
        events.Evaluated(report=report),
        events.Finished(epochs=2, best_epoch=1, seconds=60.0),
        events.Stopped(step=10, reason="asked"),
        events.Failed(message="out of memory", exit_code=4),
    )
    return [replace(event, time=1.8e9 + second) for second, event in enumerate(story)]


def _epoch(epoch: int) -> Iterator[events.Event]:
    yield events.EpochStarted(epoch=epoch, steps=5)
    for step in range(5 * epoch - 4, 5 * epoch + 1):
        yield events.StepRecorded(
            step=step,
            epoch=epoch,
            train_loss=1 / step,
            learning_rate=0.01,
            gradient_norm=1.0,
            images_per_second=12.0,
        )
    yield events.StepSkipped(step=5 * epoch, epoch=epoch, what="loss")
    yield events.CheckpointWritten(name="last", step=5 * epoch, epoch=epoch, reason="epoch done")
    yield events.ValidationProgress(part="val", done=10, total=20)
    yield events.EpochDone(
        epoch=epoch,
        step=5 * epoch,
        train_loss=0.4,
        val_loss=0.5,
        auroc={"Mass": 0.7, "Nodule": None},
        mean_auroc=0.7,
        selected_on=("Mass",),
        is_best=True,
        learning_rate=0.01,
        seconds=9.0,
    )
