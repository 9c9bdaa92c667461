"""What the phantom paints: every finding shows where its box says it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest

from core.data.phantom.anatomy import Chest
from core.data.phantom.cohort import Patient, Visit, draw_cohort
from core.data.phantom.imaging import lesions_on_image, render
from core.data.phantom.lesions import Lesion
from core.data.phantom.streams import image_stream, patient_stream
from core.findings import FINDINGS

CHEST_CHANGERS = {"Cardiomegaly", "Emphysema"}  # they reshape the chest itself
SCENE_PX = 128


@dataclass(frozen=True)
class Scene:
    """One image, drawn with some of its findings only; everything else stays the same."""

    patient: Patient
    visit: Visit

    def lay_out(self, findings: set[str]) -> tuple[Chest, tuple[Lesion, ...]]:
        sites = [site for site in self.patient.sites_at(self.visit) if site.finding in findings]
        return lesions_on_image(self.patient.chest, sites, self.stream, view=self.visit.view)

    def image(self, chest: Chest, lesions: tuple[Lesion, ...]) -> npt.NDArray[np.float32]:
        return render(
            chest,
            lesions,
            size_px=SCENE_PX,
            view=self.visit.view,
            patient_stream=patient_stream(0, self.patient.number),
            stream=self.stream,
        ).astype(np.float32)

    @property
    def stream(self) -> np.random.SeedSequence:
        return image_stream(0, self.patient.number, self.visit.follow_up)


@pytest.fixture(scope="module")
def cohort() -> tuple[Patient, ...]:
    return draw_cohort(200, 0)


def scenes_with(finding: str, cohort: tuple[Patient, ...]) -> list[Scene]:
    scenes = [Scene(patient, visit) for patient in cohort for visit in patient.visits]
    return [scene for scene in scenes if finding in scene.visit.findings][:4]


def inside(lesions: tuple[Lesion, ...]) -> npt.NDArray[np.bool_]:
    mask_SS = np.zeros((SCENE_PX, SCENE_PX), dtype=np.bool_)
    for box in (lesion.box for lesion in lesions):
        x, y, w, h = (side * SCENE_PX / 1024 for side in (box.x, box.y, box.w, box.h))
        mask_SS[int(y) : int(np.ceil(y + h)), int(x) : int(np.ceil(x + w))] = True
    return mask_SS


@pytest.mark.parametrize("finding", sorted(set(FINDINGS) - CHEST_CHANGERS))
def test_a_lesion_changes_the_pixels_in_its_box_and_no_others(
    finding: str, cohort: tuple[Patient, ...]
) -> None:
    for scene in scenes_with(finding, cohort):
        # Alone: on the image with all findings, another one may cover it.
        chest, own = scene.lay_out({finding})
        change_SS = np.abs(scene.image(chest, own) - scene.image(chest, ()))
        box_SS = inside(own)
        assert change_SS.max() > 12
        assert change_SS[box_SS].mean() > 1.5
        assert change_SS[box_SS].sum() > 0.9 * change_SS.sum()


@pytest.mark.parametrize("finding", sorted(CHEST_CHANGERS))
def test_a_changed_chest_shows_in_its_box(finding: str, cohort: tuple[Patient, ...]) -> None:
    for scene in scenes_with(finding, cohort):
        chest, own = scene.lay_out({finding})
        change_SS = np.abs(scene.image(chest, own) - scene.image(*scene.lay_out(set())))
        assert change_SS[inside(own)].mean() > 4
