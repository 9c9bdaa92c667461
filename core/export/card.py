"""The card of an export: what the network is for, what it was trained on, how well it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from core.data.collections.registry import collection_named
from core.data.study.audit_report import policy_in_words
from core.evaluation.calibrating.kept_recalibration import recalibration_json
from core.evaluation.calibrating.recalibration import Recalibration
from core.recipe import Recipe
from core.store.session import Session

if TYPE_CHECKING:
    from core.data.study.audit_report import AuditedPolicy

_LICENCES = {
    "nih": "NIH ChestX-ray14: free to use, with attribution to the NIH Clinical Center",
    "phantom": "synthetic pictures: no licence",
}
_LIMITS = (
    "It was scored on images like those that it was trained on. On another hospital's images, "
    "devices or patients its figures will differ; measure them first.",
    "A probability is that of a label of the training set, which may be wrong, not of a disease.",
    "It sees one frontal image at a fixed size: small lesions may not survive the resize.",
    "It was not asked about anything but the findings listed; an image without them may be "
    "abnormal.",
)
_DISCRIMINATION = (
    *("positives", "positive_patients", "prevalence"),
    *("auroc", "auroc_ci", "auprc", "auprc_ci", "auroc_by_view"),
)
_AT_THRESHOLD = ("threshold", "sensitivity", "specificity", "ppv", "npv")
_CALIBRATION = (
    *("intercept", "intercept_ci", "slope", "slope_ci", "observed_expected"),
    *("observed_expected_ci", "brier"),
)
_NOT_FOR = (
    "Diagnosis, triage or any decision about a patient: it is not a medical device.",
    "Lateral images, children where the training set has none, CT, or photographs of screens.",
)


def card_of(
    session: Session,
    report: Mapping[str, Any],
    known_as: str,
    model_input: Mapping[str, Any],
    checked: object,
    recalibration: Recalibration | None = None,
) -> dict[str, Any]:
    """Everything that stands in card.json; no name, number or path of a patient or a machine.

    Args:
        session: the session.
        report: the figures of its test part.
        known_as: ``phantom`` for a synthetic set, see ``Study.patients_known_as``.
        model_input: the pixel contract.
        checked: how the ONNX file was compared with the network.
        recalibration: what probabilities go through; None if they are the network's own.
    """
    described = session.read_json("dataset.json") or {}
    kind = "phantom" if known_as == "phantom" else str(described.get("kind") or "table")
    return {
        "name": session.recipe.name,
        "architecture": "DenseNet121",
        "findings": list(session.recipe.dataset.findings),
        "input": dict(model_input),
        "outputs": "one probability for each finding, in that order",
        "training": _training(session.recipe, described, kind, report),
        "figures": _figures(report),
        "thresholds": _thresholds(report),
        "calibration": _calibration_words(recalibration),
        "recalibration": None if recalibration is None else recalibration_json(recalibration),
        "limits": list(_LIMITS),
        "not_for": list(_NOT_FOR),
        "checked": checked,
    }


def _training(
    recipe: Recipe, described: Mapping[str, Any], kind: str, report: Mapping[str, Any]
) -> dict[str, Any]:
    version, policy = described.get("table_version") or "unknown", described.get("label_policy")
    parts = described.get("parts")
    return {
        "data_set": "synthetic" if kind == "phantom" else str(version),
        "kind": kind,
        "licence": _licence(kind),
        "labels": str(report.get("labels_note") or ""),
        "label_policy": (
            policy_in_words(cast("AuditedPolicy", policy)) if isinstance(policy, dict) else []
        ),
        "split": recipe.split.by,
        "parts": {
            part: _of(figures, ("images", "patients"))
            for part, figures in (parts if isinstance(parts, dict) else {}).items()
        },
        "weights_at_start": "ImageNet" if recipe.model.weights == "imagenet" else "other",
        "epochs": recipe.train.epochs,
        "loss": recipe.train.loss,
    }


def _figures(report: Mapping[str, Any]) -> dict[str, Any]:
    calibration = report.get("calibration") or {}
    whole = ("images", "patients", "mean_auroc", "mean_auroc_ci")
    return {"part": report.get("split"), **_of(report, whole)} | {
        "findings": {
            finding: _of(row, _DISCRIMINATION) | _of(calibration.get(finding) or {}, _CALIBRATION)
            for finding, row in report.get("findings", {}).items()
        }
    }


def _thresholds(report: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "rule": report.get("operating_point"),
        "chosen_on": "val",
        "findings": {
            finding: _of(row.get("operating_point") or {}, _AT_THRESHOLD)
            for finding, row in report.get("findings", {}).items()
        },
    }


def _of(figures: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    return {key: figures.get(key) for key in keys}


def _calibration_words(recalibration: Recalibration | None) -> str:
    if recalibration is None:
        return "not recalibrated: probabilities are the network's own"
    words = f"recalibrated ({recalibration.method}) on val"
    if recalibration.notes:
        words += f", except {', '.join(recalibration.notes)}"
    return words


def _licence(kind: str) -> str:
    collection = collection_named(kind)
    return collection.licence if collection is not None else _LICENCES.get(kind, "not stated")


def card_text(card: Mapping[str, Any]) -> str:
    """card.md, with the front matter that model hubs read."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("core.export", ""),
        autoescape=False,  # Markdown, of figures and of a recipe's own words
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"quoted": _quoted, "number": _number, "interval": _interval}
    return environment.get_template("card.md.j2").render(card)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _number(value: Any) -> str:
    return "–" if value is None else f"{value:.3f}"


def _interval(value: Any) -> str:
    return "–" if not value else f"{value[0]:.3f} – {value[1]:.3f}"
