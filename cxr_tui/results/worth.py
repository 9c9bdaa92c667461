"""What a score is worth: calibration, net benefit, and PPV and NPV at one's own prevalence."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, Static

from core.evaluation.part_scores import PartScores
from core.evaluation.part_worth import calibration_at_hand, checked_share, worth_at
from core.report_shape import PartReport, ReportedDecision
from cxr_tui.console.dialogs import Dialog
from cxr_tui.console.key_words import key_words
from cxr_tui.console.line_input import LineInput
from cxr_tui.reports.worth_lines import calibration_lines, decision_lines, elsewhere_lines
from cxr_tui.terminal.safe_text import visible
from cxr_tui.widgets.line_chart import Chart, Line, LineChart

_CHART_FROM = 40
"""Rows of a terminal that have room for the curve beside its table."""


class WorthDialog(Dialog[None]):
    """One finding's; PPV and NPV follow the prevalence while it is typed."""

    CSS = """
    WorthDialog > Vertical { width: 84; overflow-y: auto; }
    WorthDialog Input { width: 20; height: 1; border: none; padding: 0; }
    WorthDialog #asked { height: 1; margin: 1 0 0 0; }
    WorthDialog #net { margin: 1 0 0 0; }
    WorthDialog LineChart { height: 12; margin: 1 0 0 0; display: none; }
    WorthDialog.-tall LineChart { display: block; }
    """
    VERTICAL_BREAKPOINTS = [(0, "-low"), (_CHART_FROM, "-tall")]  # noqa: RUF012 - Textual declares it so
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "back", id="worth.back", show=False)
    ]

    def __init__(
        self,
        report: PartReport,
        finding: str,
        scores: PartScores | None,
        threshold: float | None,
        *,
        ascii_only: bool,
    ) -> None:
        """``scores`` are None while they are being read; ``threshold`` is the one at hand."""
        super().__init__()
        self._report, self._finding = report, finding
        self._scores, self._threshold = scores, threshold
        self._ascii_only = ascii_only

    def compose(self) -> ComposeResult:
        """Calibration, the prevalence and what follows from it, the decision curve."""
        report, finding = self._report, self._finding
        calibration, curve = calibration_at_hand(report, self._scores, finding)
        with Vertical():
            title = f"{finding}, {report.split}: what a score is worth"
            yield Static(Content(visible(title)), classes="title")
            yield Static(Text("\n".join(calibration_lines(calibration))))
            yield Static(Content("prevalence where it is used, such as 0.02"), id="asked")
            yield LineInput(placeholder=self._own(), id="prevalence")
            yield Static(id="fault")
            yield Static(id="worth")
            yield Static(Text("\n".join(decision_lines(curve))), id="net")
            chart = LineChart(ascii_only=self._ascii_only)
            chart.show(decision_chart(curve))
            yield chart
            yield Static(key_words(("esc", "back")))

    def on_mount(self) -> None:
        """Begin with the part's own prevalence."""
        self._show("")

    def _own(self) -> str:
        figures = self._report.findings.get(self._finding)
        share = None if figures is None else figures.prevalence
        return "" if share is None else f"{share:.3f}"

    def on_input_changed(self, event: Input.Changed) -> None:
        """Show what follows while typing."""
        self._show(event.value)

    def _show(self, text: str) -> None:
        fault, lines = "", []
        try:
            share = checked_share(text.strip() or self._own())
        except ValueError:
            fault = "" if not text.strip() else "✗ a prevalence lies between 0 and 1"
        else:
            lines = self._lines(share)
        self.query_one("#fault", Static).update(Content(fault))
        self.query_one("#worth", Static).update(Text("\n".join(lines)))

    def _lines(self, share: float) -> list[str]:
        if self._scores is None:
            return ["the predictions are being read"]
        found = worth_at(self._report, self._scores, self._finding, self._threshold, share)
        if found is None:
            return ["one class is missing, or the scores are no probabilities"]
        return elsewhere_lines(found, self._report.split)

    def on_key(self, event: events.Key) -> None:
        """Keys that the field doesn't use reach no screen below."""
        if event.is_printable:
            event.stop()


def decision_chart(curve: ReportedDecision) -> Chart:
    """Net benefit of 1,000 images over the threshold, beside treating all and none."""
    if not curve.thresholds:
        return Chart((), empty="no curve: it needs positive and negative images")
    thresholds, model = tuple(curve.thresholds), tuple(1000 * of for of in curve.net_benefit)
    top = max(*model, 1.0)
    # Treating all falls without bound; it is drawn as far as it is of interest.
    every = [(at, 1000 * of) for at, of in zip(thresholds, curve.treat_all, strict=True)]
    near = [(at, of) for at, of in every if of >= -top / 4]
    return Chart(
        (
            Line("treat none", (thresholds[0], thresholds[-1]), (0.0, 0.0), "gray", marker="·"),
            Line("treat all", [at for at, _ in near], [of for _, of in near], "orange"),
            Line("by score", thresholds, [max(of, -top / 4) for of in model], "blue"),
        ),
        across="act from this probability",
        up="net benefit of 1,000",
    )
