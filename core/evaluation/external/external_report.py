"""The report of another data set: the figures of a part, each beside the session's own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from core.data.study.audit import policy_of
from core.data.study.audit_report import policy_in_words
from core.evaluation.calibrating.recalibration import Recalibration
from core.evaluation.external.because import Sample, because_of
from core.evaluation.external.case_mix import CaseMix, case_mix
from core.evaluation.external.differences import compared_finding, compared_mean, placed_pairs
from core.evaluation.external.external_data import WHOLE, ExternalData
from core.evaluation.external.external_scores import DecodedData
from core.evaluation.external.own_side import OwnSide
from core.evaluation.external.seen_before import NAMED, NONE, Seen
from core.evaluation.finding_report import patients_or_images
from core.evaluation.part_report import official_part_of
from core.evaluation.predicting.predictor import Predictor
from core.evaluation.predictions import Predictions, only
from core.evaluation.report import EvaluationContext, evaluate
from core.evaluation.subgroups.groups import attributes_of
from core.evaluation.table_baseline import table_alone


def external_report(
    predictions: Predictions,
    decoded: DecodedData,
    own: OwnSide,
    predictor: Predictor,
    seen: Seen,
    warnings: tuple[str, ...] = (),
) -> dict[str, Any]:
    """The keys of ``core.evaluation.report`` with those of the comparison; JSON values.

    Each finding also has ``internal`` (its AUROC on the session's test), ``internal_ci``,
    ``difference``, ``difference_ci``, ``compared`` with every figure, and the keys of
    ``core.evaluation.external.because``. ``external`` says what was scored.
    """
    data = decoded.data
    settings = predictor.session.recipe.evaluate
    context = EvaluationContext(
        split=data.part,
        split_kind="unknown" if data.part == WHOLE else data.recipe.split.by,
        kind=data.index.table.kind,
        official_part=official_part_of(data.index.table, decoded.rows_N),
        operating_point=settings.operating_point,
        bootstrap=settings.bootstrap,
        seed=settings.seed,
        val=own.val,
        recalibration=predictor.recalibration,
    )
    table = data.index.table
    report = evaluate(
        predictions,
        replace(
            context,
            views=None if table.view_N is None else table.view_N[decoded.rows_N],
            table_alone=_table_alone(data, decoded, own),
            extra_warnings=(*_marked(seen), *warnings, *data.warnings, *own.notes),
            dataset_share=data.study.share_of_table,
            label_table=data.label_table,
            labels_note=table.labels_note,
            label_policy=(*_policy_in_words(data), *table.notes),
            patients_are_known=table.patients_are_known,
            attributes=attributes_of(table.take(decoded.rows_N)),
        ),
    )
    test = None if own.test is None else only(own.test, data.findings)
    internal = None if test is None else evaluate(test, replace(context, split="test"))
    shown = _as_shown(predictions, predictor.recalibration)
    shown_test = None if test is None else _as_shown(test, predictor.recalibration)
    pairs, has_intervals = placed_pairs(predictions, test), settings.bootstrap > 0
    mix = case_mix(table.take(decoded.rows_N), own.test_table())
    for column, (name, figures) in enumerate(report["findings"].items()):
        theirs = None if internal is None else internal["findings"][name]
        here = _sample(shown, column)
        there = None if shown_test is None else _sample(shown_test, column)
        every = compared_finding(figures, theirs, pairs[column], with_intervals=has_intervals)
        figures |= _beside(every) | because_of(here, there, mix, with_intervals=has_intervals)
    report["case_mix"] = {
        "columns": [] if mix is None else list(mix.columns),
        "note": _about(mix, own),
    }
    report["mean"] = compared_mean(data.findings, pairs, with_intervals=has_intervals)
    report["seen"] = seen.to_json()
    report["external"] = _described(data, decoded, predictor)
    report["internal"] = {
        "session": predictor.session.name,
        "part": "test",
        "images": None if internal is None else internal["images"],
        "patients": None if internal is None else internal["patients"],
    }
    return report


def _about(mix: CaseMix | None, own: OwnSide) -> str | None:
    if own.test is None:
        return "the session has no test figures yet"
    return "the session's own table is not known" if mix is None else mix.note or None


def _policy_in_words(data: ExternalData) -> list[str]:
    """What uncertain labels and blank cells of the whole table became; nothing is trained here."""
    policy = policy_of(data.index)
    uncertain = sum(row["uncertain_labels"] for row in policy["by_finding"].values())
    words = [f"{uncertain:,} uncertain labels are left out"] if uncertain else []
    return words + [one for one in policy_in_words(policy) if "findings not mentioned" in one]


def _table_alone(data: ExternalData, decoded: DecodedData, own: OwnSide) -> Any:
    """What age, sex and view alone reach there, fitted on the session's train part."""
    train = own.train_table()
    if train is None or not all(name in train.findings for name in data.findings):
        return None
    here = data.index.table.take(decoded.rows_N)
    # Follow-up numbers mean something else elsewhere.
    train, here = replace(train, follow_up_N=None), replace(here, follow_up_N=None)
    called_alike = dict(zip(data.findings, data.index.findings, strict=True))
    renamed = tuple(
        next((ours for ours, theirs in called_alike.items() if theirs == name), name)
        for name in here.findings
    )
    return table_alone(train, replace(here, findings=renamed), data.findings)


def _marked(seen: Seen) -> tuple[str, ...]:
    """What every reader of these figures must know, if somebody insisted on them."""
    if seen.level == NONE:
        return ()
    many = "are" if seen.level == NAMED else "may be"
    return (*seen.messages, f"These figures {many} too good: they were insisted on (--insist).")


def _as_shown(predictions: Predictions, recalibration: Recalibration | None) -> Predictions:
    """With recalibrated probabilities, if the session has a recalibration."""
    return predictions if recalibration is None else recalibration.predictions(predictions)


def _sample(predictions: Predictions, column: int) -> Sample:
    return Sample.of(
        predictions.labels_NF[:, column],
        predictions.scores_NF[:, column],
        patients_or_images(predictions),
    )


def _beside(every: dict[str, dict[str, Any]]) -> dict[str, Any]:
    auroc = every["auroc"]
    return {
        "internal": auroc["internal"],
        "internal_ci": auroc["internal_ci"],
        "difference": auroc["difference"],
        "difference_ci": auroc["difference_ci"],
        "compared": every,
    }


def _described(data: ExternalData, decoded: DecodedData, predictor: Predictor) -> dict[str, Any]:
    table = data.index.table
    images = data.study.sources.images
    return {
        "part": data.part,
        "collection": table.version,
        "images_folder": None if images is None else str(images),
        "labels": str(data.study.sources.labels),
        "fingerprint": data.index.fingerprint(),
        "label_table_sha256": table.digest,
        "checkpoint": predictor.checkpoint,
        "findings": {name: data.spelt.get(name, name) for name in data.findings},
        "without_counterpart": list(data.without_counterpart),
        "not_learnt": list(data.not_learnt),
        "undecodable": int(len(data.rows_N) - len(decoded.rows_N)),
        "missing_images": data.index.missing_images,
        "counts": [vars(count) for count in data.index.counts],
    }
