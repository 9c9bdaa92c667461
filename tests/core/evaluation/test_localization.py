"""Maps against boxes: geometry to the pixel, fair controls, figures that count patients."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from core.evaluation.maps.cover import covered, elsewhere
from core.evaluation.maps.localization import (
    BEST_PLACE,
    CONTROLS,
    ENERGY,
    MEASURES,
    NEAR,
    OTHER_IMAGE,
    POINTING,
    RANDOM,
    USUAL_PLACE,
    BoxedMap,
    measured,
)
from core.evaluation.maps.localization_report import published_beside, published_localization
from core.evaluation.maps.localization_summary import summary_of
from core.evaluation.maps.map_geometry import (
    apart,
    boxes_on_input,
    energy_inside,
    overlaps,
    peak_of,
    regions_of,
    share_of_area,
    upsampled,
)
from core.evaluation.maps.usual_place import usual_places

SIZE = 224


def box(*sides):
    return np.array([sides], dtype=np.float64)


def a_map(*cells, size=7):
    """A map with evidence in these cells (row, column, strength)."""
    found = np.zeros((size, size), dtype=np.float32)
    for row, column, strength in cells:
        found[row, column] = strength
    return found


def boxed(map_MM, boxes_K4, patient=1):
    return BoxedMap("x.png", patient, "Mass", map_MM, boxes_K4, 0.9, 2.0)


def value(values_PV, name, place=0):
    return values_PV[place, MEASURES.index(name)]


def test_the_interpolation_is_torchs_bilinear_one():
    found = np.random.default_rng(0).random((7, 7), dtype=np.float32)
    torchs = torch.nn.functional.interpolate(
        torch.from_numpy(found)[None, None], size=(SIZE, SIZE), mode="bilinear", align_corners=False
    )
    np.testing.assert_allclose(upsampled(found, SIZE), torchs[0, 0].numpy(), atol=1e-5)


def test_the_peak_is_the_centre_of_the_strongest_cell():
    assert peak_of(a_map((2, 5, 1.0), (0, 0, 0.5)), SIZE) == (5.5 * 32, 2.5 * 32)


def test_energy_inside_is_what_a_sum_over_pixels_gives():
    found = np.random.default_rng(1).random((7, 7), dtype=np.float32)
    boxes = np.array([[10, 20, 60, 50], [40, 40, 80, 90]], dtype=np.float64)
    inside = np.zeros((SIZE, SIZE), dtype=bool)
    inside[20:70, 10:70] = inside[40:130, 40:120] = True
    drawn = upsampled(found, SIZE)
    (energy,) = energy_inside(found[None], boxes, SIZE)
    assert energy == pytest.approx(drawn[inside].sum() / drawn.sum())
    assert share_of_area(boxes, SIZE) == pytest.approx(inside.mean())


def test_boxes_that_overlap_are_counted_once():
    twice = np.array([[0, 0, 10, 10], [0, 0, 10, 10]], dtype=np.float64)
    assert apart(twice)[:, 2:].prod(axis=1).sum() == 100


def test_a_table_of_1024_pixels_lands_on_images_of_any_size_and_crop():
    given = box(256, 512, 128, 256)
    np.testing.assert_allclose(
        boxes_on_input(given, 1024, 2048, 2048, "squash", 224), box(56, 112, 28, 56)
    )
    # 2000×1000, its central square: the left quarter of the image is cut off.
    np.testing.assert_allclose(
        boxes_on_input(given, 1024, 2000, 1000, "crop", 200), box(0, 100, 50, 50)
    )
    assert not len(boxes_on_input(box(0, 0, 100, 100), 1024, 2000, 1000, "crop", 200))


def test_regions_are_cut_at_60_and_180_of_255_of_the_maps_own_peak():
    found = regions_of(a_map((3, 3, 8.0)), SIZE)
    assert len(found) == 2
    centres = found[:, :2] + found[:, 2:] / 2
    np.testing.assert_allclose(centres, 112, atol=1)
    # Between two cells' centres the map falls from 1 to 0 in a straight line, in both directions.
    reach = 2 * 32 * (1 - np.array([60, 180]) / 255)
    np.testing.assert_allclose(found[:, 2], reach, atol=2)
    two = regions_of(a_map((1, 1, 1.0), (5, 5, 0.5)), SIZE)
    assert len(two) == 3  # the weaker one is above the lower threshold only


def test_iobb_rewards_tiny_boxes_and_iou_does_not():
    iou, iobb = overlaps(box(50, 50, 10, 10), box(0, 0, 100, 100))
    assert (iou[0, 0], iobb[0, 0]) == (0.01, 1.0)


def test_a_map_on_its_lesion_beats_every_control():
    places = [(1, 1), (1, 5), (5, 1), (5, 5)]
    maps = [
        boxed(a_map((row, column, 1.0)), box(column * 32, row * 32, 32, 32), patient)
        for patient, (row, column) in enumerate(places)
    ]
    values = measured(maps, SIZE)
    for place in range(4):
        assert value(values["map"], POINTING, place) == 1
        assert value(values[OTHER_IMAGE], POINTING, place) == 0
        assert value(values[USUAL_PLACE], POINTING, place) == 0
        assert value(values[RANDOM], POINTING, place) == pytest.approx((32 / SIZE) ** 2)
    assert value(values["map"], "iou_0.1") == 1
    assert value(values["map"], ENERGY) > value(values[RANDOM], ENERGY)


def test_where_the_lesion_is_always_in_one_place_that_place_and_other_maps_do_as_well():
    maps = [boxed(a_map((4, 3, 1.0)), box(90, 120, 80, 60), patient) for patient in range(5)]
    values = measured(maps, SIZE)
    for name in ("map", USUAL_PLACE, OTHER_IMAGE):
        assert values[name][:, MEASURES.index(POINTING)].tolist() == [1.0] * 5


def places_of(boxes, patients=None, size_px=SIZE):
    """Where each patient's finding usually is, from boxes of one image each."""
    patients = np.arange(len(boxes)) if patients is None else np.array(patients)
    return usual_places(patients, boxes, size_px)


