"""Checks of labels, from the audit's numbers: what can't be learnt, and what can't be measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from core.data.study.audit_warnings import percent
from core.health.diagnosis import Diagnosis, Severity
from core.health.words import listed

ENOUGH_TO_MEASURE = 30
"""Positive patients below which an AUROC's interval says more than its value."""

_POSITIVES_IN_A_BATCH = 0.05
_LARGEST_BATCH = 256
_MANY_UNKNOWN, _NEARLY_ALL_UNKNOWN = 0.1, 0.9
_SHIFT = 2.0
_ENOUGH_TO_SHIFT = 10

Report = Mapping[str, Any]


def check_labels(report: Report, *, batch_size: int) -> list[Diagnosis]:
    """What the labels of the parts give away.

    Args:
        report: an audit's (see ``core.data.study.audit.audit``).
        batch_size: images an optimiser step.
    """
    return [
        *_one_class_in_train(report),
        *_unknown(report),
        *_seldom_in_a_batch(report, batch_size),
        *_one_class_in_scored_parts(report),
        *_few_patients(report),
        *_shift(report),
    ]


def _one_class_in_train(report: Report) -> Iterator[Diagnosis]:
    of_train = report["parts"]["train"]["findings"]
    for check, is_alike, what in (
        ("never-positive", _never_positive, "no positive image"),
        ("never-negative", _never_negative, "no negative image"),
    ):
        alike = [
            finding
            for finding, figures in of_train.items()
            if figures["known"] and is_alike(figures)  # of unknown ones is told elsewhere
        ]
        if alike:
            rest = [finding for finding in of_train if finding not in alike]
            yield Diagnosis(
                check=check,
                severity=Severity.WARNING,
                text=f"train has {what} of {listed(alike)}: what never differs can't be learnt.",
                evidence={"findings": len(alike), "of_findings": len(of_train)},
                remedy="Leave such findings out, or split so that train has both classes.",
                changes=(f"dataset.findings=[{', '.join(map(_quoted, rest))}]",) if rest else (),
            )


def _never_positive(figures: Report) -> bool:
    return bool(figures["positives"] == 0)


def _never_negative(figures: Report) -> bool:
    return bool(0 < figures["known"] == figures["positives"])


def _quoted(finding: str) -> str:
    return f'"{finding}"'


def _unknown(report: Report) -> Iterator[Diagnosis]:
    train = report["parts"]["train"]
    shares = {
        finding: 1 - figures["known"] / train["images"]
        for finding, figures in train["findings"].items()
    }
    shares = {finding: share for finding, share in shares.items() if share >= _MANY_UNKNOWN}
    if not shares:
        return
    worst = max(shares, key=lambda finding: shares[finding])
    nearly_all = shares[worst] >= _NEARLY_ALL_UNKNOWN
    named = [f"{finding} ({percent(share)})" for finding, share in shares.items()]
    yield Diagnosis(
        check="labels-unknown",
        severity=Severity.WARNING if nearly_all else Severity.NOTE,
        text=f"Labels in train are unknown for {listed(named)}: such images teach nothing of it.",
        evidence={
            "finding": worst,
            "share_unknown": round(shares[worst], 4),
            "known": train["findings"][worst]["known"],
        },
        remedy="Where an empty cell means that the finding is absent, write 0 into the table.",
    )


def _seldom_in_a_batch(report: Report, batch_size: int) -> Iterator[Diagnosis]:
    of_train = report["parts"]["train"]["findings"]
    in_a_batch = {
        finding: figures["prevalence"] * batch_size
        for finding, figures in of_train.items()
        if figures["prevalence"]
    }
    rare = [finding for finding, mean in in_a_batch.items() if mean < _POSITIVES_IN_A_BATCH]
    if not rare:
        return
    rarest = min(rare, key=lambda finding: in_a_batch[finding])
    named = [f"{finding} (1 batch in {1 / in_a_batch[finding]:,.0f})" for finding in rare]
    larger = _batch_with(_POSITIVES_IN_A_BATCH, of_train[rarest]["prevalence"], batch_size)
    yield Diagnosis(
        check="positives-rare",
        severity=Severity.NOTE,
        text=f"Few batches of {batch_size} hold a positive image of {listed(named)}: "
        "it will be learnt late, if at all.",
        evidence={
            "finding": rarest,
            "positives_per_batch": round(in_a_batch[rarest], 4),
            "positives_per_epoch": of_train[rarest]["positives"],
        },
        remedy="Train for longer or with larger batches before judging it.",
        changes=(f"train.batch_size={larger}",) if larger else (),
    )


