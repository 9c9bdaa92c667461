"""Recognise the origin of a checkpoint by its content.

Known: our own; torchvision's ImageNet weights; torchxrayvision's DenseNets; the
CheXNet reproductions (jrzech/reproduce-chexnet, arnoweng/CheXNet, zoogzog/chexnet).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from core.data.images.grey_rule import GreyRule
from core.errors import DataError
from core.findings import FINDINGS, canonical_finding
from core.model.foreign import ForeignCheckpoint
from core.model.input_spec import CHEXNET, IMAGENET, TORCHXRAYVISION, InputSpec
from core.model.own_metadata import read_metadata
from core.model.provenance import (
    NIH_RANDOM_SPLIT,
    ON_IMAGENET,
    UNKNOWN,
    XRV_NIH,
    XRV_OTHER,
    Provenance,
)

_WRAPPERS = re.compile(
    r"(?:(?:module|model|net|network|backbone|encoder|densenet121|densenet|_orig_mod)\.)+"
)
# torchvision before 0.2 named a dense layer's parts norm.1, conv.1, norm.2, conv.2.
_OLD_LAYER = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12])\.")
# The prefix is the network's name inside somebody's own module.
_FIRST_LAYER = re.compile(r"((?:.*?\.)??)(?:features\.)?denseblock1\.denselayer1\.conv\.?1\.weight")
_BARE_FEATURE = re.compile(r"(?:conv0|norm0|norm5|denseblock\d|transition\d)\.")
_SEQUENTIAL_HEAD = re.compile(r"classifier\.\d+\.(weight|bias)")

XRV_LABELS = (
    "Atelectasis",
    "Consolidation",
    "Infiltration",
    "Pneumothorax",
    "Edema",
    "Emphysema",
    "Fibrosis",
    "Effusion",
    "Pneumonia",
    "Pleural_Thickening",
    "Cardiomegaly",
    "Nodule",
    "Mass",
    "Hernia",
    "Lung Lesion",
    "Fracture",
    "Lung Opacity",
    "Enlarged Cardiomediastinum",
)
"""torchxrayvision's 18 outputs, in order (its ``default_pathologies``)."""

# Rows of labels that a data set lacks were never trained. From torchxrayvision's table of models.
_XRV_UNTRAINED = {
    "nih": XRV_LABELS[14:],
    "pc": ("Lung Lesion", "Lung Opacity", "Enlarged Cardiomediastinum"),
    "chex": XRV_LABELS[2:3] + XRV_LABELS[5:7] + XRV_LABELS[9:10] + XRV_LABELS[11:14],
    "mimic": XRV_LABELS[2:3] + XRV_LABELS[5:7] + XRV_LABELS[9:10] + XRV_LABELS[11:14],
    "kaggle": tuple(label for label in XRV_LABELS if label not in ("Pneumonia", "Lung Opacity")),
}
# Google's relabelling and RSNA's (kaggle) and SIIM's challenges use NIH's images.
_XRV_SETS = ("nih", "pc", "chex", "mimic", "google", "openi", "kaggle", "rsna", "siim")
_XRV_NIH_SETS = frozenset({"nih", "google", "kaggle", "rsna", "siim"})


@dataclass(frozen=True)
class Source:
    """The origin of a checkpoint, and how to use it.

    Attributes:
        title: for display.
        input_spec: the normalisation that the weights expect.
        provenance: the patients they were trained on.
        head_labels: the label of each row of the head; empty if the head can't be used.
        warnings: assumptions, one sentence each.
        grey: how the images it was trained on became grey; None if unknown.
    """

    title: str
    input_spec: InputSpec
    provenance: Provenance
    head_labels: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    grey: GreyRule | None = None


@dataclass(frozen=True)
class PlainNames:
    """Tensors by today's torchvision names, and the prefix that those had in the file."""

    tensors: Mapping[str, Tensor]
    prefix: str


def plain_names(checkpoint: ForeignCheckpoint) -> PlainNames:
    """The tensors by today's torchvision names, without a prefix.

    Raises:
        DataError: the file contains two such networks, or two tensors get the same name.
    """
    prefixes = {match[1] for name in checkpoint.tensors if (match := _FIRST_LAYER.fullmatch(name))}
    if len(prefixes) > 1:
        named = " and ".join(repr(prefix[:100]) for prefix in sorted(prefixes)[:4])
        raise DataError(
            f"contains {len(prefixes)} networks, with the prefixes {named}",
            where=checkpoint.path,
            why="It is unclear which one to use",
            remedy="Save one network's state dict alone",
        )
    prefix = "".join(prefixes)
    renamed: dict[str, Tensor] = {}
    for name, tensor in checkpoint.tensors.items():
        plain = _plain_name(name, prefix)
        if plain in renamed:
            raise DataError(
                f"two tensors are both {plain[:200]!r} without their wrappers' prefixes",
                where=checkpoint.path,
                remedy="Save one network's state dict alone",
            )
        renamed[plain] = tensor
    return PlainNames(renamed, prefix)