def covering(x, y, boxes):
    """How many of the boxes hold the point, or each of many."""
    sides = np.concatenate(boxes)
    return sum((bx <= x) & (x < bx + w) & (by <= y) & (y < by + h) for bx, by, w, h in sides)


def random_boxes(count, seed=0):
    sides = np.random.default_rng(seed).uniform((0, 0, 20, 20), (150, 150, 70, 70), (count, 4))
    return [side[None] for side in sides]


def test_where_lesions_are_left_or_right_the_usual_place_is_a_lung_and_not_between_them():
    left, right = box(30, 90, 50, 60), box(144, 90, 50, 60)
    maps = [boxed(a_map(), left, patient) for patient in range(12)]
    maps += [boxed(a_map(), right, patient) for patient in range(12, 19)]
    values = measured(maps, SIZE)[USUAL_PLACE]
    assert values[:, MEASURES.index(POINTING)].tolist() == [1.0] * 12 + [0.0] * 7
    # Of the other boxes' area 11 of 18 lie in a left one's, 6 of 18 in a right one's.
    assert value(values, ENERGY) == pytest.approx(11 / 18)
    assert value(values, ENERGY, 18) == pytest.approx(6 / 18)
    # 6 of 12 are above 60/255 of the peak and below 180/255: both lungs, then the left one alone.
    assert [value(values, "iou_0.5", place) for place in (0, 18)] == [1.0, 1.0]
    assert [value(values, "false_iou_0.5", place) for place in (0, 18)] == [1.0, 2.0]


def test_the_usual_place_is_the_one_that_most_boxes_of_other_patients_cover():
    boxes = random_boxes(40)
    patients = np.arange(40) // 3  # up to three images each
    for patient, place in places_of(boxes, patients).items():
        others = [one for one, whose in zip(boxes, patients, strict=True) if whose != patient]
        np.testing.assert_array_equal(place.boxes_K4, np.concatenate(others))
        x, y = np.meshgrid(*[(np.arange(256) + 0.5) * SIZE / 256] * 2)
        assert covering(*place.peak, others) == covering(x, y, others).max()


def test_the_usual_place_of_a_patient_does_not_know_the_patients_own_boxes():
    mine, yours = box(20, 20, 40, 40), box(150, 150, 40, 40)
    places = places_of([mine, mine, mine, yours], [1, 1, 1, 2])
    for patient, theirs in ((1, yours), (2, mine)):
        np.testing.assert_allclose(places[patient].peak, theirs[0, :2] + 20, atol=1)
    assert places_of([mine, mine], [1, 1]) == {}


def test_of_several_highest_places_the_middle_of_the_largest_counts():
    ring = [box(*sides) for sides in ((20, 20, 90, 20), (20, 20, 20, 90), (20, 90, 90, 20))]
    small, own = box(180, 180, 10, 10), box(0, 0, 5, 5)
    # The arms meet in two corners of 20 px a side, and two small boxes in 10 px: the first corner.
    (x, y) = places_of([*ring, small, small, own])[5].peak
    assert (x, y) == (pytest.approx(30, abs=1), pytest.approx(30, abs=1))
    # A C that is one region: its centroid is outside of it, the point is not.
    arms = np.concatenate([box(20, 20, 160, 20), box(20, 40, 20, 120), box(20, 160, 160, 20)])
    (x, y) = places_of([arms, own])[1].peak
    assert covering(x, y, [arms]) == 1


