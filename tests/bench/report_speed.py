"""How long a report of NIH's official test part takes, and a comparison of two sessions on it.

    CXR_NIH_DIR=… python tests/bench/report_speed.py [FOLDER]

25,596 images, 14 findings, a table of 112,120 rows. The sessions are made from NIH's own tables and
lists with scores that were drawn; their images are those that the folder has.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.special import expit, logit

from core.data.study.study import prepare_study, write_split
from core.document.report import write_report
from core.evaluation.part_report import report_of_session
from core.evaluation.predictions import Predictions, read_predictions, write_predictions
from core.recipe_toml import load_recipe
from core.store.session import Session
from core.store.sessions import create_session


def full_session(nih: Path, folder: Path) -> Session:
    """A session of the official parts, scored as a network with an AUROC of about 0.8 would."""
    recipe = load_recipe("strong", [f"dataset.images={nih}", "dataset.partial=true"])
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


def rescored(session: Session, path: Path) -> Session:
    """The same session with scores of another network."""
    shutil.copytree(session.path, path)
    rng = np.random.default_rng(1)
    for part in ("val", "test"):
        file = path / "predictions" / f"{part}.csv"
        old = read_predictions(file)
        logits_NF = logit(old.scores_NF) + rng.normal(0, 0.5, old.scores_NF.shape)
        write_predictions(file, replace(old, scores_NF=expit(logits_NF)))
    return Session(path)


def compared(before: Session, after: Session) -> dict[str, float]:
    """The command in a process of its own."""
    command = [sys.executable, "-m", "cxr_tui", "compare", before.path, after.path, "--json"]
    wall = time.perf_counter()
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - wall
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "images": json.loads(done.stdout)["images"],
        "seconds": round(seconds, 1),
        "processor_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_mib": usage.ru_maxrss // 1024,
    }


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
        print(json.dumps({"report": found}))
        other = Session(folder / "other")
        other = other if other.path.is_dir() else rescored(session, other.path)
        print(json.dumps({"compare": compared(session, other)}))


if __name__ == "__main__":
    main()