def _plain_name(name: str, prefix: str) -> str:
    name = name.removeprefix(prefix)
    if wrappers := _WRAPPERS.match(name):
        name = name[wrappers.end() :]
    name = _OLD_LAYER.sub(r"\1\2.", name)
    if _BARE_FEATURE.match(name):
        name = f"features.{name}"
    head = _SEQUENTIAL_HEAD.fullmatch(name)
    return f"classifier.{head[1]}" if head else name


def recognise(
    checkpoint: ForeignCheckpoint, tensors: Mapping[str, Tensor], *, allow_unknown_range: bool
) -> Source:
    """The origin of a checkpoint.

    Args:
        checkpoint: as read from the file.
        tensors: its tensors by plain names.
        allow_unknown_range: treat a one-channel network of unknown origin as torchxrayvision's.

    Raises:
        DataError: one of our checkpoints can't be read, or a one-channel network has an unknown
            range.
    """
    own = read_metadata(checkpoint.metadata, where=checkpoint.path)
    if own is not None:
        title = f"a checkpoint of {own.provenance.text}"
        return Source(title, own.input_spec, own.provenance, own.findings, grey=own.grey)
    stem = tensors.get("features.conv0.weight")
    channels = stem.shape[1] if stem is not None and stem.ndim == 4 else 3
    head = tensors.get("classifier.weight")
    num_outputs = 0 if head is None else head.shape[0]
    is_sequential = any(_SEQUENTIAL_HEAD.search(name) for name in checkpoint.tensors)
    if channels == 1:
        return _one_channel(checkpoint, num_outputs, allow_unknown_range=allow_unknown_range)
    if num_outputs == 1000:
        provenance = Provenance(ON_IMAGENET, "ImageNet, photographs of 1,000 classes")
        return Source("torchvision's ImageNet weights", IMAGENET, provenance)
    if num_outputs == len(FINDINGS) and is_sequential:
        return Source(
            "a CheXNet reproduction",
            CHEXNET,
            Provenance(NIH_RANDOM_SPLIT, "a CheXNet reproduction, on a random split of NIH"),
            FINDINGS,
            ("Its 14 outputs are assumed to be in the order of Wang et al. 2017.",),
        )
    labels = _noted_labels(checkpoint, num_outputs)
    assumed = "Its input is assumed to be normalised as for ImageNet."
    provenance = Provenance(UNKNOWN, f"{checkpoint.path.name}, of unknown origin")
    return Source("a DenseNet of unknown origin", IMAGENET, provenance, labels, (assumed,))


def _one_channel(
    checkpoint: ForeignCheckpoint, num_outputs: int, *, allow_unknown_range: bool
) -> Source:
    is_xrv = num_outputs == len(XRV_LABELS) or "torchxrayvision" in (checkpoint.class_name or "")
    if not is_xrv and not allow_unknown_range:
        raise DataError(
            f"a one-channel DenseNet with {num_outputs} outputs, of unknown origin",
            where=checkpoint.path,
            why="The value range that it expects is unknown, and with a wrong one even a perfect "
            "match of tensors gives noise",
            remedy="Use torchxrayvision's original file, or allow a partial match to treat it as "
            "one",
        )
    trained_on = _xrv_sets(checkpoint.path.name)
    labels = _noted_labels(checkpoint, num_outputs)
    if not labels and num_outputs == len(XRV_LABELS):
        labels = _trained_labels(trained_on)
    saw_nih = not trained_on or not _XRV_NIH_SETS.isdisjoint(trained_on)
    sets = ", ".join(trained_on) or "data sets that its file name doesn't say"
    warnings = ["Outputs are raw logits, without torchxrayvision's calibration."]
    if not trained_on:
        warnings.append("Its file name doesn't say which data sets it was trained on.")
    return Source(
        f"torchxrayvision's DenseNet ({sets})",
        TORCHXRAYVISION,
        Provenance(XRV_NIH if saw_nih else XRV_OTHER, f"torchxrayvision, trained on {sets}"),
        labels,
        tuple(warnings),
    )


def _xrv_sets(file_name: str) -> tuple[str, ...]:
    """nih-pc-chex-…-densenet121-….pt and densenet121-res224-chex.pt name their data sets."""
    words = set(re.split(r"[-_.]", file_name.casefold()))
    return _XRV_SETS if "all" in words else tuple(name for name in _XRV_SETS if name in words)


def _trained_labels(trained_on: tuple[str, ...]) -> tuple[str, ...]:
    untrained = _XRV_UNTRAINED.get(trained_on[0], ()) if len(trained_on) == 1 else ()
    return tuple("" if label in untrained else label for label in XRV_LABELS)


def _noted_labels(checkpoint: ForeignCheckpoint, num_outputs: int) -> tuple[str, ...]:
    """Names of the outputs stored in the file, if their number matches."""
    for value in checkpoint.notes.values():
        if isinstance(value, tuple) and len(value) == num_outputs > 0:
            labels = tuple(str(label) for label in value)
            if any(canonical_finding(label) for label in labels):
                return labels
    return ()