def test_the_share_of_the_frequency_map_in_boxes_is_what_a_sum_over_pixels_gives():
    boxes = [one.round() for one in random_boxes(20, seed=1)]
    given = np.array([[30, 40, 60, 50], [70, 60, 50, 90]], dtype=np.float64)
    counts, inside = np.zeros((SIZE, SIZE)), np.zeros((SIZE, SIZE), dtype=bool)
    for x, y, w, h in np.concatenate(boxes[1:]).astype(int):
        counts[y : y + h, x : x + w] += 1
    inside[40:90, 30:90] = inside[60:150, 70:120] = True
    place = places_of(boxes)[0]
    assert place.energy_inside(given) == pytest.approx(counts[inside].sum() / counts.sum())


@pytest.mark.parametrize("size_px", [64, 224, 1000])
def test_the_usual_place_is_the_same_at_every_input_size_and_sees_the_tiniest_box(size_px):
    tiny = box(100.1, 50.2, 0.3, 0.3)
    (x, y) = places_of([tiny * size_px / SIZE, box(0, 0, 1, 1)], size_px=size_px)[1].peak
    assert x * SIZE / size_px == pytest.approx(100.25, abs=0.5)
    assert y * SIZE / size_px == pytest.approx(50.35, abs=0.5)


def test_another_image_is_of_another_patient():
    mine, other = a_map((1, 1, 1.0)), a_map((5, 5, 1.0))
    lesion = box(32, 32, 32, 32)
    values = measured(
        [boxed(mine, lesion, 1), boxed(mine, lesion, 1), boxed(other, lesion, 2)], SIZE
    )
    assert value(values[OTHER_IMAGE], POINTING, 0) == 0
    alone = measured([boxed(mine, lesion, 1), boxed(mine, lesion, 1)], SIZE)
    assert np.isnan(alone[OTHER_IMAGE]).all()
    assert np.isnan(alone[USUAL_PLACE]).all()


def test_half_a_cell_beside_the_box_is_near():
    lesion = box(5.5 * 32 + 10, 2.5 * 32, 8, 8)  # its left edge is 10 px right of the peak
    values = measured([boxed(a_map((2, 5, 1.0)), lesion)], SIZE)
    assert value(values["map"], POINTING) == 0
    assert value(values["map"], NEAR) == 1


def test_a_map_without_evidence_hits_nothing_and_has_no_false_box():
    values = measured([boxed(a_map(), box(0, 0, 224, 224))], SIZE)
    assert value(values["map"], POINTING) == 0
    assert value(values["map"], ENERGY) == 0
    assert value(values["map"], "false_iou_0.1") == 0


def test_false_boxes_are_the_regions_that_meet_no_lesion():
    values = measured([boxed(a_map((1, 1, 1.0), (5, 5, 0.9)), box(32, 32, 32, 32))], SIZE)
    assert value(values["map"], "false_iou_0.1") == 2  # the second spot, at both thresholds


def test_covering_takes_the_lesion_away_and_leaves_the_rest():
    image = np.full((128, 128), 60, dtype=np.uint8)
    image[:, 64:] = 90
    image[40:60, 50:80] = 250
    painted = covered(image, box(50, 40, 30, 20))
    assert painted[40:60, 50:80].max() <= 90
    assert painted[40:60, 50:80].min() >= 60
    untouched = np.ones_like(image, dtype=bool)
    untouched[40:60, 50:80] = False
    assert (painted[untouched] == image[untouched]).all()


@pytest.mark.parametrize(
    "at", [(0, 0, 20, 20), (108, 108, 20, 20), (0, 40, 128, 20), (0, 0, 128, 128)]
)
def test_a_box_at_the_edge_is_covered_too(at):
    image = np.random.default_rng(0).integers(0, 255, (128, 128)).astype(np.uint8)
    painted = covered(image, box(*at))
    assert painted.shape == image.shape
    assert (painted != image).any()


def test_elsewhere_is_the_mirrored_place_or_another_clear_one_and_the_same_every_time():
    lesion = box(20, 40, 16, 16)
    mirrored = elsewhere(lesion, np.zeros((0, 4)), 128, seed=0)
    np.testing.assert_allclose(mirrored, box(128 - 36, 40, 16, 16))
    blocked = elsewhere(lesion, box(80, 30, 40, 40), 128, seed=0)
    assert overlaps(blocked, np.concatenate([lesion, box(80, 30, 40, 40)]))[0].max() == 0
    np.testing.assert_array_equal(blocked, elsewhere(lesion, box(80, 30, 40, 40), 128, seed=0))
    assert elsewhere(box(0, 0, 128, 128), np.zeros((0, 4)), 128, seed=0) is None


