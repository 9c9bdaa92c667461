"""Which patients weights were trained on, and which of them are in the test part.

A checkpoint scored on patients it was trained on gives a number that looks like a result. So this
information is stored with the weights, through every session that starts from them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from core.errors import DataError
from core.model.patient_digests import KEY_FILE, Keys, PatientDigests

FRESH, ON_IMAGENET, OWN = "none", "imagenet", "own"
NIH_RANDOM_SPLIT, XRV_NIH, XRV_OTHER, UNKNOWN = (
    "nih-random-split",
    "xrv-nih",
    "xrv-other",
    "unknown",
)
KINDS = (FRESH, ON_IMAGENET, OWN, NIH_RANDOM_SPLIT, XRV_NIH, XRV_OTHER, UNKNOWN)
NIH, PHANTOM = "nih", "phantom"
"""Data sets whose patient numbers mean the same people everywhere; others have a fingerprint."""

_NAMED_AT_MOST = 10
_SEEN_NOBODY = (FRESH, ON_IMAGENET, XRV_OTHER)
_MAY_HAVE_SEEN = {
    NIH_RANDOM_SPLIT: (
        "These weights were trained on a random split of NIH ChestX-ray14: 17,920 of the 25,596 "
        "official test images are in its training part."
    ),
    XRV_NIH: (
        "These torchxrayvision weights were trained on a random part of NIH ChestX-ray14, drawn "
        "without the official lists, so they were trained on images of official test patients; "
        "which ones was not published."
    ),
    UNKNOWN: "The patients these weights were trained on are unknown.",
}


@dataclass(frozen=True)
class Provenance:
    """What is known about the patients that weights were trained on.

    Attributes:
        kind: one of ``KINDS``.
        text: the source, for a person.
        trained_patients: for one of our sessions: its train and val patients (val chose the best
            epoch), as digests, or as numbers in weights from earlier versions; None if not known
            individually.
        dataset: "nih", "phantom", or a data set's fingerprint; None if unknown.
        started_from: provenance of the weights that these were fine-tuned from.
    """

    kind: str
    text: str
    trained_patients: PatientDigests | frozenset[int] | None = None
    dataset: str | None = None
    started_from: Provenance | None = None

    def to_json(self) -> dict[str, Any]:
        """A JSON object that :meth:`from_json` reads; without keys of digests."""
        patients: Any = None
        if isinstance(self.trained_patients, PatientDigests):
            patients = self.trained_patients.to_json()
        elif self.trained_patients is not None:
            patients = sorted(self.trained_patients)
        earlier = None if self.started_from is None else self.started_from.to_json()
        return {
            "kind": self.kind,
            "text": self.text,
            "trained_patients": patients,
            "dataset": self.dataset,
            "started_from": earlier,
        }

    @staticmethod
    def from_json(value: Mapping[str, Any], *, where: object) -> Provenance:
        """Read a JSON object.

        Raises:
            DataError: it is not what :meth:`to_json` writes.
        """
        try:
            patients, earlier = value["trained_patients"], value["started_from"]
            provenance = Provenance(
                kind=str(value["kind"]),
                text=str(value["text"]),
                trained_patients=_patients_from_json(patients),
                dataset=None if value["dataset"] is None else str(value["dataset"]),
            )
            if provenance.kind not in KINDS:
                raise ValueError(f"unknown kind {provenance.kind!r}")
            if earlier is None:
                return provenance
            return replace(provenance, started_from=Provenance.from_json(earlier, where=where))
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise DataError(
                f"the list of patients that the weights were trained on can't be read ({error!r})",
                where=where,
                why="Without it, none of their test figures can be trusted",
                remedy="Use another checkpoint of the session",
            ) from error

    def with_keys(self, keys: Keys) -> Provenance:
        """The same with keys, so that patients of each stage with a matching key can be
        recognised."""
        patients, earlier = self.trained_patients, self.started_from
        if isinstance(patients, PatientDigests) and patients.key is None:
            patients = replace(patients, key=keys.get(patients.key_name))
        earlier = None if earlier is None else earlier.with_keys(keys)
        return replace(self, trained_patients=patients, started_from=earlier)

    def keys(self) -> dict[str, bytes]:
        """The available keys of all stages."""
        found = {} if self.started_from is None else self.started_from.keys()
        patients = self.trained_patients
        if isinstance(patients, PatientDigests) and patients.key is not None:
            found[patients.key_name] = patients.key
        return found

    def without_numbers(self, key: bytes) -> Provenance:
        """The same, with digests instead of patient numbers."""
        patients, earlier = self.trained_patients, self.started_from
        if isinstance(patients, frozenset):
            patients = PatientDigests.of(patients, key)
        earlier = None if earlier is None else earlier.without_numbers(key)
        return replace(self, trained_patients=patients, started_from=earlier)


def _patients_from_json(value: Any) -> PatientDigests | frozenset[int] | None:
    if isinstance(value, Mapping):
        return PatientDigests.from_json(value)
    return None if value is None else frozenset(map(int, value))


@dataclass(frozen=True)
class SeenReport:
    """Whether weights were trained on test patients.

    Attributes:
        level: "none", "possible" (some, but unknown which) or "named".
        patients: the known patient numbers, sorted.
        message: for display; empty if the level is "none".
    """

    level: str
    patients: tuple[int, ...] = ()
    message: str = ""


def own_provenance(
    trained_patients: Iterable[int],
    *,
    dataset: str,
    session: str,
    started_from: Provenance,
    key: bytes,
) -> Provenance:
    """The provenance of a session's checkpoints, including what it started from.

    Weights that saw no patients (random, ImageNet) are left out. Patients are stored as digests
    with ``key``, the session's own.
    """
    earlier = None if started_from.kind in _SEEN_NOBODY else started_from.without_numbers(key)
    patients = PatientDigests.of((int(patient) for patient in trained_patients), key)
    return Provenance(OWN, f"session {session}", patients, dataset, earlier)


def seen_in_test(
    provenance: Provenance, test_patients: Iterable[int], *, dataset: str | None = None
) -> SeenReport:
    """Which test patients the weights were, or may have been, trained on at any stage.

    Args:
        provenance: of the weights.
        test_patients: patient numbers of the test part.
        dataset: the data set of these numbers: "nih", "phantom" or a fingerprint. If None
            (unknown), equal numbers are assumed to mean the same people.
    """
    tested = frozenset(int(patient) for patient in test_patients)
    stages: list[SeenReport] = []
    stage: Provenance | None = provenance
    while stage is not None:
        stages.append(_seen_by(stage, tested, dataset))
        stage = stage.started_from
    levels = {report.level for report in stages}
    level = next((level for level in ("named", "possible") if level in levels), "none")
    patients = sorted({patient for report in stages for patient in report.patients})
    return SeenReport(
        level, tuple(patients), " ".join(report.message for report in stages if report.message)
    )


def _seen_by(provenance: Provenance, tested: frozenset[int], dataset: str | None) -> SeenReport:
    if not tested or provenance.kind in _SEEN_NOBODY:
        return SeenReport("none")
    if provenance.kind == OWN and provenance.trained_patients is not None:
        return _seen_by_session(provenance, provenance.trained_patients, tested, dataset)
    if dataset == PHANTOM:  # nobody else trained on these synthetic patients
        return SeenReport("none")
    why = _MAY_HAVE_SEEN.get(provenance.kind, _MAY_HAVE_SEEN[UNKNOWN])
    return SeenReport(
        "possible", message=f"{why} Test patients may be among them: test figures are too high."
    )


def _seen_by_session(
    provenance: Provenance,
    trained: PatientDigests | frozenset[int],
    tested: frozenset[int],
    dataset: str | None,
) -> SeenReport:
    other_set = None not in (dataset, provenance.dataset) and dataset != provenance.dataset
    if other_set and PHANTOM in (dataset, provenance.dataset):
        return SeenReport("none")
    shared = trained & tested if isinstance(trained, frozenset) else trained.among(tested)
    if shared is None:
        return SeenReport(
            "possible",
            message=f"The patients that {provenance.text} was trained on can't be recognised with "
            f"these weights: their key, {KEY_FILE} of that session, is not next to the weights or "
            "can't be read. Test patients may be among them: test figures may be too high.",
        )
    if not shared:
        return SeenReport("none")
    count = f"{len(shared):,} of {len(tested):,} test patients"
    if other_set:
        return SeenReport(
            "possible",
            message=f"{count} have the same numbers as patients of another data set that "
            f"{provenance.text} was trained on: if both come from the same hospital, they are the "
            "same patients.",
        )
    named = sorted(shared)
    listed = ", ".join(str(patient) for patient in named[:_NAMED_AT_MOST])
    more = ", …" if len(named) > _NAMED_AT_MOST else ""
    return SeenReport(
        "named",
        tuple(named),
        f"{count} are among the patients that {provenance.text} was trained on ({listed}{more}): "
        "test figures that include them are not valid.",
    )
