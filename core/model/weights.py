"""Load initial weights: ImageNet, torchxrayvision, reproduce-chexnet, our own, or none.

Nothing in a file is executed, nothing is downloaded, and what matched is reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from core.data.images.grey_rule import GreyRule
from core.errors import DataError, UntrainedError
from core.findings import canonical_finding
from core.model.densenet import NUM_FEATURES, ChestDenseNet, build_model
from core.model.foreign import read_tensors
from core.model.input_spec import GREY
from core.model.patient_digests import keys_beside
from core.model.pretrained.places import find_imagenet
from core.model.provenance import FRESH, ON_IMAGENET, Provenance
from core.model.sources import PlainNames, Source, plain_names, recognise
from core.store.checkpoint import BEST, LAST, verified_checkpoints, verify_model_file
from core.store.files import is_folder

LEAST_SHARE_MATCHED = 0.9
"""With a smaller share of the backbone a network is mostly noise; refused by default."""


@dataclass(frozen=True)
class WeightsReport:
    """Which tensors of a network were loaded, and from where.

    Attributes:
        kind: as in ``Provenance``: "none", "imagenet", "own", "nih-random-split", …
        path: the file; None for random weights.
        matched: number of backbone tensors loaded.
        total: number of backbone tensors (without batch counters).
        head_rows: finding -> the file's name for its row; None if the row is random.
        missing: backbone tensors that the file lacks.
        unexpected: tensors in the file that the network lacks.
        warnings: what was assumed, one sentence each.
        text: a one-line summary for display.
    """

    kind: str
    path: Path | None
    matched: int
    total: int
    head_rows: Mapping[str, str | None]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    warnings: tuple[str, ...]
    text: str

    @property
    def share_matched(self) -> float:
        """Share of the backbone's tensors that were loaded, 0 … 1."""
        return self.matched / self.total

    @property
    def head_rows_matched(self) -> int:
        """Number of findings whose head row was loaded."""
        return sum(row is not None for row in self.head_rows.values())


@dataclass(frozen=True)
class LoadedModel:
    """A network ready to train or score, with the report of what matched and its provenance.

    ``grey`` is the rule by which the images that its weights were trained on became grey; None if
    it is unknown, or nothing was trained.
    """

    model: ChestDenseNet
    report: WeightsReport
    provenance: Provenance
    grey: GreyRule | None = None


def otherwise_grey(loaded: LoadedModel, rule: GreyRule) -> str | None:
    """What to say if the weights were trained on images made grey by another rule."""
    trained = loaded.grey
    if trained is None or trained == rule:
        return None
    return (
        f"these weights were trained on images made grey by another rule ({trained.in_words}) than "
        f"this recipe's ({rule.in_words}): the same picture gives other pixels. Set "
        f"{trained.as_settings} to match them"
    )


def load_weights(
    model_choice: str,
    findings: Sequence[str],
    *,
    seed: int,
    allow_partial: bool = False,
    prevalence: Sequence[float] | None = None,
    search_folders: Sequence[Path] = (),
) -> LoadedModel:
    """Build the network for ``findings`` and load weights.

    Args:
        model_choice: "imagenet", "none", or a path: any checkpoint file, or a session's directory
            (its best checkpoint).
        findings: one for each logit; head rows are matched by name.
        seed: for everything that isn't loaded.
        allow_partial: accept a file with less than 90 % of the backbone.
        prevalence: one for each finding; sets the bias of random rows to its log-odds.
        search_folders: searched for the ImageNet file before the usual ones.

    Raises:
        DataError: no such file, not a DenseNet121, too little of it, or values that aren't finite.
    """
    if model_choice == "none":
        model = build_model(findings, seed=seed, input_spec=GREY, prevalence=prevalence)
        return LoadedModel(model, _fresh_report(model), Provenance(FRESH, "random weights"))
    if model_choice == "imagenet":
        path = find_imagenet(search_folders)
    else:
        path = _checkpoint_path(Path(model_choice))
    verify_model_file(path)
    checkpoint = read_tensors(path)
    plain = plain_names(checkpoint)
    tensors = plain.tensors
    source = recognise(checkpoint, tensors, allow_unknown_range=allow_partial)
    if model_choice == "imagenet" and source.provenance.kind != ON_IMAGENET:
        raise DataError(
            f"not ImageNet weights, but {source.title}",
            where=path,
            remedy="Give its path in model.weights, or replace it with torchvision's file",
        )
    model = build_model(findings, seed=seed, input_spec=source.input_spec, prevalence=prevalence)
    report = _fill(model, plain, source, path, allow_partial=allow_partial)
    return LoadedModel(model, report, source.provenance.with_keys(keys_beside(path)), source.grey)


def _checkpoint_path(path: Path) -> Path:
    """The file itself, or the best (else the last) intact checkpoint of a session's directory."""
    if not is_folder(path):
        return path
    inner = path / "checkpoints"
    whole = verified_checkpoints(inner if is_folder(inner) else path)
    for name in (BEST, LAST):
        for file in whole:
            if file.name == name:
                return file.model_path
    raise UntrainedError(
        "no intact checkpoint in this directory",
        where=path,
        remedy="model.weights takes a file, or a session's directory",
    )


