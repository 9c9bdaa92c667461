"""What a search found, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.words import number_of, signed
from cxr_tui.terminal.stdout import print_pairs, print_table

if TYPE_CHECKING:
    from core.search.report import Candidate, SearchReport, SeedRow, TrialRow

_UNDEFINED = "–"


def print_search(found: SearchReport) -> None:
    """Print the trials, the best ones trained anew, and which keys mattered."""
    rows = [_row(one) for one in _ranked(found["trials"])]
    head = ("session", "val AUROC", "epochs", "end")
    title = f"search {found['name']}: {number_of(len(rows), 'trial')}, judged on val alone"
    print_table(title, head, rows, notes=[_cost(found)])
    if found["best"] is not None:
        values = [(key, value_in_words(value)) for key, value in found["best"]["values"].items()]
        print_table(f"best: {found['best']['session']}", (), ())
        print_pairs(values)
    _print_seeds(found)
    if found["importance"]:
        shares = [(key, f"{100 * share:.0f} %") for key, share in found["importance"].items()]
        print_table("which key mattered", ("key", "share"), shares, notes=[_ANOVA])


_ANOVA = (
    "Share of the variance of val AUROC over complete trials, by functional ANOVA. With few trials "
    "it is a hint."
)


def _ranked(trials: list[TrialRow]) -> list[TrialRow]:
    return sorted(trials, key=lambda one: (one["val_auroc"] is None, -(one["val_auroc"] or 0.0)))


def _row(one: TrialRow) -> tuple[str, ...]:
    end = f"{one['state']}, {one['why']}" if one["why"] else one["state"]
    return (one["session"], _number(one["val_auroc"]), str(one["epochs"]), end)


def _cost(found: SearchReport) -> str:
    if not found["trials"]:
        return "The hours were over before a trial began. More --hours make the search longer."
    pruned = sum(one["state"] == "pruned" for one in found["trials"])
    share = found["pruned_share_of_epochs"]
    if not pruned or share is None:
        return "No trial was pruned."
    return f"{number_of(pruned, 'pruned trial')} took {100 * share:.0f} % of all epochs."


def _print_seeds(found: SearchReport) -> None:
    candidates = found["candidates"]
    if not found["retrained"]:
        return
    rows = [_seed(one) for candidate in candidates for one in candidate["retrained"]]
    told = {row[0] for row in rows}
    rows += [row for row in map(_seed, found["unchanged"]) if row[0] not in told]
    print_table("trained anew with other seeds", ("session", "seed", "val AUROC"), rows)
    chosen = [_chosen(one) for one in candidates]
    head = ("trial", "chosen at", "other seeds", "optimism")
    print_table("optimism of having chosen", head, chosen, notes=_conclusions(found))


def _chosen(one: Candidate) -> tuple[str, ...]:
    spread = "" if one["retrained_sd"] is None else f" ± {one['retrained_sd']:.3f}"
    optimism = signed(one["optimism"])
    seeds = f"{_number(one['retrained_mean'])}{spread}"
    return (one["session"], _number(one["val_auroc"]), seeds, optimism)


def _conclusions(found: SearchReport) -> list[str]:
    notes = ["Other seeds: mean ± SD. Optimism: the trial's own figure minus that mean."]
    candidates, best = found["candidates"], found["best"]
    if best is not None and len(candidates) > 1:
        first = candidates[0]["session"]
        ahead = "" if first == best["session"] else f" {first} was ahead in its own figure alone."
        notes.append(
            f"The best by its other seeds is {best['session']}.{ahead} The mean of the best of "
            f"{len(candidates)} is chosen too, and a little too high."
        )
    if (gain := found["gain"]) is not None:
        ends = found["gain_ci"]
        interval = (
            "" if ends is None else f" (95 % over seeds {signed(ends[0])} to {signed(ends[1])})"
        )
        notes.append(
            f"On val the best recipe {_verdict(ends)} the one that the search began with: "
            f"{signed(gain)} over the same seeds{interval}."
        )
    elif not found["unchanged"]:
        notes.append("The best recipe is the one that the search began with.")
    return [*notes, "Test was not scored: every session is sealed."]


def _verdict(ends: list[float] | None) -> str:
    if ends is None or ends[0] <= 0 <= ends[1]:
        return "is not shown to be better than"
    return "is better than" if ends[0] > 0 else "is worse than"


def _seed(one: SeedRow) -> tuple[str, ...]:
    return (one["session"], str(one["seed"]), _number(one["val_auroc"]))


def value_in_words(value: object) -> str:
    """A searched key's value, in four digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _number(value: float | None) -> str:
    return _UNDEFINED if value is None else f"{value:.3f}"
