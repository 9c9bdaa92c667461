"""Checks of labels, from an audit's counts: what can't be learnt, and what can't be measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from core.data.study.audit_report import AuditedFinding, AuditReport
from core.data.study.audit_warnings import percent
from core.health.diagnosis import Diagnosis, Severity
from core.health.words import listed

ENOUGH_TO_MEASURE = 30
"""With fewer positive patients, an AUROC's interval says more than its value."""

_POSITIVES_IN_A_BATCH = 0.05
_LARGEST_BATCH = 256
_MANY_UNKNOWN, _NEARLY_ALL_UNKNOWN = 0.1, 0.9
_FEW_NEGATIVES = 0.1
"""Of the positives: CheXpert's Atelectasis has 1,328 to 33,376."""
_SHIFT = 2.0
_ENOUGH_TO_SHIFT = 10


def check_labels(report: AuditReport, *, batch_size: int) -> list[Diagnosis]:
    """Check the labels of all parts.

    Args:
        report: an audit's report (see ``core.data.study.audit.audit``).
        batch_size: images in an optimiser step.
    """
    return [
        *_one_class_in_train(report),
        *_unknown(report),
        *_few_negatives(report),
        *_seldom_in_a_batch(report, batch_size),
        *_one_class_in_scored_parts(report),
        *_few_patients(report),
        *_shift(report),
    ]


def _one_class_in_train(report: AuditReport) -> Iterator[Diagnosis]:
    of_train = report["parts"]["train"]["findings"]
    for check, is_alike, what in (
        ("never-positive", _never_positive, "no positive image"),
        ("never-negative", _never_negative, "no negative image"),
    ):
        alike = [
            finding
            for finding, figures in of_train.items()
            if figures["known"] and is_alike(figures)  # `_unknown` reports unknown labels
        ]
        if alike:
            rest = [finding for finding in of_train if finding not in alike]
            yield Diagnosis(
                check=check,
                severity=Severity.WARNING,
                text=f"train has {what} of {listed(alike)}: a label that never differs can't be "
                "learnt.",
                evidence={"findings": len(alike), "of_findings": len(of_train)},
                remedy="Leave such findings out, or split so that train has both classes.",
                changes=(f"dataset.findings=[{', '.join(map(_quoted, rest))}]",) if rest else (),
            )


def _never_positive(figures: AuditedFinding) -> bool:
    return bool(figures["positives"] == 0)


def _never_negative(figures: AuditedFinding) -> bool:
    return bool(0 < figures["known"] == figures["positives"])


def _quoted(finding: str) -> str:
    return f'"{finding}"'


def _unknown(report: AuditReport) -> Iterator[Diagnosis]:
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
        text=f"Labels in train are unknown for {listed(named)}: these images teach nothing about "
        "that finding.",
        evidence={
            "finding": worst,
            "share_unknown": round(shares[worst], 4),
            "known": train["findings"][worst]["known"],
        },
        remedy="If an empty cell means that the finding is absent, set labels.blank=absent.",
    )


def _few_negatives(report: AuditReport) -> Iterator[Diagnosis]:
    """Where blank cells are unknown, what is left as absent may be another question."""
    policy = report["label_policy"]["by_finding"]
    of_train = report["parts"]["train"]["findings"]
    few = {}
    for finding, figures in of_train.items():
        rule = policy.get(finding)
        negatives = figures["known"] - figures["positives"]
        is_masked = rule is not None and "unknown" in rule["blank"] and rule["blank_labels"] > 0
        if is_masked and 0 < negatives < _FEW_NEGATIVES * figures["positives"]:
            few[finding] = negatives
    if not few:
        return
    fewest = min(few, key=lambda finding: few[finding])
    named = [f"{finding} ({negatives:,})" for finding, negatives in few.items()]
    yield Diagnosis(
        check="negatives-few",
        severity=Severity.WARNING,
        text=f"With blanks masked, few negatives are left in train of {listed(named)}: the network "
        "meets an absent finding only where a report denies it.",
        evidence={
            "finding": fewest,
            "negatives": few[fewest],
            "positives": of_train[fewest]["positives"],
        },
        remedy="If what a report doesn't mention is absent, set labels.blank=absent.",
        changes=("labels.blank=absent",),
    )


