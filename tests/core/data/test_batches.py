import threading
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from core.data.batches import (
    Part,
    augmented,
    augments,
    epoch_order,
    read_ahead,
    scoring_batches,
    steps_per_epoch,
    to_unit_range,
    training_batches,
)
from core.recipe import AugmentSettings


@dataclass
class Rows:
    """Bytes in memory in the place of the memory map; pixel (0, 0) is the row's number."""

    count: int

    def pixels(self, rows):
        images = np.zeros((len(rows), 8, 8), dtype=np.uint8)
        images[:, 0, 0] = rows
        return images


def part_of(count):
    labels = np.arange(count * 2, dtype=np.float32).reshape(count, 2) % 2
    return Part(
        name="train",
        cache=Rows(count),
        cache_rows_N=np.arange(count),
        index_rows_N=np.arange(count),
        images_N=np.array([f"{i}.png" for i in range(count)], dtype=object),
        patients_N=np.arange(count),
        labels_NF=labels,
    )


def rows_of(batches):
    return [batch.rows_B.tolist() for batch in batches]


def all_rows(batches):
    return [row for batch in batches for row in batch.rows_B.tolist()]


@given(st.integers(0, 10**6), st.integers(1, 50), st.integers(1, 80), st.integers(1, 20))
def test_an_epoch_shows_each_image_once_but_for_a_last_single_one(seed, epoch, images, size):
    batches = training_batches(
        part_of(images), seed=seed, epoch=epoch, batch_size=size, augment=False
    )
    seen = all_rows(batches)
    assert len(set(seen)) == len(seen)
    left_out = images - len(seen)
    assert left_out == (1 if images % size == 1 and images > size and size > 1 else 0)


def test_order_is_a_function_of_seed_and_epoch():
    assert epoch_order(1, 2, 100).tolist() == epoch_order(1, 2, 100).tolist()
    assert epoch_order(1, 2, 100).tolist() != epoch_order(1, 3, 100).tolist()
    assert epoch_order(1, 2, 100).tolist() != epoch_order(2, 2, 100).tolist()


def test_an_epoch_that_goes_on_has_the_batches_it_would_have_had():
    part = part_of(50)
    whole = list(training_batches(part, seed=5, epoch=2, batch_size=8, augment=True))
    rest = list(training_batches(part, seed=5, epoch=2, batch_size=8, augment=True, first_step=3))
    assert rows_of(whole)[3:] == rows_of(rest)
    for first, second in zip(whole[3:], rest, strict=True):
        assert torch.equal(first.draws_B5, second.draws_B5)
        assert torch.equal(first.pixels_BHW, second.pixels_BHW)


def test_pixels_and_labels_belong_to_the_rows_of_the_batch():
    part = part_of(30)
    for batch in training_batches(part, seed=0, epoch=1, batch_size=7, augment=False):
        assert batch.pixels_BHW[:, 0, 0].tolist() == batch.rows_B.tolist()
        assert batch.labels_BF.tolist() == part.labels_NF[batch.rows_B].tolist()


def test_scoring_keeps_the_order_and_leaves_nothing_out():
    assert all_rows(scoring_batches(part_of(17), 8)) == list(range(17))


@given(st.integers(2, 200), st.integers(1, 40))
def test_the_number_of_steps_is_the_number_of_batches(images, size):
    batches = list(
        training_batches(part_of(images), seed=0, epoch=1, batch_size=size, augment=False)
    )
    assert steps_per_epoch(images, size) == len(batches)


def test_reading_ahead_changes_nothing_and_leaves_no_thread():
    before = threading.active_count()
    batches = read_ahead(scoring_batches(part_of(40), 3))
    assert rows_of(batches) == rows_of(scoring_batches(part_of(40), 3))
    half = read_ahead(scoring_batches(part_of(400), 3))
    next(half)
    half.close()
    assert threading.active_count() == before


def test_an_error_while_reading_ahead_arrives():
    def broken():
        yield from scoring_batches(part_of(4), 2)
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        list(read_ahead(broken()))


def settings(**changes):
    return AugmentSettings(**changes)


def image_with_a_dot(row, column, size=33):
    pixels = torch.zeros(1, 1, size, size)
    pixels[0, 0, row, column] = 1.0
    return pixels


def peak(pixels):
    return tuple(int(i) for i in np.unravel_index(int(pixels[0, 0].argmax()), pixels.shape[2:]))


def test_settings_of_zero_do_not_augment_and_leave_pixels_alone():
    assert not augments(settings())
    pixels = torch.rand(4, 1, 16, 16)
    same = augmented(pixels, torch.rand(4, 5), settings())
    assert torch.allclose(same, pixels, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "draws", "expected"),
    [
        ({"flip": 1.0}, [0.0, 0.5, 0.5, 0.5, 0.5], (4, 28)),  # mirrored left to right
        ({"flip": 0.5}, [0.7, 0.5, 0.5, 0.5, 0.5], (4, 4)),  # the draw says no
        ({"rotate_deg": 45}, [0.0, 1.0, 0.5, 0.5, 0.5], (16, 0)),  # 45° about the centre, clipped
        ({"shift": 0.25}, [0.0, 0.5, 0.5, 0.0, 0.5], (4, 12)),  # a quarter to the right
        ({"shift": 0.25}, [0.0, 0.5, 0.5, 0.5, 0.0], (12, 4)),  # a quarter down
        ({"scale": 0.5}, [0.0, 0.5, 0.0, 0.5, 0.5], (10, 10)),  # half the size
    ],
)
def test_one_draw_does_to_an_image_what_it_says(changes, draws, expected):
    moved = augmented(image_with_a_dot(4, 4), torch.tensor([draws]), settings(**changes))
    if expected == (16, 0):
        # A dot on the diagonal turns onto an axis: out of the frame or onto its edge.
        dot = image_with_a_dot(8, 8)
        row, column = peak(augmented(dot, torch.tensor([draws]), settings(**changes)))
        assert {abs(row - 16), abs(column - 16)} == {0, 11}
        return
    row, column = peak(moved)
    assert abs(row - expected[0]) <= 1
    assert abs(column - expected[1]) <= 1


def test_each_image_of_a_batch_has_its_own_draw():
    pixels = image_with_a_dot(4, 4).repeat(2, 1, 1, 1)
    draws = torch.tensor([[0.0, 0.5, 0.5, 0.5, 0.5], [0.9, 0.5, 0.5, 0.5, 0.5]])
    moved = augmented(pixels, draws, settings(flip=0.5))
    assert peak(moved[:1]) == (4, 28)
    assert peak(moved[1:]) == (4, 4)


def test_bytes_become_numbers_between_0_and_1():
    pixels = torch.tensor([[[0, 255], [51, 102]]], dtype=torch.uint8)
    assert to_unit_range(pixels).tolist() == [
        [[[0.0, 1.0], [pytest.approx(0.2), pytest.approx(0.4)]]]
    ]
