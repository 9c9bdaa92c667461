"""Maps against boxes: geometry to the pixel, fair controls, figures that count patients."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from core.evaluation.cover import covered, elsewhere
from core.evaluation.localization import (
    ENERGY,
    MEAN_BOX,
    MEASURES,
    NEAR,
    OTHER_IMAGE,
    POINTING,
    RANDOM,
    BoxedMap,
    measured,
)
from core.evaluation.localization_report import published_beside, published_localization
from core.evaluation.map_geometry import (
    apart,
    boxes_on_input,
    energy_inside,
    overlaps,
    peak_of,
    regions_of,
    share_of_area,
    upsampled,
)

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
        assert value(values[MEAN_BOX], POINTING, place) == 0
        assert value(values[RANDOM], POINTING, place) == pytest.approx((32 / SIZE) ** 2)
    assert value(values["map"], "iou_0.1") == 1
    assert value(values["map"], ENERGY) > value(values[RANDOM], ENERGY)


def test_where_the_lesion_is_always_in_one_place_the_mean_box_and_other_maps_do_as_well():
    maps = [boxed(a_map((4, 3, 1.0)), box(90, 120, 80, 60), patient) for patient in range(5)]
    values = measured(maps, SIZE)
    for name in ("map", MEAN_BOX, OTHER_IMAGE):
        assert values[name][:, MEASURES.index(POINTING)].tolist() == [1.0] * 5


def test_another_image_is_of_another_patient():
    mine, other = a_map((1, 1, 1.0)), a_map((5, 5, 1.0))
    lesion = box(32, 32, 32, 32)
    values = measured(
        [boxed(mine, lesion, 1), boxed(mine, lesion, 1), boxed(other, lesion, 2)], SIZE
    )
    assert value(values[OTHER_IMAGE], POINTING, 0) == 0
    alone = measured([boxed(mine, lesion, 1), boxed(mine, lesion, 1)], SIZE)
    assert np.isnan(alone[OTHER_IMAGE]).all()
    assert np.isnan(alone[MEAN_BOX]).all()


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
