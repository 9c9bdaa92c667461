"""The terms of the console's figures: two sentences each, the formula, and where to read on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple


class Term(NamedTuple):
    """A term, what it is in two sentences, its formula or '', and a page of the documents.

    ``also``: what else stands for it in heads, cells and sentences.
    """

    name: str
    text: str
    formula: str
    page: str
    also: tuple[str, ...] = ()


TERMS = (
    Term(
        "AUPRC",
        "The area under the curve of precision over recall, as average precision. Chance is the "
        "prevalence, so values of parts with different prevalence can't be compared.",
        "sum over thresholds of (recall gained) × precision",
        "docs/results.md",
        ("average precision",),
    ),
    Term(
        "AUROC",
        "The chance that a random positive image scores higher than a random negative one. 0.5 is "
        "chance, 1 is perfect, and the prevalence doesn't change it.",
        "P(score of a positive > score of a negative) + ½ P(equal)",
        "docs/results.md",
        ("ROC", "AUROCs"),
    ),
    Term(
        "base rate",
        "The loss of the best answer that is the same for every image. A train loss that stays "
        "there has learnt nothing from the images.",
        "mean over findings of −p ln p − (1 − p) ln(1 − p), p the prevalence",
        "docs/auc-0.5.md",
    ),
    Term(
        "Brier score",
        "The mean squared distance of probabilities from labels; 0 is perfect. It is uncertainty "
        "(the prevalence's own), plus miscalibration, minus discrimination.",
        "mean of (p − label)²",
        "docs/calibration.md",
        ("Brier", "scaled Brier"),
    ),
    Term(
        "calibration",
        "Whether probabilities mean what they say: of images at 0.3, three in ten have the "
        "finding. A network can rank well and still be badly calibrated.",
        "share of positives in a bin against its mean probability",
        "docs/calibration.md",
        ("calibrated", "miscalibrated", "recalibrated"),
    ),
    Term(
        "calibration in the large",
        "The intercept of labels on logits with slope 1: how far all probabilities are off. "
        "0 is perfect, a negative one means probabilities that are too high.",
        "the a that fits ln(p / (1 − p)) of labels = a + logit of the score",
        "docs/calibration.md",
        ("intercept", "observed/expected", "obs/exp"),
    ),
    Term(
        "calibration slope",
        "The slope of labels on logits. A perfect one is 1, and below 1 probabilities are too "
        "extreme, as after overfitting.",
        "the b that fits logit of labels = a + b × logit of the score",
        "docs/calibration.md",
        ("slope",),
    ),
    Term(
        "decision curve",
        "Net benefit over the threshold, beside treating all and treating none. A score is worth "
        "acting on where its curve is above both.",
        "",
        "docs/calibration.md",
        ("treat all", "treat none"),
    ),
    Term(
        "ECE",
        "Expected calibration error: the mean distance between the mean score and the share of "
        "positives over ten bins of equal size. It is never 0 on few images, so it stands beside "
        "what a perfectly calibrated model would show.",
        "sum over groups of |positives − summed scores| / images",
        "docs/calibration.md",
        ("expected calibration error",),
    ),
    Term(
        "effective patients",
        "How many independent patients an interval rests on. Images of one patient resemble each "
        "other, so they count for less than as many patients.",
        "(Σm)² / Σm² for m images of each patient",
        "docs/intervals.md",
        ("effective number",),
    ),
    Term(
        "Holm",
        "Corrects p values for looking at several findings: the smallest is multiplied by their "
        "number, the next by one fewer. So chance alone calls any of them different in at most "
        "one comparison of twenty.",
        "p(i) × (m − i + 1), never below the one before; m findings, p(1) the smallest",
        "docs/compare.md",
        ("p (Holm)", "p_holm", "Holm's correction"),
    ),
    Term(
        "interval",
        "The range that holds the true value in 95 of 100 repetitions with other patients. Two "
        "figures whose intervals overlap widely may not differ at all.",
        "",
        "docs/intervals.md",
        ("intervals",),
    ),
    Term(
        "IoBB",
        "The share of the map's region that lies inside the box. It forgives a region that is "
        "smaller than the lesion, which IoU punishes.",
        "area(region ∩ box) / area(region)",
        "docs/maps.md",
    ),
    Term(
        "IoU",
        "How well the map's region and the box coincide, from 0 to 1. Both too large and too "
        "small a region lower it.",
        "area(region ∩ box) / area(region ∪ box)",
        "docs/maps.md",
    ),
    Term(
        "logit",
        "The network's output before the sigmoid, of any sign and size. 0 is a probability of "
        "one half.",
        "ln(p / (1 − p))",
        "docs/results.md",
        ("logits", "log-odds"),
    ),
    Term(
        "margin",
        "The difference in AUROC that would not matter, given by --margin. Two runs are called "
        "equal only if the 90 % interval of their difference lies within it.",
        "−margin < AUROC(B) − AUROC(A) < margin, by two one-sided tests",
        "docs/compare.md",
        ("equal within margin",),
    ),
    Term(
        "net benefit",
        "What calls at a threshold are worth, in cases found per image. False alarms count by the "
        "odds of the threshold, since acting from 5 % means that 19 of them are worth one case.",
        "true positives / n − false positives / n × t / (1 − t)",
        "docs/calibration.md",
    ),
    Term(
        "pointing game",
        "Counts a hit where the map's highest point lies in the box. It says nothing of the "
        "size or outline of the region.",
        "hits / images with a box",
        "docs/maps.md",
        ("in the box", "peak", "hit", "miss"),
    ),
    Term(
        "prevalence",
        "The share of a part's images that have the finding. Precision and calibration depend on "
        "it, AUROC doesn't.",
        "positives / (positives + negatives)",
        "docs/your-data.md",
        ("positives",),
    ),
    Term(
        "resident share",
        "Images are kept in CUDA memory if they fit in this share of what is free there. Then no "
        "batch has to be copied to the device; 0 keeps none.",
        "bytes of the images ≤ share × free bytes",
        "docs/gpu-server.md",
        ("resident",),
    ),
    Term(
        "sensitivity, specificity",
        "Sensitivity is the share of positives above the threshold, specificity the share of "
        "negatives below it. Raising the threshold trades the first for the second.",
        "TP / (TP + FN), TN / (TN + FP)",
        "docs/results.md",
        ("sensitivity", "specificity"),
    ),
    Term(
        "subgroup gap",
        "A figure of a group, such as women or AP images, minus that of all other images at the "
        "same threshold. It stands if it is below 5 % after correction for every gap tested.",
        "figure(group) − figure(rest)",
        "docs/subgroups.md",
        ("groups", "subgroups", "gap", "gaps"),
    ),
    Term(
        "table alone",
        "The AUROC of a model that sees age, sex, view and follow-up, but no image. What the "
        "network has beyond it comes from the image.",
        "",
        "docs/results.md",
    ),
    Term(
        "underdiagnosis",
        "The share of images with a finding for which the network calls none: the false positive "
        "rate of No Finding. Who is missed more often than others shows in it by group.",
        "images with a finding and none called / images with a finding",
        "docs/subgroups.md",
        ("missed",),
    ),
    Term(
        "within half a cell",
        "The map's peak lies outside the box, but no further than half a cell of the last feature "
        "map. At that resolution the map can't place it more precisely.",
        "distance of the peak to the box ≤ 16 px at a cell of 32 px",
        "docs/maps.md",
        ("near", "half a cell"),
    ),
    Term(
        "Youden",
        "The threshold, chosen on val, where sensitivity and specificity are largest together. It "
        "weighs a missed lesion as much as a false alarm.",
        "max over thresholds of sensitivity + specificity − 1",
        "docs/results.md",
        ("Youden's index",),
    ),
)
"""Sorted by name, whatever the case of its letters."""


class Found(NamedTuple):
    """A term in a text, at ``text[start:end]``."""

    term: Term
    start: int
    end: int


def terms_in(text: str) -> Sequence[Found]:
    """The terms that are words of the text, in their order there, whatever the case of letters."""
    by_name, pattern = _names()
    return [
        Found(by_name[match[0].casefold()], match.start(), match.end())
        for match in pattern.finditer(text)
    ]


@cache
def _names() -> tuple[dict[str, Term], re.Pattern[str]]:
    """Each name of each term, and a pattern of all of them: the longest that fits."""
    by_name = {name.casefold(): term for term in TERMS for name in (term.name, *term.also)}
    longest_first = sorted(by_name, key=len, reverse=True)
    words = "|".join(map(re.escape, longest_first))
    return by_name, re.compile(rf"(?<![\w-])(?:{words})(?![\w-])", re.IGNORECASE)
