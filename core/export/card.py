"""The card of an export: what the network is for, what it was trained on, how well it does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.data.collections.registry import collection_named
from core.data.study.audit_report import policy_in_words
from core.evaluation.calibrating.kept_recalibration import recalibration_json
from core.evaluation.calibrating.recalibration import Recalibration
from core.store.session import Session

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
    recipe = session.recipe
    kind = "phantom" if known_as == "phantom" else str(described.get("kind") or "table")
    parts = described.get("parts") if isinstance(described.get("parts"), Mapping) else {}
    policy = described.get("label_policy")
    return {
        "name": recipe.name,
        "architecture": "DenseNet121",
        "findings": list(recipe.dataset.findings),
        "input": dict(model_input),
        "outputs": "one probability for each finding, in that order",
        "training": {
            "data_set": "synthetic"
            if kind == "phantom"
            else str(described.get("table_version") or "unknown"),
            "kind": kind,
            "licence": _licence(kind),
            "labels": str(report.get("labels_note") or ""),
            "label_policy": policy_in_words(policy) if isinstance(policy, Mapping) else [],  # type: ignore[arg-type]
            "split": recipe.split.by,
            "parts": {
                part: {name: figures.get(name) for name in ("images", "patients")}
                for part, figures in (parts or {}).items()
            },
            "weights_at_start": "ImageNet" if recipe.model.weights == "imagenet" else "other",
            "epochs": recipe.train.epochs,
            "loss": recipe.train.loss,
        },
        "figures": {
            "part": report.get("split"),
            "images": report.get("images"),
            "patients": report.get("patients"),
            "mean_auroc": report.get("mean_auroc"),
            "mean_auroc_ci": report.get("mean_auroc_ci"),
            "findings": {
                finding: {
                    key: row.get(key)
                    for key in (
                        *("positives", "positive_patients", "prevalence"),
                        *("auroc", "auroc_ci", "auprc", "auprc_ci"),
                        "auroc_by_view",
                    )
                }
                | {
                    key: (report.get("calibration", {}).get(finding) or {}).get(key)
                    for key in _CALIBRATION
                }
                for finding, row in report.get("findings", {}).items()
            },
        },
        "thresholds": {
            "rule": report.get("operating_point"),
            "chosen_on": "val",
            "findings": {
                finding: {
                    key: (row.get("operating_point") or {}).get(key)
                    for key in ("threshold", "sensitivity", "specificity", "ppv", "npv")
                }
                for finding, row in report.get("findings", {}).items()
            },
        },
        "calibration": _calibration_words(recalibration),
        "recalibration": None if recalibration is None else recalibration_json(recalibration),
        "limits": list(_LIMITS),
        "not_for": list(_NOT_FOR),
        "checked": checked,
    }


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
    figures, training, spec = card["figures"], card["training"], card["input"]
    lines = [
        "---",
        "license: other",
        f"license_name: {_quoted(training['licence'])}",
        "library_name: pytorch",
        "pipeline_tag: image-classification",
        "tags: [chest-x-ray, radiology, densenet121, cxr-tui]",
        "model-index:",
        f"- name: {_quoted(card['name'])}",
        "  results:",
        "  - task: {type: image-classification}",
        f"    dataset: {{name: {_quoted(training['data_set'])}, type: {training['kind']}}}",
        "    metrics:",
        f"    - {{type: auroc, name: mean AUROC (test), value: {figures['mean_auroc']}}}",
        "---",
        "",
        f"# {card['name']}: DenseNet121 for {len(card['findings'])} findings on chest X-rays",
        "",
        "## Use",
        "",
        "- `model.onnx` takes 8-bit grey pixels, uint8 `[batch, 1, height, width]`"
        + (
            ", of any size, and gives probabilities."
            if spec["onnx_begins_at"] == "image"
            else f", already {spec['size_px']} × {spec['size_px']} (load.py resizes)."
        ),
        "- `python load.py IMAGE…` prints logits and probabilities from "
        "`model.safetensors`, with torch and torchvision alone.",
        f"- Input: {spec['size_px']} px, resize `{spec['resize']}` as Pillow's bilinear, rule "
        f"`{spec['grey']}` from stored values to grey"
        + (", histogram equalised (by load.py, not in the graph)" if spec["equalize"] else "")
        + ". DICOM and 16-bit images: `cxr-tui predict`.",
        "",
        "## Training data",
        "",
        f"{training['data_set']}, {training['licence']}. {training['labels']}",
        *(f"- {sentence}" for sentence in training["label_policy"]),
        *(
            f"- {part}: {of['images']:,} images, "
            + ("unknown patients" if of["patients"] is None else f"{of['patients']:,} patients")
            for part, of in training["parts"].items()
        ),
        "",
        "## Figures",
        "",
        f"On {figures['images']:,} images of the {figures['part']} part; intervals of 95 % count "
        "patients.",
        "",
        "| finding | positives | AUROC | 95 % | AUPRC | threshold | sensitivity | specificity |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for finding, row in figures["findings"].items():
        point = card["thresholds"]["findings"][finding]
        cells = [
            *(finding, f"{row['positives']:,}", _number(row["auroc"])),
            _interval(row["auroc_ci"]),
            *(_number(row["auprc"]), _number(point["threshold"])),
            *(_number(point["sensitivity"]), _number(point["specificity"])),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        f"Mean AUROC {_number(figures['mean_auroc'])} ({_interval(figures['mean_auroc_ci'])}). "
        f"Thresholds: {card['thresholds']['rule']}, chosen on val. Calibration: "
        f"{card['calibration']}.",
        "",
        "## Limits",
        "",
        *(f"- {limit}" for limit in card["limits"]),
        "",
        "## Not for",
        "",
        *(f"- {purpose}" for purpose in card["not_for"]),
        "",
    ]
    return "\n".join(lines)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _number(value: Any) -> str:
    return "–" if value is None else f"{value:.3f}"


def _interval(value: Any) -> str:
    return "–" if not value else f"{value[0]:.3f} – {value[1]:.3f}"
