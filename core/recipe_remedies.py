"""Remedies for refused recipes, by cause."""

from __future__ import annotations

import re
from collections.abc import Sequence

from core.findings import nearest_name

_SURELY_ANOTHER = 0.8
"""Similarity required of a key in another section: ``train.nope`` doesn't mean ``note``."""

_OTHER_NAMES = {
    "train.learning_rate": ("lr", "rate", "learningrate", "base_lr", "init_lr", "max_lr"),
    "train.batch_size": ("batch", "batchsize", "bs", "batch_sz"),
    "train.epochs": ("num_epochs", "n_epochs", "max_epochs", "epoch", "nb_epochs"),
    "train.optimizer": ("optim", "opt", "optimiser"),
    "train.weight_decay": ("wd", "l2", "decay"),
    "train.schedule": ("scheduler", "lr_scheduler", "lr_schedule", "sched"),
    "train.loss": ("criterion", "loss_fn", "loss_function", "pos_weight"),
    "train.precision": ("amp", "fp16", "bf16", "mixed_precision", "dtype"),
    "train.clip_norm": ("clip", "grad_clip", "gradient_clip", "max_grad_norm"),
    "train.warmup_epochs": ("warmup", "warm_up"),
    "train.early_stopping": ("patience", "early_stop"),
    "train.micro_batch_size": ("accumulate", "grad_accum", "accumulation_steps"),
    "train.seed": ("random_seed", "random_state"),
    "image.size_px": ("size", "img_size", "image_size", "input_size", "resize", "resolution"),
    "augment.flip": ("hflip", "horizontal_flip", "random_flip"),
    "augment.rotate_deg": ("rotate", "rotation", "degrees"),
    "augment.shift": ("translate", "translation"),
    "augment.scale": ("zoom",),
    "model.weights": ("pretrained", "checkpoint", "backbone", "arch", "architecture", "network"),
    "dataset.images": ("data", "data_dir", "data_path", "image_dir", "img_dir", "root", "path"),
    "dataset.labels": ("csv", "csv_path", "csv_file", "label_csv", "annotations", "table"),
    "dataset.boxes": ("bbox", "bboxes", "box_csv"),
    "dataset.findings": ("classes", "class_names", "labels_used", "pathologies", "targets"),
    "evaluate.bootstrap": ("n_bootstrap", "draws", "resamples"),
    "evaluate.operating_point": ("threshold",),
}
"""Key -> its names in other programs."""

_BY_OTHER_NAME = {name: key for key, names in _OTHER_NAMES.items() for name in names}
_OF_THE_COMMAND_LINE = {"device": "--device", "gpu": "--device", "gpus": "--device"} | {
    "cache": "--cache", "cache_dir": "--cache", "output": "--sessions", "output_dir": "--sessions",
}  # fmt: skip


def nearest_key(key: str, known: Sequence[str]) -> str:
    """Which key was probably meant, as a question; '' if none is similar.

    Args:
        key: as it was typed, or the name of a section.
        known: all keys, such as ``train.learning_rate``.
    """
    section, _, last = key.rpartition(".")
    name = last.casefold().replace("-", "_")
    meant = _BY_OTHER_NAME.get(name)
    same_name = [other for other in known if other.rpartition(".")[2] == name and other != key]
    if same_name and not (meant and meant.startswith(f"{section}.")):
        in_section = [other for other in same_name if other.startswith(f"{section}.")]
        return f"Did you mean {(in_section or same_name)[0]!r}?"
    if meant:
        return f"Did you mean {meant!r}?"
    if name in _OF_THE_COMMAND_LINE:
        return f"This is not part of a recipe: use {_OF_THE_COMMAND_LINE[name]}."
    if not section:
        sections = {other.partition(".")[0] for other in known if "." in other}
        if near := nearest_name(name, sorted(sections)):
            return f"Did you mean {near!r}?"
    beside = {_last_of(other): other for other in known if _section_of(other) == section}
    elsewhere = {_last_of(other): other for other in known if _section_of(other) != section}
    for candidates, cutoff in ((beside, 0.6), (elsewhere, _SURELY_ANOTHER)):
        if near := nearest_name(name, candidates, cutoff):
            return f"Did you mean {candidates[near]!r}?"
    return ""


def _section_of(key: str) -> str:
    return key.rpartition(".")[0]


def _last_of(key: str) -> str:
    return key.rpartition(".")[2]


def about_a_number(value: object) -> str:
    """The remedy for text instead of a number; '' if it doesn't look like one."""
    if not isinstance(value, str):
        return ""
    text = value.strip()
    if re.fullmatch(r"[+-]?\d+,\d+", text):
        return f"Use a decimal point: {text.replace(',', '.')}."
    if re.fullmatch(r"[+-]?\d+(\.\d*)?\s*%", text):
        return f"Write a share as a fraction: {float(text.rstrip('% ')) / 100:g}."
    if re.fullmatch(r"[+-]?\d+(\.\d*)?(e[+-]?\d+)?", text, re.IGNORECASE):
        return f"Write numbers without quotes: {text}."
    return ""


_AT_LINE = re.compile(r"\(at line (\d+)")
_PLAIN = 'Lines are KEY = VALUE, and text needs quotes: name = "x".'


def about_toml(text: str, error: str) -> str:
    """The remedy for invalid TOML, from the line at fault."""
    at = _AT_LINE.search(error)
    lines = text.splitlines()
    number = int(at[1]) if at else 0
    line = lines[number - 1].strip() if 0 < number <= len(lines) else ""
    value = line.partition("=")[2].strip()
    if re.search(r'"[^"]*\\', line):
        quoted = re.search(r'"([^"]*)"?', value)
        path = quoted[1] if quoted and "'" not in quoted[1] else r"C:\data\nih"
        return (
            "In double quotes a backslash begins an escape: write the path with / or in single "
            f"quotes, '{path[:200]}'."
        )
    if "“" in line or "”" in line or "‘" in line or "’" in line:
        return 'Quotes must be straight ones: name = "x".'
    if value in ("True", "False"):
        return f"TOML writes {value.lower()} in lower case."
    if value in ("None", "null", "nil"):
        return "TOML has no such value: remove the line to use the default."
    if re.fullmatch(r"[+-]?\d+,\d+", value):
        return about_a_number(value)
    if re.match(r"[A-Za-z_.]+\s*:", line):
        return "TOML writes KEY = VALUE, not KEY: VALUE."
    if "overwrite" in error or "twice" in error:
        return "A key or a table appears twice: keep one of them."
    if line.startswith("[") and not line.endswith("]"):
        return "A table's name is in square brackets: [train]."
    return _PLAIN
