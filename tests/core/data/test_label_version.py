"""Whose labels a table holds, told by its rows; and published figures across versions."""

import csv
from pathlib import Path

import pytest
from tables import HEADER_V2020, row_2017, row_v2020, write_2017, write_lines, write_v2020

from core.data.tables.label_table import read_label_table
from core.data.tables.label_version import label_table_name, relabelled_images, version_named
from core.evaluation.references import load_references, reference_for
from core.findings import FINDINGS
from core.report_shape import PartReport
from cxr_tui.reports.auroc_table import print_report
from cxr_tui.reports.figure_rows import figures_of
from cxr_tui.reports.notes import reference_words

V2017, V2020 = 0, 1


def numbered(name: str) -> tuple[int, int]:
    return int(name[:8]), int(name[9:12])


def words_of(version: int) -> dict[str, str]:
    return {name: "|".join(sorted(of[version])) for name, of in relabelled_images().items()}


def version_of(path: Path) -> str:
    return read_label_table(path).label_version


def test_181_images_differ_and_78_became_positive_for_pneumonia():
    before, after = zip(*relabelled_images().values(), strict=True)
    assert len(before) == 181
    gained = [name for first, later in zip(before, after, strict=True) for name in later - first]
    assert (gained.count("Pneumonia"), gained.count("Mass")) == (78, 36)


def test_each_version_is_known_by_its_labels_and_not_by_how_it_is_written(tmp_path):
    for version, called in ((V2017, "NIH 2017"), (V2020, "NIH v2020")):
        rows = [row_v2020(*numbered(name), words) for name, words in words_of(version).items()]
        assert version_of(write_v2020(tmp_path / "new.csv", rows)) == called
        old = [row_2017(*numbered(name), words) for name, words in words_of(version).items()]
        assert version_of(write_2017(tmp_path / "old.csv", old)) == called


def test_a_subset_of_a_table_and_one_column_a_finding_are_known_too(tmp_path):
    name = "00000150_002.png"  # Pneumonia since 2020
    row = row_v2020(*numbered(name), words_of(V2020)[name])
    assert version_of(write_v2020(tmp_path / "one.csv", [row_v2020(1), row])) == "NIH v2020"
    for label, called in (("0", "NIH 2017"), ("1", "NIH v2020"), ("", "NIH, either version")):
        lines = ["image,patient,Pneumonia", f"{name},150,{label}"]
        assert version_of(write_lines(tmp_path / "plain.csv", lines)) == called


def test_labels_of_neither_version_are_called_other(tmp_path):
    names = list(relabelled_images())[:2]
    mixed = [words_of(V2017)[names[0]], words_of(V2020)[names[1]]]
    rows = [row_v2020(*numbered(name), words) for name, words in zip(names, mixed, strict=True)]
    assert version_of(write_v2020(tmp_path / "mixed.csv", rows)) == "other"
    lines = ["image,patient,Mass", "a.png,1,1"]
    assert version_of(write_lines(tmp_path / "mine.csv", lines)) == "other"


def test_a_table_without_those_images_is_what_it_is_written_as(tmp_path):
    assert version_of(write_v2020(tmp_path / "train_val.csv", [row_v2020(1)])) == "NIH v2020"


def test_a_reports_name_for_a_table_is_its_version_and_file(tmp_path, phantom_dir):
    assert label_table_name("NIH v2020", tmp_path / "t.csv") == "NIH v2020 (t.csv)"
    assert version_named("NIH v2020 (t.csv)") == "NIH v2020"
    assert version_named("other (NIH v2020.csv)") is None
    table = phantom_dir / "Data_Entry_2017_v2020.csv"
    assert label_table_name(version_of(table), table) == f"synthetic ({table.name})"


def test_nihs_own_tables_are_told_apart_even_when_saved_anew(nih_dir, tmp_path):
    assert version_of(nih_dir / "Data_Entry_2017.csv") == "NIH 2017"
    assert version_of(nih_dir / "Data_Entry_2017_v2020.csv") == "NIH v2020"
    test = set((nih_dir / "test_list.txt").read_text().split())
    with (nih_dir / "Data_Entry_2017.csv").open(newline="") as table:
        rows = [row for row in csv.reader(table) if row[0] in test]
    lines = [
        ",".join([*row[:3], str(int(row[3])), str(int(row[4][:-1])), *row[5:11]]) for row in rows
    ]
    assert version_of(write_lines(tmp_path / "again.csv", [HEADER_V2020, *lines])) == "NIH 2017"


OFFICIAL = {"split": "test", "split_kind": "official", "images": 25_596, "patients": 2_797}


def report_on(label_table: str | None, column: str) -> dict:
    published = load_references()[column].auroc_by_finding
    figures = {
        name: {
            "positives": 500,
            "positive_patients": 300,
            "prevalence": 0.1,
            "auprc": 0.3,
            "auroc": 0.8,
            "auroc_ci": [0.79, 0.81],
            "reference_auroc": published[name],
        }
        for name in FINDINGS
    }
    return {
        **OFFICIAL,
        "label_table": label_table,
        "findings": figures,
        "mean_auroc": 0.8,
        "mean_auroc_ci": [0.79, 0.81],
        "reference": {"column": column},
        "warnings": [],
    }


@pytest.mark.parametrize(
    ("label_table", "column", "why"),
    [
        ("NIH 2017 (Data_Entry_2017.csv)", "wang2017_official", None),
        (
            "NIH v2020 (t.csv)",
            "wang2017_official",
            "these are NIH v2020: 181 images of test differ",
        ),
        ("other (mine.csv)", "wang2017_official", "these are other (mine.csv)"),
        (None, "wang2017_official", "these are not known"),
        ("NIH v2020 (t.csv)", "swinchex2022_official", "a version that is not known"),
    ],
)
def test_a_published_figure_has_no_difference_across_versions_of_the_labels(
    label_table, column, why, capsys
):
    shown = reference_for(column, "official", label_table=label_table)
    report = PartReport.of(report_on(label_table, column))
    published = shown.auroc_by_finding["Pneumonia"]

    figures = figures_of(report, column)
    print_report(report)

    assert (shown.no_difference is None) == (why is None)
    row = next(row for row in figures.findings if row.name == "Pneumonia")
    assert row.reference == published
    printed = " ".join(capsys.readouterr().out.split())
    assert f"{published:.3f}" in printed
    if why is None:
        assert row.delta == pytest.approx(0.8 - published)
        assert f"{published:.3f} {0.8 - published:+.3f}" in printed
    else:
        assert row.delta is None
        assert figures.summaries[0].delta is None
        assert f"{published:.3f} –" in printed
        assert why in shown.no_difference
        assert why in printed
        assert why in reference_words(shown)
    assert f"labels: {label_table}" in printed or label_table is None
