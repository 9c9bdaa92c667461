"""How long a report of NIH's whole test part takes: 25,596 images, 14 findings, 112,120 rows.

    CXR_NIH_DIR=… python tests/bench/report_speed.py [FOLDER]

The session is made from NIH's own tables and lists with scores that were drawn; its images are
those that the folder has.
"""

import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from core.data.study.study import prepare_study, write_split
from core.document.report import write_report
from core.evaluation.part_report import report_of_session
from core.evaluation.predictions import Predictions, write_predictions
from core.recipe_toml import load_recipe
from core.store.session import Session
from core.store.sessions import create_session


def full_session(nih: Path, folder: Path) -> Session:
    """A session of the official parts, scored as a network with an AUROC of about 0.8 would."""
    recipe = load_recipe("nih-14", [f"dataset.images={nih}", "dataset.partial=true"])
    session = create_session(folder, recipe, "full")
    study = prepare_study(recipe, folder / "cache", labels_only=True)
    write_split(session.path / "split.csv", study)
    session.write_json("dataset.json", study.description() | {"test_warnings": []})
    rng = np.random.default_rng(0)
    for part in ("val", "test"):
        rows = study.rows(part)
        labels_NF = study.index.labels_NF[rows]
        logits_NF = rng.normal(size=labels_NF.shape) + 1.2 * np.nan_to_num(labels_NF) - 3
        write_predictions(
            session.predictions / f"{part}.csv",
            Predictions(
                study.index.images[rows],
                study.index.patients[rows],
                study.index.findings,
                labels_NF,
                1 / (1 + np.exp(-logits_NF)),
            ),
        )
    report = report_of_session(session, "test", folder / "cache", study=study)
    session.write_json("evaluation/test.json", report)
    return session


def main() -> None:
    nih = Path(os.environ["CXR_NIH_DIR"])
    with tempfile.TemporaryDirectory() as made:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(made)
        known = Session(folder / "full")
        session = known if known.path.is_dir() else full_session(nih, folder)
        before, wall = time.process_time(), time.perf_counter()
        written = write_report([session], folder / "report.html", folder / "cache")
        found = {
            "seconds": round(time.perf_counter() - wall, 1),
            "processor_seconds": round(time.process_time() - before, 1),
            "megabytes": round(written.size_bytes / 1e6, 2),
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            "load": os.getloadavg()[0],
        }
        print(json.dumps(found))


if __name__ == "__main__":
    main()