def _fill(
    model: ChestDenseNet,
    plain: PlainNames,
    source: Source,
    path: Path,
    *,
    allow_partial: bool,
) -> WeightsReport:
    """Copy the matching tensors into the model and report them."""
    tensors, state = plain.tensors, model.state_dict()
    backbone = backbone_names(state)
    matched = [name for name in backbone if name in tensors]
    counters = [name for name in state if name.endswith("num_batches_tracked") and name in tensors]
    if not matched or (len(matched) < LEAST_SHARE_MATCHED * len(backbone) and not allow_partial):
        raise _too_little(path, len(matched), backbone, tensors)
    with torch.no_grad():
        for name in [*matched, *counters]:
            state[name].copy_(_checked(name, tensors[name], state[name], path))
        head_rows = _fill_head(model, tensors, source, path)
    known = {*state, "classifier.weight", "classifier.bias"}
    missing = tuple(name for name in backbone if name not in tensors)
    unexpected = tuple(sorted(name for name in tensors if name not in known))
    warnings = list(source.warnings)
    if missing:
        warnings.append(f"{len(missing)} tensors of the backbone are random, such as {missing[0]}.")
    said = f"; {plain.prefix[:100]!r} removed from names" if plain.prefix else ""
    return WeightsReport(
        kind=source.provenance.kind,
        path=path,
        matched=len(matched),
        total=len(backbone),
        head_rows=head_rows,
        missing=missing,
        unexpected=unexpected,
        warnings=tuple(warnings),
        text=_report_text(model, source, len(matched), len(backbone), head_rows) + said,
    )


def backbone_names(state: Iterable[str]) -> list[str]:
    """Names of the backbone's weights and statistics, without batch counters (new in torch
    0.4.1)."""
    return [
        name
        for name in state
        if name.startswith("features.") and not name.endswith("num_batches_tracked")
    ]


def _fill_head(
    model: ChestDenseNet, tensors: Mapping[str, Tensor], source: Source, path: Path
) -> dict[str, str | None]:
    """Copy the head rows that the file has; return finding -> the file's name for its row."""
    rows: dict[str, str | None] = dict.fromkeys(model.findings)
    weight_RC, bias_R = tensors.get("classifier.weight"), tensors.get("classifier.bias")
    if weight_RC is None or bias_R is None or not source.head_labels:
        return rows
    num_rows = len(source.head_labels)
    shapes = torch.empty(num_rows, NUM_FEATURES), torch.empty(num_rows)
    weight_RC = _checked("classifier.weight", weight_RC, shapes[0], path)
    bias_R = _checked("classifier.bias", bias_R, shapes[1], path)
    row_of = {
        canonical_finding(label) or label: row for row, label in enumerate(source.head_labels)
    }
    for place, finding in enumerate(model.findings):
        row = row_of.get(finding)
        if row is not None:
            model.classifier.weight[place] = weight_RC[row]
            model.classifier.bias[place] = bias_R[row]
            rows[finding] = source.head_labels[row]
    return rows


def _checked(name: str, found: Tensor, wanted: Tensor, path: Path) -> Tensor:
    """The tensor in the network's shape and precision, checked to be finite."""
    if found.shape != wanted.shape:
        raise DataError(
            f"{name} has shape {tuple(found.shape)}, but DenseNet121 has {tuple(wanted.shape)}",
            where=path,
            remedy="Is it another network, such as DenseNet169 or 201?",
        )
    held = wanted if found.is_complex() else found.to(wanted.dtype)
    broken = found.is_complex() or not torch.isfinite(held).all()
    if broken or (name.endswith("running_var") and held.min() < 0):
        raise DataError(
            f"{name} has invalid values (NaN, infinity, or a negative variance)",
            where=path,
            why="Every prediction would be NaN",
            remedy="Use a checkpoint from before the run failed",
        )
    return held


def _too_little(
    path: Path, num_matched: int, backbone: Sequence[str], tensors: Mapping[str, Tensor]
) -> DataError:
    absent = next(name for name in backbone if name not in tensors)
    strange = sorted(set(tensors) - set(backbone))
    seen = f"; the file has names such as {strange[0]}" if strange else ""
    return DataError(
        f"only {num_matched} of {len(backbone)} tensors of DenseNet121's backbone are in the file "
        f"(missing: {absent}{seen})",
        where=path,
        why="The rest would be noise",
        remedy="Check that it is a DenseNet121"
        + (", or allow a partial match" if num_matched else ""),
    )


def _fresh_report(model: ChestDenseNet) -> WeightsReport:
    total = len(backbone_names(model.state_dict()))
    fresh: dict[str, str | None] = dict.fromkeys(model.findings)
    text = "random weights: nothing was loaded"
    return WeightsReport(FRESH, None, 0, total, fresh, (), (), (), text)


def _report_text(
    model: ChestDenseNet,
    source: Source,
    num_matched: int,
    num_total: int,
    head_rows: Mapping[str, str | None],
) -> str:
    fresh = [finding for finding, row in head_rows.items() if row is None]
    loaded = len(head_rows) - len(fresh)
    head = f"{loaded} of {len(head_rows)} findings"
    if fresh and loaded:
        head += f" (random: {', '.join(fresh)})"
    spec = model.input_spec
    size = "" if spec.native_size_px is None else f", trained at {spec.native_size_px} px"
    return (
        f"{source.title}: {num_matched} of {num_total} backbone tensors"
        f" ({num_matched / num_total:.0%}); head: {head}; input: {spec.channels}"
        f" channel{'s' if spec.channels > 1 else ''} of {spec.low:g} … {spec.high:g}{size}"
    )