def _seldom_in_a_batch(report: AuditReport, batch_size: int) -> Iterator[Diagnosis]:
    of_train = report["parts"]["train"]["findings"]
    prevalences = {finding: of["prevalence"] or 0.0 for finding, of in of_train.items()}
    in_a_batch = {name: share * batch_size for name, share in prevalences.items() if share}
    rare = [finding for finding, mean in in_a_batch.items() if mean < _POSITIVES_IN_A_BATCH]
    if not rare:
        return
    rarest = min(rare, key=lambda finding: in_a_batch[finding])
    named = [f"{finding} (1 batch in {1 / in_a_batch[finding]:,.0f})" for finding in rare]
    larger = _batch_with(_POSITIVES_IN_A_BATCH, prevalences[rarest], batch_size)
    yield Diagnosis(
        check="positives-rare",
        severity=Severity.NOTE,
        text=f"Few batches of {batch_size} contain a positive image of {listed(named)}: it will be "
        "learnt late, if at all.",
        evidence={
            "finding": rarest,
            "positives_per_batch": round(in_a_batch[rarest], 4),
            "positives_per_epoch": of_train[rarest]["positives"],
        },
        remedy="Train for longer or with larger batches before judging it.",
        changes=(f"train.batch_size={larger}",) if larger else (),
    )


def _batch_with(positives: float, prevalence: float, batch_size: int) -> int | None:
    """The batch size, doubled until batches hold enough positives on average; None if too large."""
    while batch_size * prevalence < positives:
        batch_size *= 2
    return batch_size if batch_size <= _LARGEST_BATCH else None


def _one_class_in_scored_parts(report: AuditReport) -> Iterator[Diagnosis]:
    def is_alike(figures: AuditedFinding) -> bool:
        return _never_positive(figures) or _never_negative(figures)

    told = _named_by_part(report, is_alike, lambda finding, _: finding)
    if told:
        yield Diagnosis(
            check="auroc-undefined",
            severity=Severity.NOTE,
            text="An AUROC needs positive and negative images: it is undefined, and left out of "
            f"the mean, for {_by_part(told)}.",
            evidence={f"findings_in_{part}": len(names) for part, names in told.items()},
            remedy="Make the part larger, or split so that it has both.",
        )


def _few_patients(report: AuditReport) -> Iterator[Diagnosis]:
    def is_few(figures: AuditedFinding) -> bool:
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
    report: AuditReport,
    is_meant: Callable[[AuditedFinding], bool],
    name: Callable[[str, AuditedFinding], str],
) -> dict[str, list[str]]:
    """Names of the findings that the predicate selects, rarest first, for val and test."""
    named = {
        part: [
            name(finding, figures)
            for finding, figures in _fewest_first(report, part)
            if is_meant(figures)
        ]
        for part in ("val", "test")
    }
    return {part: names for part, names in named.items() if names}


def _fewest_first(report: AuditReport, part: str) -> list[tuple[str, AuditedFinding]]:
    by_finding = report["parts"][part]["findings"]
    return sorted(by_finding.items(), key=lambda item: int(item[1]["positive_patients"]))


def _by_part(told: Mapping[str, list[str]]) -> str:
    return ", and ".join(f"{listed(names, most=6)} in {part}" for part, names in told.items())


def _shift(report: AuditReport) -> Iterator[Diagnosis]:
    shifted: list[tuple[float, str]] = []
    for finding, ratio in report["shift"].items():
        train, test = (report["parts"][part]["findings"][finding] for part in ("train", "test"))
        fewest = min(train["positive_patients"], test["positive_patients"])
        if ratio and fewest >= _ENOUGH_TO_SHIFT and max(ratio, 1 / ratio) >= _SHIFT:
            shares = [percent(part["prevalence"] or 0.0, 2) for part in (train, test)]
            change = f"{shares[0]} to {shares[1]}"
            shifted.append((max(ratio, 1 / ratio), f"{finding} ({change})"))
    if shifted:
        shifted.sort(reverse=True)
        yield Diagnosis(
            check="prevalence-shift",
            severity=Severity.NOTE,
            text="Prevalence changes by a factor of 2 or more from train to test: "
            f"{listed([text for _, text in shifted])}.",
            evidence={"findings": len(shifted), "largest_factor": round(shifted[0][0], 3)},
            remedy="Precision and calibration will differ between the two parts; AUROC need not.",
        )
