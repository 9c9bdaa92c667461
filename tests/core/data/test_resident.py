"""Images held in the device's memory: the same batches, the same losses, and ways back."""

import dataclasses

import numpy as np
import pytest
import torch
from tiny_training import SIZE_PX, Images, losses_of, same, state_of, tiny_part, tiny_trainer

from core.data.batches import scoring_batches, training_batches
from core.data.resident import hold_images, parts_that_fit
from core.evaluation.predict import predict_logits
from core.events import ImagesHeld
from core.training.step.device_use import hold_parts

IMAGE_BYTES = SIZE_PX**2


def with_parts(**settings):
    """A trainer and parts of one cache: 36 images of train, 20 of val, which are the last of 56."""
    trainer = tiny_trainer(**settings)
    everything = tiny_part("all", 56)
    train, val = (
        dataclasses.replace(
            everything,
            name=name,
            cache_rows_N=everything.cache_rows_N[rows],
            labels_NF=everything.labels_NF[rows],
        )
        for name, rows in (("train", slice(0, 36)), ("val", slice(36, 56)))
    )
    trainer.part = train
    return trainer, {"train": train, "val": val, "test": val}


def held(trainer, parts, free_bytes, *, may_go_on=lambda: True):
    events = []
    parts = hold_parts(trainer, parts, free_bytes, may_go_on, events.append)
    return parts, [event for event in events if isinstance(event, ImagesHeld)]


def test_batches_from_the_device_are_those_from_the_cache():
    trainer, mapped = with_parts()
    parts, _ = held(trainer, mapped, 1_000_000)
    keys = {"seed": 0, "epoch": 3, "batch_size": 8, "augment": True}
    pairs = [
        *zip(
            training_batches(parts["train"], **keys),
            training_batches(mapped["train"], **keys),
            strict=True,
        ),
        *zip(scoring_batches(parts["val"], 6), scoring_batches(mapped["val"], 6), strict=True),
    ]
    for resident, from_map in pairs:
        assert np.array_equal(resident.rows_B, from_map.rows_B)
        assert torch.equal(resident.pixels_BHW, from_map.pixels_BHW)
        assert np.array_equal(resident.labels_BF, from_map.labels_BF, equal_nan=True)
        assert (resident.draws_B5 is None) == (from_map.draws_B5 is None)
    parts["train"].cache.images[:] = 0  # and they do come from there
    resident = next(training_batches(parts["train"], **keys))
    assert resident.pixels_BHW.any()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_run_on_images_on_the_device_is_the_same_bit_for_bit(precision):
    (mapped, mapped_parts), (resident, parts) = (with_parts(precision=precision) for _ in range(2))
    parts, (told,) = held(resident, parts, 1_000_000)
    assert told.parts == ("train", "val")
    assert (told.images, told.size_bytes) == (56, 56 * IMAGE_BYTES)
    assert losses_of(resident, epochs=2) == losses_of(mapped, epochs=2)
    assert same(state_of(resident), state_of(mapped))
    logits = [
        predict_logits(trainer.model, part, trainer.placement, batch_size=8)
        for trainer, part in ((resident, parts["val"]), (mapped, mapped_parts["val"]))
    ]
    assert torch.equal(*logits)


@pytest.mark.parametrize(
    ("free_images", "share", "parts_held"),
    [
        (200, 0.5, ("train", "val")),
        (112, 0.5, ("train", "val")),
        (111, 0.5, ("train",)),
        (72, 0.5, ("train",)),
        (71, 0.5, ()),
        (200, 0.1, ()),
    ],
)
def test_what_fits_into_the_share_of_free_memory_is_held(free_images, share, parts_held):
    trainer, parts = with_parts(resident_share=share)
    parts, (told,) = held(trainer, parts, free_images * IMAGE_BYTES)
    assert told.parts == parts_held
    assert tuple(name for name, part in parts.items() if part.resident) == parts_held
    assert (trainer.part.resident is not None) == bool(parts_held)
    if not parts_held:
        assert "train.resident_share" in told.text


@pytest.mark.parametrize(("share", "free_bytes"), [(0, 10**9), (0.5, None)])
def test_nothing_is_held_where_it_is_not_wanted_or_the_device_is_the_host(share, free_bytes):
    trainer, parts = with_parts(resident_share=share)
    assert held(trainer, parts, free_bytes) == (parts, [])


def test_a_run_that_is_asked_to_stop_meanwhile_holds_nothing():
    trainer, parts = with_parts()
    assert held(trainer, parts, 10**9, may_go_on=lambda: False) == (parts, [])


def test_images_of_another_order_and_of_a_part_of_a_part_are_their_own():
    trainer, mapped = with_parts()
    parts, _ = held(trainer, mapped, 1_000_000)
    rows = np.array([7, 3, 30])
    few = {
        name: dataclasses.replace(part["train"], cache_rows_N=part["train"].cache_rows_N[rows])
        for name, part in (("held", parts), ("mapped", mapped))
    }
    pixels = [next(scoring_batches(part, 3)).pixels_BHW for part in few.values()]
    assert torch.equal(*pixels)


def test_rows_that_are_not_held_come_from_the_cache():
    cache = Images(np.zeros((10, 1), dtype=np.float32))
    rows = np.array([2, 5, 7])
    images = hold_images(cache, [rows], torch.device("cpu"), lambda _done, _all: True)
    assert torch.equal(
        images.pixels(np.array([5, 2, 5])), torch.from_numpy(cache.pixels([5, 2, 5]))
    )
    for missing in ([3], [9], [0], [2, 6]):
        assert images.pixels(np.array(missing)) is None
    images.release()
    assert (images.pixels(rows), images.size_bytes) == (None, 0)


def test_where_memory_runs_out_the_images_go_first_and_the_result_stays():
    (scarce, parts), (plenty, _) = with_parts(), with_parts()
    parts, _ = held(scarce, parts, 1_000_000)
    resident = parts["train"].resident

    def more_than_there_is(_network, _arguments):
        if resident.size_bytes:
            torch.empty(2**60, dtype=torch.uint8)  # the allocator's own refusal

    scarce.model.register_forward_pre_hook(more_than_there_is)
    results = [result for _, result in scarce.epoch_steps()]
    assert [len(result.notices) for result in results] == [1, 0, 0, 0, 0]
    assert "images are read from the cache from now on" in results[0].notices[0]
    assert scarce.progress.micro_batch_size is None
    assert [result.loss for result in results] == losses_of(plenty)


def test_parts_fit_in_their_order():
    assert parts_that_fit([10, 5], 10, 1500) == 2
    assert parts_that_fit([10, 5], 10, 1499) == 1
    assert parts_that_fit([10, 5], 10, 999) == 0
