"""The patients of the set, their visits, and the findings of each image.

Prevalence is far above NIH's, so that a small set can be learnt. Correlations between findings,
with view position, with age and between visits resemble NIH's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.data.phantom.anatomy import Chest, draw_chest
from core.data.phantom.lesions import DRAWING_ORDER, Site, draw_sites
from core.data.phantom.streams import Key, cohort_stream, generator, patient_stream
from core.findings import FINDINGS

TEST_SHARE = 0.3
_MOST_IMAGES = 8


@dataclass(frozen=True)
class _Habit:
    """How often a finding is on an image of an ill patient, and what makes it likelier."""

    share: float
    in_ap: float = 1.0  # factor on AP images
    with_age: float = 0.0  # slope of the log odds per 17 years above 48
    stays: float = 0.8  # probability to persist at the next visit


_HABITS: dict[str, _Habit] = {
    "Atelectasis": _Habit(0.105, in_ap=1.25, stays=0.7),
    "Cardiomegaly": _Habit(0.25, in_ap=1.05, with_age=0.12, stays=0.92),
    "Effusion": _Habit(0.25, in_ap=1.3, with_age=0.08, stays=0.72),
    "Infiltration": _Habit(0.1, in_ap=1.2, stays=0.65),
    "Mass": _Habit(0.275, in_ap=0.9, with_age=0.08, stays=0.76),
    "Nodule": _Habit(0.26, in_ap=0.8, with_age=0.05, stays=0.78),
    "Pneumonia": _Habit(0.09, in_ap=1.2, stays=0.6),
    "Pneumothorax": _Habit(0.25, in_ap=1.1, with_age=-0.05, stays=0.7),
    "Consolidation": _Habit(0.08, in_ap=1.4, stays=0.65),
    "Edema": _Habit(0.075, in_ap=1.8, with_age=0.06, stays=0.62),
    "Emphysema": _Habit(0.105, in_ap=0.9, with_age=0.18, stays=0.92),
    "Fibrosis": _Habit(0.085, in_ap=0.7, with_age=0.18, stays=0.92),
    "Pleural_Thickening": _Habit(0.085, in_ap=0.8, with_age=0.12, stays=0.9),
    "Hernia": _Habit(0.04, in_ap=0.6, with_age=0.3, stays=0.95),
}
# (if this is present, this is likelier, odds ratio)
_COMPANIONS: tuple[tuple[str, str, float], ...] = (
    ("Cardiomegaly", "Effusion", 1.35),
    ("Cardiomegaly", "Edema", 2.2),
    ("Effusion", "Atelectasis", 2.2),
    ("Effusion", "Infiltration", 1.3),
    ("Infiltration", "Pneumonia", 1.5),
)
_CAUSES = ("Cardiomegaly", "Effusion", "Infiltration")
_DECISION_ORDER = (*_CAUSES, *(finding for finding in FINDINGS if finding not in _CAUSES))
# A heart can't be both wide and narrowed by hyperinflated lungs: the first one stays.
_NEVER_TOGETHER = (("Cardiomegaly", "Emphysema"),)

# (width, height, spacing as NIH's table prints it, weight)
_DETECTORS: dict[str, tuple[tuple[int, int, str, float], ...]] = {
    "PA": (
        (2500, 2048, "0.168", 0.3),
        (2048, 2500, "0.168", 0.12),
        (2500, 2048, "0.171", 0.13),
        (2992, 2991, "0.14300000000000002", 0.35),
        (2021, 2021, "0.19431099999999998", 0.1),
    ),
    "AP": (
        (3056, 2544, "0.139", 0.36),
        (2544, 3056, "0.139", 0.06),
        (2500, 2048, "0.168", 0.5),
        (2021, 2021, "0.19431099999999998", 0.08),
    ),
}


@dataclass(frozen=True)
class Visit:
    """One image: its row in the label table."""

    follow_up: int
    file_name: str
    age: int
    view: str
    findings: tuple[str, ...]  # sorted alphabetically, as in NIH's table
    width_px: int
    height_px: int
    spacing: str


@dataclass(frozen=True)
class Patient:
    """A patient with all images."""

    number: int
    female: bool
    chest: Chest
    sites: tuple[Site, ...]
    visits: tuple[Visit, ...]
    in_test: bool

    def sites_at(self, visit: Visit) -> tuple[Site, ...]:
        """The sites of the findings present on one image."""
        return tuple(site for site in self.sites if site.finding in visit.findings)


@dataclass(frozen=True)
class _Person:
    female: bool
    age: float
    frailty: float  # standard normal; makes all findings likelier


def draw_cohort(patients: int, seed: int) -> tuple[Patient, ...]:
    """All patients, by number; reproducible, and independent of the image size."""
    people = [_draw_person(seed, number) for number in range(1, patients + 1)]
    in_test = _draw_test_part(people, seed)
    return tuple(
        _draw_patient(seed, number, person, bool(is_test))
        for number, (person, is_test) in enumerate(zip(people, in_test, strict=True), start=1)
    )


def _draw_person(seed: int, number: int) -> _Person:
    rng = generator(patient_stream(seed, number), Key.PERSON)
    return _Person(
        female=bool(rng.random() < 0.44),
        age=float(np.clip(rng.normal(47, 17), 16, 90)),
        frailty=float(rng.standard_normal()),
    )


def _draw_test_part(people: list[_Person], seed: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which patients are in the test part: more often ill ones, as in NIH."""
    luck = generator(cohort_stream(seed), Key.PARTS).standard_normal(len(people))
    rank = np.argsort(-(luck + 0.6 * np.array([person.frailty for person in people])))
    in_test = np.zeros(len(people), dtype=np.bool_)
    in_test[rank[: max(1, round(TEST_SHARE * len(people)))]] = True
    return in_test


