"""The report replayed: what is broken on purpose is found in time, and the healthy twin is silent.

Each recipe is run for real, until what it promises was told.
"""

from dataclasses import dataclass, field

import pytest

from core.data.study.study import audit_study
from core.events import Diagnosed, Evaluated, Finished, ModelReady
from core.health.before import before_download
from core.health.diagnosis import Severity
from core.recipe_toml import load_recipe
from core.requests import Request
from core.run import Machine, run
from core.shipped_recipes import broken_recipes
from core.store.sessions import create_session

NOTE, WARNING, STOP = (str(grade) for grade in (Severity.NOTE, Severity.WARNING, Severity.STOP))
BEFORE_THE_START = 0

FOUND = {
    # recipe: check -> how grave, and by the end of which epoch
    "broken-rate": {
        "rate-high": (WARNING, BEFORE_THE_START),
        "learning-rate": (WARNING, 1),
        "saturated": (WARNING, 1),
    },
    "broken-slow": {"rate-low": (NOTE, BEFORE_THE_START), "learning-rate": (WARNING, 1)},
    "broken-plateau": {"plateau-hasty": (NOTE, BEFORE_THE_START), "rate-cut-to-nothing": (NOTE, 5)},
    "broken-warmup": {"warmup-endless": (WARNING, BEFORE_THE_START)},
    "broken-overfit": {"overfitting": (NOTE, 10)},
    "broken-batch": {"batch-tiny": (WARNING, BEFORE_THE_START)},
    "broken-label": {"never-positive": (WARNING, BEFORE_THE_START)},
    "broken-hurry": {"epochs-few": (NOTE, BEFORE_THE_START)},
}
FOUND_BY_AUDIT = {"broken-lesions": {"lesions-few-pixels": NOTE, "lesions-under-a-cell": NOTE}}
TWIN = "broken-nothing"


@dataclass
class Heard:
    """What a run told, and when to end it."""

    until: frozenset[str]
    events: list = field(default_factory=list)

    def next_request(self):
        told = {event.check for event in self.answers() if event.severity != "ok"}
        return Request.STOP if self.until and self.until <= told else Request.CONTINUE

    def answers(self):
        return [event for event in self.events if isinstance(event, Diagnosed)]

    def only(self, kind):
        (event,) = [event for event in self.events if isinstance(event, kind)]
        return event


def heard(name, tmp_path, cache_dir, *changes, until=()):
    recipe = load_recipe(name, ["train.precision=fp32", "evaluate.bootstrap=100", *changes])
    heard = Heard(frozenset(until))
    session = create_session(tmp_path, recipe, "one")
    run(session, heard.events.append, heard.next_request, Machine("cpu", cache_dir))
    return heard


@pytest.mark.parametrize("name", FOUND)
def test_a_fault_that_a_recipe_causes_is_found_in_time(name, tmp_path, cache_dir):
    expected = FOUND[name]
    told = heard(name, tmp_path, cache_dir, until=expected)
    steps_per_epoch = told.only(ModelReady).steps_per_epoch
    for check, (severity, epoch) in expected.items():
        first = next(event for event in told.answers() if event.check == check)
        assert first.severity == severity, first
        assert first.step <= epoch * steps_per_epoch, first
        assert first.evidence, first
        assert first.remedy, first


def test_lesions_lost_to_shrinking_are_found_by_the_audit(cache_dir):
    (name,) = FOUND_BY_AUDIT
    recipe = load_recipe(name)
    found = before_download(recipe, audit_study(recipe, cache_dir))
    told = {answer.check: answer for answer in found if answer.check.startswith("lesions")}
    assert {check: str(answer.severity) for check, answer in told.items()} == FOUND_BY_AUDIT[name]
    assert told["lesions-few-pixels"].changes == ("image.size_px=256",)


def test_the_healthy_twin_is_silent_and_learns(tmp_path, cache_dir):
    told = heard(TWIN, tmp_path, cache_dir, "train.epochs=3")
    assert [event for event in told.answers() if event.severity in (WARNING, STOP)] == []
    assert told.only(Finished).epochs == 3
    report = told.only(Evaluated).report
    assert report["health"] == []
    assert report["mean_auroc"] > 0.7
    silent = {check for checks in (*FOUND.values(), *FOUND_BY_AUDIT.values()) for check in checks}
    assert silent.isdisjoint(event.check for event in told.answers() if event.severity != "ok")


def test_every_broken_recipe_is_run_here_and_says_what_will_be_told():
    found = FOUND | FOUND_BY_AUDIT
    assert {*found, TWIN} == set(broken_recipes())
    for name, checks in found.items():
        note = load_recipe(name).note
        assert all(check in note for check in checks), name
