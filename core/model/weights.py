"""Start from weights: ImageNet, torchxrayvision, reproduce-chexnet, own, or none.

Nothing in a file is executed, nothing is fetched, and what matched is reported.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from platformdirs import user_data_path
from torch import Tensor

from core.errors import DataError, UntrainedError
from core.findings import canonical_finding
from core.model.densenet import NUM_FEATURES, ChestDenseNet, build_model
from core.model.foreign import read_tensors
from core.model.input_spec import GREY
from core.model.patient_digests import keys_beside
from core.model.provenance import FRESH, ON_IMAGENET, Provenance
from core.model.sources import PlainNames, Source, plain_names, recognise
from core.regular_file import read_regular
from core.store.checkpoint import BEST, LAST, verified_checkpoints, verify_model_file
from core.store.files import is_folder

IMAGENET_FILE = "densenet121-a639ec97.pth"
_MOST_IMAGENET_BYTES = 2**30
IMAGENET_URL = f"https://download.pytorch.org/models/{IMAGENET_FILE}"
LEAST_SHARE_MATCHED = 0.9
"""With less of the backbone than this, a network is mostly noise; refused unless asked for."""

_NAMED_BY_DIGEST = re.compile(r"densenet121-(?P<digest>[0-9a-f]{8})\.pth")


@dataclass(frozen=True)
class WeightsReport:
    """How much of a network came from where.

    Attributes:
        kind: as in provenance: "none", "imagenet", "own", "nih-random-split", …
        path: the file; None for fresh weights.
        matched: tensors of the backbone that were loaded.
        total: tensors that the backbone has (counters of batches aside).
        head_rows: finding -> what the file calls its row; None where the row is fresh.
        missing: names of the backbone that the file doesn't have.
        unexpected: names in the file that the network doesn't have.
        warnings: what was assumed, one sentence each.
        text: all of that for a person, in one line.
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
        """The share of the backbone's tensors that were loaded, 0 … 1."""
        return self.matched / self.total

    @property
    def head_rows_matched(self) -> int:
        """How many findings start from the file's own row."""
        return sum(row is not None for row in self.head_rows.values())


@dataclass(frozen=True)
class LoadedModel:
    """A network ready to train or to score, what matched, and whom its weights have seen."""

    model: ChestDenseNet
    report: WeightsReport
    provenance: Provenance


def load_weights(
    model_choice: str,
    findings: Sequence[str],
    *,
    seed: int,
    allow_partial: bool = False,
    prevalence: Sequence[float] | None = None,
    search_folders: Sequence[Path] = (),
) -> LoadedModel:
    """Build the network for ``findings`` and fill it.

    Args:
        model_choice: "imagenet", "none", or a path: a checkpoint file of ours or of others,
            or a session's directory (its best checkpoint).
        findings: one a logit; rows of the head are found by name.
        seed: of everything that isn't loaded.
        allow_partial: take a file that fills less than 90 % of the backbone.
        prevalence: one a finding; sets the bias of fresh rows to its log-odds.
        search_folders: looked through for the ImageNet file before the usual ones.

    Raises:
        DataError: no such file, not a DenseNet121, too little of it, or values that aren't
            numbers.
    """
    if model_choice == "none":
        model = build_model(findings, seed=seed, input_spec=GREY, prevalence=prevalence)
        return LoadedModel(model, _fresh_report(model), Provenance(FRESH, "fresh weights"))
    if model_choice == "imagenet":
        path = _find_imagenet([*search_folders, *imagenet_folders()])
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
            remedy="Name it as a path in model.weights, or put torchvision's file in its place",
        )
    model = build_model(findings, seed=seed, input_spec=source.input_spec, prevalence=prevalence)
    report = _fill(model, plain, source, path, allow_partial=allow_partial)
    return LoadedModel(model, report, source.provenance.with_keys(keys_beside(path)))


def imagenet_folders() -> tuple[Path, ...]:
    """Where the ImageNet file is looked for: cxr-tui's own folder, then torch's cache."""
    own = user_data_path("cxr-tui", appauthor=False) / "weights"
    return own, Path(torch.hub.get_dir()) / "checkpoints"


