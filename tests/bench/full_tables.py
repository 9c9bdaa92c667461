"""Time and memory of audits of tables as large as the published ones, made up for it.

    python tests/bench/full_tables.py [--only chexpert mimic-cxr padchest] [--keep FOLDER]

Each audit runs in a process of its own, as ``cxr-tui audit NAME --labels-only --json``.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_MIB = 2**20
_CHEXPERT = (
    *("No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion"),
    *("Edema", "Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion"),
    *("Pleural Other", "Fracture", "Support Devices"),
)
_CELLS = ("", "", "", "", "1.0", "0.0", "-1.0")
_MIMIC_STUDIES, _MIMIC_IMAGES = 227_827, 377_110


@dataclass(frozen=True)
class Target:
    """What an audit may take."""

    recipe: str
    make: Callable[[Path], Path]
    seconds: float
    mib: float = 600


def chexpert(folder: Path) -> Path:
    """223,414 rows like CheXpert's train.csv."""
    rng = random.Random(0)
    head = ("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *_CHEXPERT)

    def rows() -> Iterator[Sequence[object]]:
        for row in range(223_414):
            patient, study = row // 4 + 1, row % 4 // 2 + 1
            side = "lateral" if row % 7 == 0 else "frontal"
            path = f"CheXpert-v1.0-small/train/patient{patient:05}/study{study}"
            yield (
                f"{path}/view{row % 2 + 1}_{side}.jpg",
                rng.choice(("Male", "Female")),
                rng.randrange(18, 91),
                side.title(),
                "" if side == "lateral" else rng.choice(("AP", "AP", "PA")),
                *rng.choices(_CELLS, k=14),
            )

    return _written(folder / "train.csv", head, rows())


def mimic(folder: Path) -> Path:
    """The four compressed tables of MIMIC-CXR-JPG, of 377,110 images."""
    rng = random.Random(0)
    patients = [10_000_000 + study * 2 // 7 for study in range(_MIMIC_STUDIES)]
    images = [
        ("-".join(f"{rng.getrandbits(32):08x}" for _ in range(5)), image % _MIMIC_STUDIES)
        for image in range(_MIMIC_IMAGES)
    ]

    def metadata() -> Iterator[Sequence[object]]:
        for name, study in images:
            view = rng.choice(("AP", "PA", "LATERAL", "LL", ""))
            what = "CHEST (PA AND LAT)"
            date, hour = 21_500_101 + study % 50 * 10_000, f"{rng.uniform(0, 235959):.3f}"
            yield (
                *(name, patients[study], 50_000_000 + study, what, view, 3056, 2544, date, hour),
                *(what, "postero-anterior", "Erect"),
            )

    def split() -> Iterator[Sequence[object]]:
        for name, study in images:
            patient = patients[study]
            part = {0: "validate", 1: "test"}.get(patient % 100, "train")
            yield name, 50_000_000 + study, patient, part

    def labels() -> Iterator[Sequence[object]]:
        for study, patient in enumerate(patients):
            yield patient, 50_000_000 + study, *rng.choices(_CELLS, k=14)

    start = "mimic-cxr-2.0.0-"
    head = (
        *("dicom_id", "subject_id", "study_id", "PerformedProcedureStepDescription"),
        *("ViewPosition", "Rows", "Columns", "StudyDate", "StudyTime"),
        *("ProcedureCodeSequence_CodeMeaning", "ViewCodeSequence_CodeMeaning"),
        "PatientOrientationCodeSequence_CodeMeaning",
    )
    _written(folder / f"{start}metadata.csv.gz", head, metadata())
    head = ("dicom_id", "study_id", "subject_id", "split")
    _written(folder / f"{start}split.csv.gz", head, split())
    subjects = sorted(set(patients))
    head = ("subject_id", "gender", "anchor_age", "anchor_year", "anchor_year_group", "dod")
    people = ((each, "FM"[each % 2], 20 + each % 72, 2150, "2011 - 2013", "") for each in subjects)
    (folder / "hosp").mkdir(exist_ok=True)
    _written(folder / "hosp/patients.csv.gz", head, people)
    head = ("subject_id", "study_id", *sorted(_CHEXPERT))
    return _written(folder / f"{start}chexpert.csv.gz", head, labels())


def padchest(folder: Path) -> Path:
    """160,861 records like PadChest's, some on two lines."""
    rng = random.Random(0)
    items = ("normal", "pneumonia", "pleural effusion", "cardiomegaly", "nodule", "scoliosis")
    items += tuple(f"item {number}" for number in range(60))
    head = (
        *("", "ImageID", "ImageDir", "StudyDate_DICOM", "StudyID", "PatientID", "PatientBirth"),
        *("PatientSex_DICOM", "ViewPosition_DICOM", "Projection"),
        *(f"column {number}" for number in range(19)),
        *("Report", "MethodLabel", "Labels", "Localizations", "Sentences", "labelCUIS", "CUIS"),
    )

    def rows() -> Iterator[Sequence[object]]:
        for row in range(160_861):
            study, patient = f"{row // 2:038}", f"{9 * 10**37 + row // 3}"
            labels = rng.choices(items, k=rng.randrange(1, 5))
            cuis = "['C0000001' 'C0000002'\n 'C0000003']" if row % 28 == 0 else "['C0000001']"
            yield (
                *(row, f"{study}_{row}.png", row % 50, 20_140_507, study, patient, "1950.0"),
                *(rng.choice("MF"), "nan", rng.choice(("PA", "PA", "L", "AP_horizontal"))),
                *(["None"] * 19),
                *(" word" * 30, "RNN_model", labels, [], [labels], cuis, []),
            )

    return _written(folder / "PADCHEST.csv", head, rows())


TARGETS = {
    "chexpert": Target("chexpert", chexpert, 2.5),
    "mimic-cxr": Target("mimic-cxr", mimic, 4),
    "padchest": Target("padchest", padchest, 5),
}


def _written(path: Path, head: Sequence[str], rows: Iterator[Sequence[object]]) -> Path:
    with gzip.open(path, "wb", 6) if path.suffix == ".gz" else path.open("wb") as raw:
        file = io.TextIOWrapper(raw, newline="")  # type: ignore[arg-type,type-var]
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(rows)
        file.flush()
    return path


def measured(recipe: str, table: Path) -> tuple[float, float, float, dict[str, object]]:
    """Seconds, processor seconds, peak MiB and the report of an audit of this table."""
    command = [sys.executable, "-m", "cxr_tui", "audit", recipe, "--labels-only", "--json"]
    with tempfile.TemporaryFile() as out:
        start = time.perf_counter()
        process = subprocess.Popen([*command, "--set", f"dataset.labels={table}"], stdout=out)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        report = json.loads(out.read())
    processor_seconds = usage.ru_utime + usage.ru_stime
    return seconds, processor_seconds, usage.ru_maxrss * 1024 / _MIB, report


def main() -> None:
    """Make the tables, audit each three times and print the fastest beside its target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=TARGETS, default=list(TARGETS))
    parser.add_argument("--keep", type=Path, help="where the tables are kept for the next time")
    arguments = parser.parse_args()
    print("| audit | target | took | of processor time | memory |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as temporary:
        for name in arguments.only:
            target = TARGETS[name]
            folder = (arguments.keep or Path(temporary)) / name
            kept = folder / "table.txt"
            if not kept.is_file():
                folder.mkdir(parents=True, exist_ok=True)
                kept.write_text(str(target.make(folder)))
            table = Path(kept.read_text())
            runs = [measured(target.recipe, table) for _ in range(3)]
            seconds, processor_seconds = (min(run[place] for run in runs) for place in (0, 1))
            mib = max(run[2] for run in runs)
            images = runs[0][3]["images"]
            print(
                f"| {name}, {images:,} images | {target.seconds} s, {target.mib:.0f} MiB "
                f"| {seconds:.2f} s | {processor_seconds:.2f} s | {mib:.0f} MiB |",
                flush=True,
            )


if __name__ == "__main__":
    main()