def _batch_with(positives: float, prevalence: float, batch_size: int) -> int | None:
    """The batch, doubled until it holds so many on average; None where that takes too many."""
    while batch_size * prevalence < positives:
        batch_size *= 2
    return batch_size if batch_size <= _LARGEST_BATCH else None


def _one_class_in_scored_parts(report: Report) -> Iterator[Diagnosis]:
    def is_alike(figures: Report) -> bool:
        return _never_positive(figures) or _never_negative(figures)

    told = _named_by_part(report, is_alike, lambda finding, _: finding)
    if told:
        yield Diagnosis(
            check="auroc-undefined",
            severity=Severity.NOTE,
            text="An AUROC needs positive and negative images, and will be undefined and left out "
            f"for {_by_part(told)}.",
            evidence={f"findings_in_{part}": len(names) for part, names in told.items()},
            remedy="Make the part larger, or split so that it has both.",
        )


def _few_patients(report: Report) -> Iterator[Diagnosis]:
    def is_few(figures: Report) -> bool:
        return bool(0 < figures["positive_patients"] < ENOUGH_TO_MEASURE)

    told = _named_by_part(report, is_few, lambda name, of: f"{name} ({of['positive_patients']})")
    if told:
        fewest = {
            f"fewest_in_{part}": min(
                figures["positive_patients"]
                for figures in report["parts"][part]["findings"].values()
                if is_few(figures)
            )
            for part in told
        }
        yield Diagnosis(
            check="patients-few",
            severity=Severity.NOTE,
            text=f"Fewer than {ENOUGH_TO_MEASURE} patients are positive for {_by_part(told)}: read "
            "the interval first and the AUROC second.",
            evidence=fewest,
            remedy="Only more patients in the part narrow an interval.",
        )


def _named_by_part(
    report: Report, is_meant: Callable[[Report], bool], name: Callable[[str, Report], str]
) -> dict[str, list[str]]:
    """The findings that are meant, named, rarest first, in val and in test, where there are any."""
    named = {
        part: [
            name(finding, figures)
            for finding, figures in _fewest_first(report, part)
            if is_meant(figures)
        ]
        for part in ("val", "test")
    }
    return {part: names for part, names in named.items() if names}


def _fewest_first(report: Report, part: str) -> list[tuple[str, Report]]:
    by_finding: Mapping[str, Report] = report["parts"][part]["findings"]
    return sorted(by_finding.items(), key=lambda item: int(item[1]["positive_patients"]))


def _by_part(told: Mapping[str, list[str]]) -> str:
    return ", and ".join(f"{listed(names, most=6)} in {part}" for part, names in told.items())


def _shift(report: Report) -> Iterator[Diagnosis]:
    shifted: list[tuple[float, str]] = []
    for finding, ratio in report["shift"].items():
        train, test = (report["parts"][part]["findings"][finding] for part in ("train", "test"))
        fewest = min(train["positive_patients"], test["positive_patients"])
        if ratio and fewest >= _ENOUGH_TO_SHIFT and max(ratio, 1 / ratio) >= _SHIFT:
            change = f"{percent(train['prevalence'], 2)} to {percent(test['prevalence'], 2)}"
            shifted.append((max(ratio, 1 / ratio), f"{finding} ({change})"))
    if shifted:
        shifted.sort(reverse=True)
        yield Diagnosis(
            check="prevalence-shift",
            severity=Severity.NOTE,
            text="Prevalence changes by a factor of 2 or more from train to test: "
            f"{listed([text for _, text in shifted])}.",
            evidence={"findings": len(shifted), "largest_factor": round(shifted[0][0], 3)},
            remedy="Precision and calibration will differ between them; AUROC needn't.",
        )
