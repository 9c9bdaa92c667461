"""Where and with what a session ran, and for how long."""

from __future__ import annotations

from datetime import UTC, datetime

from core.document.blocks import Pairs
from core.document.facts import Facts
from core.document.values import duration, number, table, text
from core.words import number_of


def environment_pairs(facts: Facts) -> list[Pairs]:
    """The machine, the software, and the time; no host, user or path."""
    found = facts.environment
    history = facts.history
    machine = [
        ("device", _joined(text(found.get("device_name")), text(found.get("device")))),
        ("precision", text(found.get("precision"))),
        ("processors", _whole(found.get("processors"))),
        ("instructions", text(found.get("instructions"))),
        ("system", text(found.get("platform"))),
    ]
    software = [("Python", text(found.get("python")))]
    software += [(name, text(version)) for name, version in table(found.get("versions")).items()]
    software.append(("commit", text(found.get("commit"))))
    epochs = len(history.epochs)
    time = [
        ("begun", _date(history.began)),
        ("training", f"{duration(history.training_seconds)} for {number_of(epochs, 'epoch')}"),
        ("last run", duration(history.finished.seconds) if history.finished else ""),
        ("runs", _runs(history.starts, history.resumes)),
        ("energy", _energy(found.get("energy_kwh"))),
        ("ended", facts.state),
    ]
    known = [
        Pairs(title, tuple((name, value) for name, value in pairs if value))
        for title, pairs in (("Machine", machine), ("Software", software), ("Time", time))
    ]
    return [one for one in known if one.pairs]


def _runs(starts: int, resumes: int) -> str:
    return (
        f"{starts}, continued from a checkpoint {number_of(resumes, 'time')}"
        if resumes
        else str(starts)
    )


def _energy(kept: object) -> str:
    known = number(kept)
    return "not recorded" if known is None else f"{known:.3f} kWh"


def _joined(name: str, device: str) -> str:
    return name if device in name else f"{name} ({device})"


def _whole(value: object) -> str:
    known = number(value)
    return "" if known is None else f"{known:.0f}"


def _date(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"
