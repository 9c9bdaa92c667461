"""The fixtures of public collections, read independently of the product's readers."""

import csv
import gzip
import io
from pathlib import Path

from core.data.collections.reading import TableReading
from core.data.study.study import audit_study
from core.findings import VIEW_CLASSES
from core.recipe import DatasetSettings
from core.recipe_toml import load_recipe

COLLECTIONS = Path(__file__).parents[1] / "collections"
EVERY_VIEW = TableReading(dataset=DatasetSettings(views=VIEW_CLASSES))


def records_of(table):
    """The rows of a table, compressed or not, by the standard library alone."""
    content = table.read_bytes()
    text = (gzip.decompress(content) if table.suffix == ".gz" else content).decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


def audited(recipe, tmp_path, *settings, labels_only=True):
    """The audit of a shipped recipe under ``key=value`` settings."""
    return audit_study(load_recipe(recipe, settings), tmp_path / "cache", labels_only=labels_only)


def counted(report, start):
    """The images counted for the reason that starts so."""
    return sum(count["images"] for count in report["counts"] if count["reason"].startswith(start))


def positives(report, finding):
    """The positive images of all parts."""
    parts = report["parts"].values()
    return sum(part["findings"][finding]["positives"] for part in parts)


def known(report, finding):
    """The images of all parts whose label is known."""
    return sum(part["findings"][finding]["known"] for part in report["parts"].values())


def rewritten(table, folder, change, name=None):
    """A copy of a plain table with its text changed."""
    copy = folder / (name or table.name)
    text = table.read_bytes().decode()
    changed = change(text)
    assert changed != text
    copy.write_bytes(changed.encode())
    return copy