def _find_imagenet(folders: Sequence[Path]) -> Path:
    for folder in folders:
        names = (
            [path.name for path in folder.glob("densenet121-*.pth")] if is_folder(folder) else []
        )
        for name in sorted(names, key=lambda name: (name != IMAGENET_FILE, name)):
            match = _NAMED_BY_DIGEST.fullmatch(name)
            if match is None:
                continue
            digest = _digest(folder / name)
            if not digest.startswith(match["digest"]):  # torchvision's rule for its file names
                raise DataError(
                    "damaged: its SHA-256 doesn't begin with the digits in its name",
                    where=folder / name,
                    remedy=f"Fetch it again from {IMAGENET_URL}",
                )
            return folder / name
    raise DataError(
        f"ImageNet weights need the file {IMAGENET_FILE} (31 MB), and it is not here",
        where="model.weights",
        why=f"It was looked for in {', '.join(map(str, folders))}; nothing is fetched by itself",
        remedy=f"Fetch {IMAGENET_URL} and put it into {folders[-1]}, or start from nothing with"
        " --set model.weights=none",
    )


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(read_regular(path, _MOST_IMAGENET_BYTES)).hexdigest()
    except OSError as error:
        raise DataError(f"can't be read ({error.strerror})", where=path) from error


def _checkpoint_path(path: Path) -> Path:
    """The file itself, or the best (else the last) whole checkpoint of a session's directory."""
    if not is_folder(path):
        return path
    inner = path / "checkpoints"
    whole = verified_checkpoints(inner if is_folder(inner) else path)
    for name in (BEST, LAST):
        for file in whole:
            if file.name == name:
                return file.model_path
    raise UntrainedError(
        "no whole checkpoint in this directory",
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
    """Copy what matches into the model, and say what did."""
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
        warnings.append(f"{len(missing)} tensors of the backbone are fresh, such as {missing[0]}.")
    said = f"; {plain.prefix[:100]!r} taken off before names" if plain.prefix else ""
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
    """Names of the backbone's weights and statistics; torch before 0.4.1 had no batch counters."""
    return [
        name
        for name in state
        if name.startswith("features.") and not name.endswith("num_batches_tracked")
    ]


def _fill_head(
    model: ChestDenseNet, tensors: Mapping[str, Tensor], source: Source, path: Path
) -> dict[str, str | None]:
    """Copy the rows of the findings that the file has; finding -> what the file calls it."""
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
    """The tensor as the network holds it: of that shape, and still finite at that precision."""
    if found.shape != wanted.shape:
        raise DataError(
            f"{name} has shape {tuple(found.shape)}, where DenseNet121 has {tuple(wanted.shape)}",
            where=path,
            remedy="Is it another network, such as DenseNet169 or 201?",
        )
    held = wanted if found.is_complex() else found.to(wanted.dtype)
    broken = found.is_complex() or not torch.isfinite(held).all()
    if broken or (name.endswith("running_var") and held.min() < 0):
        raise DataError(
            f"{name} holds values that can't be (NaN, infinite, or a variance below 0)",
            where=path,
            why="Every prediction would be NaN",
            remedy="Use a checkpoint from before the run broke",
        )
    return held


def _too_little(
    path: Path, num_matched: int, backbone: Sequence[str], tensors: Mapping[str, Tensor]
) -> DataError:
    absent = next(name for name in backbone if name not in tensors)
    strange = sorted(set(tensors) - set(backbone))
    seen = f"; the file has names such as {strange[0]}" if strange else ""
    return DataError(
        f"only {num_matched} of {len(backbone)} tensors of DenseNet121's backbone are in it"
        f" (missing: {absent}{seen})",
        where=path,
        why="The rest would be noise",
        remedy="Check that it is a DenseNet121"
        + (", or allow a partial match" if num_matched else ""),
    )


def _fresh_report(model: ChestDenseNet) -> WeightsReport:
    total = len(backbone_names(model.state_dict()))
    fresh: dict[str, str | None] = dict.fromkeys(model.findings)
    text = "fresh weights: nothing was loaded"
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
        head += f" (fresh: {', '.join(fresh)})"
    spec = model.input_spec
    size = "" if spec.native_size_px is None else f", trained at {spec.native_size_px} px"
    return (
        f"{source.title}: {num_matched} of {num_total} backbone tensors"
        f" ({num_matched / num_total:.0%}); head: {head}; input: {spec.channels}"
        f" channel{'s' if spec.channels > 1 else ''} of {spec.low:g} … {spec.high:g}{size}"
    )