def _draw_patient(seed: int, number: int, person: _Person, in_test: bool) -> Patient:
    stream = patient_stream(seed, number)
    chest = draw_chest(generator(stream, Key.FRAME), female=person.female, age=person.age)
    visits = _draw_visits(generator(stream, Key.VISITS), number, person)
    ever = {finding for visit in visits for finding in visit.findings}
    rngs = {
        finding: generator(stream, Key.SITES, part) for part, finding in enumerate(DRAWING_ORDER)
    }
    sites = draw_sites(sorted(ever), chest, rngs)
    return Patient(number, person.female, chest, sites, visits, in_test)


def _draw_visits(rng: np.random.Generator, number: int, person: _Person) -> tuple[Visit, ...]:
    mean = 3.2 * np.exp(0.12 * person.frailty)
    count = min(int(rng.geometric(min(1 / mean, 1.0))), _MOST_IMAGES)
    # In NIH some patients' files are numbered from 1 though their follow-ups count from 0.
    first_file = 1 if rng.random() < 0.03 else 0
    age, well, now = person.age, False, frozenset[str]()
    visits: list[Visit] = []
    for follow_up in range(count):
        view = "AP" if rng.random() < _logistic(-0.45 + 0.65 * person.frailty) else "PA"
        if follow_up == 0 or rng.random() < 0.3:
            well = bool(rng.random() < _logistic(-0.56 - 0.6 * person.frailty))
        now = _draw_findings(rng, person, view, now, first=follow_up == 0)
        width_px, height_px, spacing = _draw_detector(rng, view)
        visits.append(
            Visit(
                follow_up=follow_up,
                file_name=f"{number:08d}_{follow_up + first_file:03d}.png",
                age=int(age),
                view=view,
                findings=() if well else tuple(sorted(now)),
                width_px=width_px,
                height_px=height_px,
                spacing=spacing,
            )
        )
        age = min(age + float(rng.exponential(0.4)), 95.0)
    return tuple(visits)


def _draw_findings(
    rng: np.random.Generator, person: _Person, view: str, before: frozenset[str], *, first: bool
) -> frozenset[str]:
    """The findings of an ill patient at this visit; most of those ``before`` persist."""
    now: set[str] = set()
    for finding in _DECISION_ORDER:
        habit = _HABITS[finding]
        stay, fresh = rng.random(2)
        if not first and stay < habit.stays:
            present = finding in before
        else:
            log_odds = np.log(habit.share / (1 - habit.share)) + 0.32 * person.frailty
            log_odds += habit.with_age * (person.age - 48) / 17
            log_odds += np.log(habit.in_ap) * (0.6 if view == "AP" else -0.4)
            log_odds += sum(
                np.log(times)
                for cause, effect, times in _COMPANIONS
                if effect == finding and cause in now
            )
            present = bool(fresh < _logistic(float(log_odds)))
        if present:
            now.add(finding)
    for kept, dropped in _NEVER_TOGETHER:
        if kept in now:
            now.discard(dropped)
    return frozenset(now)


def _draw_detector(rng: np.random.Generator, view: str) -> tuple[int, int, str]:
    kinds = _DETECTORS[view]
    weights = np.array([weight for *_, weight in kinds])
    width_px, height_px, spacing, _ = kinds[int(rng.choice(len(kinds), p=weights / weights.sum()))]
    return width_px, height_px, spacing


def _logistic(log_odds: float) -> float:
    return float(1 / (1 + np.exp(-log_odds)))
