"""``cxr-tui cam SESSION --wrong FINDING``: the most wrong images, as one picture and a table."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from core.errors import UsageError
from core.findings import canonical_finding, did_you_mean
from cxr_tui.arguments import cache_folder
from cxr_tui.reports.notes import WRONG_CAUTION
from cxr_tui.terminal.stdout import print_json, print_table

if TYPE_CHECKING:
    from core.evaluation.part_scores import WrongImage
    from core.store.session import Session


def draw_wrong_sheet(arguments: argparse.Namespace, session: Session) -> int:
    """Write the sheet, and say what is on it; no network is loaded.

    Raises:
        UsageError: the session has no scores of the finding.
        DataError: there are no predictions, or none of the images is there any more.
    """
    from core.evaluation.part_scores import read_part_scores, wrong_images
    from core.evaluation.wrong_sheet import EACH, save_wrong_sheet

    part = arguments.part
    scores = read_part_scores(session, part)
    finding = _known_finding(arguments.wrong, scores.predictions.findings)
    highest, lowest = wrong_images(scores, finding)
    path = arguments.sheet or session.path / f"images-by-error-{finding}-{part}.png"
    cache = cache_folder(arguments.cache)
    save_wrong_sheet(session, cache, finding, part, highest, lowest, path)
    drawn = {"highest": highest[:EACH], "lowest": lowest[:EACH]}
    if arguments.json:
        images = {kind: [_as_json(one) for one in images] for kind, images in drawn.items()}
        print_json({"finding": finding, "part": part, "sheet": str(path), **images})
        return 0
    rows = [
        [kind, one.image, ", ".join(one.others) or "–", f"{one.score:.4f}"]
        for kind, images in zip(("absent", "present"), drawn.values(), strict=True)
        for one in images
    ]
    title = f"{finding}, {part}: the images that the scores get most wrong"
    head = ["labelled", "image", "other findings", "score"]
    print_table(title, head, rows, left=3, notes=[f"written: {path}", WRONG_CAUTION])
    return 0


def _known_finding(name: str, known: Sequence[str]) -> str:
    finding = canonical_finding(name) or name
    if finding in known:
        return finding
    raise UsageError(
        f"this session has no scores of {name!r}",
        where="--wrong",
        why="Its recipe does not name the finding.",
        remedy=did_you_mean(name, known) or f"It has {', '.join(known)}.",
    )


def _as_json(wrong: WrongImage) -> dict[str, Any]:
    return {
        "image": wrong.image,
        "patient": wrong.patient,
        "score": round(wrong.score, 6),
        "other_findings": list(wrong.others),
    }