def test_a_finding_as_often_left_as_right_is_hit_less_than_chance_by_others_and_not_by_the_best():
    left, right = box(30, 90, 50, 60), box(144, 90, 50, 60)
    maps = [boxed(a_map(), (left, right)[patient % 2], patient) for patient in range(10)]
    values = measured(maps, SIZE)
    assert values[USUAL_PLACE][:, MEASURES.index(POINTING)].mean() == 0
    assert values[BEST_PLACE][:, MEASURES.index(POINTING)].mean() == 0.5


def summed_up(above, smaller=0.0):
    """What is said of maps that are above these controls by either measure."""
    differences = {
        name: {"difference": 0.1, "ci": [0.05 if name in above else -0.05, 0.2]}
        for name in (*CONTROLS, BEST_PLACE)
    }
    at = {"pointing": 0.3, "pointing_near": 0.8, "energy": 0.1}
    at |= {"iou": {"0.1": 0.5, "0.5": 0.1}, "iobb": {"0.25": 0.5}}
    at |= {"false_boxes_per_image": {"iobb": {"0.25": 1.0}}}
    others = {"pointing": 0.1, "pointing_near": 0.4}
    figures = {
        "maps": 20,
        "median_box_px": [20.0, 20.0],
        "smaller_than_a_cell": smaller,
        "map": at,
        "controls": dict.fromkeys(CONTROLS, others),
        BEST_PLACE: {"pointing": 0.5, "pointing_near": 0.6},
        "pointing_above": differences,
        "pointing_near_above": differences,
        "published": {"figures": None},
        "cover": None,
    }
    return summary_of({"input_px": 224, "map_cells": 7, "findings": {"Mass": figures}})


def test_a_map_is_said_to_beat_what_it_beats_and_no_more():
    assert "It does not beat that place" in summed_up([RANDOM, OTHER_IMAGE])[0]
    assert "that place, but not another image's map." in summed_up([RANDOM, USUAL_PLACE])[0]
    all_three = summed_up(CONTROLS)[0]
    assert "It beats all three, but not the one place that most of these very boxes" in all_three
    assert "(50 %)" in all_three
    assert summed_up([*CONTROLS, BEST_PLACE])[0].endswith("It beats all three.")


def test_where_boxes_are_smaller_than_a_cell_map_and_controls_are_compared_within_half_of_one():
    (inside, *_), (near, _, why) = summed_up(CONTROLS), summed_up(CONTROLS, smaller=0.9)
    assert (
        "in the box in 30 % of 20 maps (within half a cell in 80 %); a random point 10 %" in inside
    )
    assert "within half a cell of the box in 80 % of 20 maps (in the box in 30 %)" in near
    assert "the place with most boxes of other patients 40 %" in near
    assert "(60 %)" in near
    assert "compared within half a cell" in why


def test_the_published_row_is_wangs_and_has_nih_findings_only():
    published = published_localization()
    assert published["Mass"] == {
        "iobb_0.1": 0.5882,
        "iobb_0.25": 0.4588,
        "iobb_0.5": 0.3058,
        "iou_0.1": 0.4,
        "iou_0.3": 0.1529,
        "iou_0.5": 0.0117,
    }
    assert len(published) == 8


def a_study(known_as, by, images):
    """As much of a study as the question needs: NIH's own 25,596 test images are nowhere here."""
    return SimpleNamespace(
        patients_known_as=known_as,
        recipe=SimpleNamespace(split=SimpleNamespace(by=by)),
        rows=lambda part: range(images),
    )


@pytest.mark.parametrize(
    ("known_as", "by", "images", "boxes", "is_shown"),
    [
        ("nih", "official", 25_596, 85, True),
        ("nih", "official", 25_596, 40, False),
        ("nih", "official", 45, 85, False),
        ("nih", "patient", 25_596, 85, False),
        ("phantom", "official", 25_596, 85, False),
    ],
)
def test_published_figures_stand_beside_nihs_own_boxes_alone(known_as, by, images, boxes, is_shown):
    source = SimpleNamespace(study=a_study(known_as, by, images))
    beside = published_beside(source, "Mass", boxes)
    assert (beside["figures"] is not None) == is_shown
    assert (beside["note"] is None) == is_shown
    assert published_beside(source, "Hernia", boxes)["figures"] is None
