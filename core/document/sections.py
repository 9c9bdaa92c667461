"""A session's report, section by section."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator

from core.document.blocks import Block, Chart, FlowChart, Section, Words
from core.document.calibration_table import calibration_table, recalibration_blocks
from core.document.data_pairs import data_blocks, model_pairs
from core.document.environment_rows import environment_pairs
from core.document.external_table import external_blocks
from core.document.facts import Facts
from core.document.figures.curves import finding_chart
from core.document.figures.forest import forest_chart
from core.document.figures.training import training_chart
from core.document.flow import flow_of, quarantined_by_part
from core.document.health_table import health_blocks
from core.document.ledger_words import ledger_words
from core.document.localization_table import localization_blocks
from core.document.parts_table import parts_table, recorded_parts_table
from core.document.pictures import EACH, map_pictures, wrong_pictures
from core.document.recipe_rows import recipe_blocks
from core.document.result_tables import operating_points, result_table, views_table
from core.document.subgroup_blocks import subgroup_blocks
from core.document.values import table
from core.regular_file import open_regular


def sections_of(facts: Facts, *, prefix: str = "", with_images: bool = True) -> list[Section]:
    """Every section that the session has content for, in order.

    Args:
        prefix: begins each anchor, for reports of several sessions.
        with_images: whether pictures and names of images are shown.
    """
    found = [
        *_data_sections(facts),
        *_run_sections(facts),
        *_result_sections(facts),
        *_looking_sections(facts, with_images=with_images),
        Section("environment", "Environment, time and energy", environment_pairs(facts)),
        Section("ledger", "Looks at the test part", [ledger_words(facts.looks)]),
    ]
    return [
        Section(prefix + one.anchor, one.title, one.blocks, one.lead) for one in found if one.blocks
    ]


def _data_sections(facts: Facts) -> Iterator[Section]:
    lead = "From the label table to the images that were scored; what left, and why."
    yield Section("flow", "Flow of images and patients", [_flow(facts)], lead)
    yield Section("data", "Data, labels and split", data_blocks(facts))
    if facts.study is not None:
        parts = parts_table(facts.study)
    else:
        parts = recorded_parts_table(facts.described, facts.study_missing)
    yield Section("parts", "Parts", [parts])


def _run_sections(facts: Facts) -> Iterator[Section]:
    yield Section("model", "Network", [model_pairs(facts)])
    yield Section("recipe", "Recipe", recipe_blocks(facts.recipe))
    chart = training_chart(facts.history, f"{_id(facts)}-training")
    yield Section("training", "Training", [chart] if chart is not None else [])
    yield Section("health", "What health said", health_blocks(facts))


def _result_sections(facts: Facts) -> Iterator[Section]:
    forest = forest_chart(facts.report, f"{_id(facts)}-forest")
    charts: list[Block] = [] if forest is None else [forest]
    ended = "" if facts.state == "finished" else _NOT_FINISHED.format(facts.state)
    yield Section("results", "Results on test", [*charts, result_table(facts.report)], ended)
    yield Section("points", "Operating points", [operating_points(facts.report)])
    views = views_table(facts.report)
    yield Section("views", "View positions", [] if views is None else [views])
    yield Section("curves", "Curves of each finding", _curves(facts), _CURVES_LEAD)
    calibrated = calibration_table(table(facts.report.get("calibration")), "Calibration on test")
    yield Section("calibration", "Calibration", [] if calibrated is None else [calibrated])
    yield Section("recalibration", "Recalibration", recalibration_blocks(facts.report))
    groups = subgroup_blocks(facts.report, f"{_id(facts)}-groups")
    yield Section("subgroups", "Subgroups", groups)
    yield Section("external", "Other data sets", external_blocks(facts.session))


_NOT_FINISHED = (
    "The session's last run did not finish ({}): these figures are of the last time that test was "
    "scored, and the curves above may go on beyond it."
)

_CURVES_LEAD = (
    "From left to right: ROC; precision against recall, with the prevalence dashed; the share of "
    "positive images in groups of similar probability, on the diagonal where probabilities mean "
    "what they say; and the decision curve, the net benefit per image of acting from a probability "
    "on, with its 95 % interval, beside acting on every image (dashed) and on none (0). Orange: "
    "the operating point."
)


def _looking_sections(facts: Facts, *, with_images: bool) -> Iterator[Section]:
    localization = facts.localization
    maps = map_pictures(facts) if with_images else None
    blocks: list[Block] = [] if localization is None else localization_blocks(localization)
    yield Section(
        "localization",
        "Where the network looks",
        [*blocks, *([maps] if maps is not None else [])],
    )
    wrong, missing = wrong_pictures(facts, with_images=with_images)
    lead = (
        f"The {EACH} worst images of each kind and finding. Labels may be wrong: look at an image "
        "before you call it an error."
    )
    said: list[Block] = [Words((f"No pictures: {missing}",))] if missing else []
    yield Section("wrong", "The most wrong images", [*said, *wrong] if wrong else [], lead)


def _flow(facts: Facts) -> FlowChart:
    history = facts.history
    reasons = history.ingest.quarantined if history.ingest is not None else {}
    return FlowChart(
        flow_of(
            facts.described,
            facts.report,
            quarantined_by_part(reasons, _parts_of(facts, reasons.keys())) if reasons else {},
            history.ingest.repaired if history.ingest is not None else {},
            history.data.subset if history.data is not None else "",
        )
    )


def _parts_of(facts: Facts, images: Collection[str]) -> dict[str, str]:
    """Image -> part, of these images."""
    try:
        with open_regular(facts.session.path / "split.csv") as stream:
            lines = stream.read().decode(errors="replace").splitlines()
    except OSError:
        return {}
    return {row[0]: row[2] for row in csv.reader(lines) if len(row) > 2 and row[0] in images}


def _curves(facts: Facts) -> list[Block]:
    scores = facts.scores
    if scores is None:
        return [Words((f"The predictions can't be read. {facts.scores_missing}",))]
    charts: list[Chart] = []
    for position, (finding, row) in enumerate(table(facts.report.get("findings")).items()):
        chart = finding_chart(
            scores,
            finding,
            table(row),
            table(table(facts.report.get("decision_curve")).get(finding)),
            f"{_id(facts)}-curve{position}",
        )
        if chart is not None:
            charts.append(chart)
    return list(charts)


def _id(facts: Facts) -> str:
    """Part of the ids of a session's charts, the same whenever its report is written."""
    return "c" + "".join(one if one.isalnum() and one.isascii() else "-" for one in facts.name)
