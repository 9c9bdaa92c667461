"""Before the start: can the network learn anything, and what are its weights worth?"""

import json
import threading

import numpy as np
import pytest
import torch
from parts import part_of
from PIL import Image
from safetensors.torch import save_file

from core.data.batches import to_unit_range
from core.evaluation.predict import Placement
from core.health.few_images import check_few_images, learn_few_images
from core.health.maps import check_maps
from core.model.densenet import build_model
from core.model.input_spec import GREY, IMAGENET
from core.model.own_metadata import write_metadata
from core.model.precision import Precision
from core.model.provenance import UNKNOWN, Provenance
from core.recipe_toml import checked_recipe
from core.training.trainer import Trainer

SIZE_PX, IMAGES = 64, 60
FINDINGS = ("Mass", "Effusion")


def trainer_on(images, labels_NF=None):
    rng = np.random.default_rng(0)
    if labels_NF is None:
        labels_NF = (rng.random((IMAGES, 2)) < 0.4).astype(np.float32)
    part = part_of("train", images, labels_NF)
    recipe = checked_recipe(
        {"image": {"size_px": SIZE_PX}, "dataset": {"findings": list(FINDINGS)}}, "test"
    )
    placement = Placement(torch.device("cpu"), Precision("fp32", "a test"))
    return Trainer(build_model(FINDINGS, seed=0), part, recipe, placement)


def noise():
    return np.random.default_rng(1).integers(0, 255, (IMAGES, SIZE_PX, SIZE_PX)).astype(np.uint8)


def go_on(_done):
    return True


def test_a_network_that_can_learn_knows_sixteen_images_by_heart_within_steps():
    rehearsal = learn_few_images(trainer_on(noise()), go_on)
    (answer,) = check_few_images(rehearsal)
    assert answer.severity == "ok"
    assert answer.evidence["images"] == 16
    assert answer.evidence["steps"] < 15


def test_the_same_image_under_every_name_can_not_be_learnt():
    same = np.repeat(noise()[:1], IMAGES, axis=0)
    (answer,) = check_few_images(learn_few_images(trainer_on(same), go_on))
    assert answer.severity == "stop"
    assert answer.evidence["loss_lowest"] > 0.9 * answer.evidence["base_rate"]
    assert "will learn nothing" in answer.text


def test_weights_that_are_no_numbers_any_more_are_told_as_such():
    trainer = trainer_on(noise())
    with torch.no_grad():
        trainer.model.classifier.weight.fill_(float("nan"))
    (answer,) = check_few_images(learn_few_images(trainer, go_on))
    assert answer.severity == "stop"
    assert "not finite" in answer.text


def test_learning_by_heart_leaves_weights_statistics_and_random_numbers_as_they_were():
    trainer = trainer_on(noise())
    before = {name: item.clone() for name, item in trainer.model.state_dict().items()}
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    learn_few_images(trainer, go_on)
    assert torch.equal(torch.rand(3), expected)
    after = trainer.model.state_dict()
    assert all(torch.equal(after[name], item) for name, item in before.items())
    assert trainer.progress.step == 0
    assert all(item.grad is None for item in trainer.model.parameters())


def test_it_is_given_up_where_it_would_take_too_long_or_a_stop_is_asked_for():
    same = np.repeat(noise()[:1], IMAGES, axis=0)
    assert learn_few_images(trainer_on(same), go_on, longest_seconds=0) is None
    assert learn_few_images(trainer_on(same), lambda done: done < 1) is None


def test_a_stop_is_heard_in_the_middle_of_a_step(monkeypatch):
    release, answers = threading.Event(), iter([True, True, False])
    monkeypatch.setattr(Trainer, "step", lambda *_: release.wait(20))
    try:
        assert learn_few_images(trainer_on(noise()), lambda _done: next(answers)) is None
    finally:
        release.set()


def test_it_is_not_tried_without_enough_images_of_both_kinds():
    labels_NF = np.zeros((IMAGES, 2), dtype=np.float32)
    labels_NF[:3] = 1
    assert learn_few_images(trainer_on(noise(), labels_NF), go_on) is None


def batch_answers(program, phantom_dir, cache_dir, *settings):
    """The answers before the first step of a real run of one epoch."""
    places = ["--cache", cache_dir, "--device", "cpu", "--json"]
    keys = ["dataset.phantom=none", f"dataset.images={phantom_dir}", "image.size_px=32"]
    keys += ["train.epochs=1", "train.precision=fp32", "evaluate.bootstrap=20", *settings]
    done = program("--batch", "demo", *places, *(part for key in keys for part in ("--set", key)))
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    return {
        event["check"]: event
        for event in events
        if event["event"] == "Diagnosed" and event["step"] == 0
    }


def test_a_run_learns_a_few_images_before_its_first_step_unless_told_not_to(
    cxr_tui, phantom_dir, cache_dir
):
    told = batch_answers(cxr_tui, phantom_dir, cache_dir)
    assert told["few-images"]["severity"] == "ok"
    never = batch_answers(cxr_tui, phantom_dir, cache_dir, "train.few_images_first=never")
    assert "few-images" not in never


def test_a_data_set_whose_files_all_show_one_image_is_stopped_at_before_the_first_step(
    cxr_tui, phantom_dir, cache_dir, tmp_path
):
    copies = tmp_path / "copies"
    copies.mkdir()
    one = sorted(phantom_dir.rglob("*.png"))[0].read_bytes()
    for path in sorted(phantom_dir.rglob("*")):
        if path.suffix == ".png":
            (copies / path.name).write_bytes(one)
        elif path.is_file():
            (copies / path.name).write_bytes(path.read_bytes())
    told = batch_answers(cxr_tui, copies, cache_dir)
    assert told["few-images"]["severity"] == "stop"
    assert told["images-alike"]["severity"] == "warning"


@pytest.mark.parametrize("was_trained", [True, False])
def test_weights_of_a_network_that_was_never_trained_are_told(
    was_trained, cxr_tui, phantom_dir, cache_dir, tmp_path
):
    model = build_model(FINDINGS, seed=0)
    if was_trained:
        with torch.no_grad():
            model.train()(torch.rand(8, 1, 64, 64))
    path = tmp_path / "weights.safetensors"
    metadata = write_metadata(FINDINGS, GREY, Provenance(UNKNOWN, "a test"))
    save_file(dict(model.state_dict()), path, metadata=metadata)
    told = batch_answers(
        cxr_tui,
        phantom_dir,
        cache_dir,
        f"model.weights={path}",
        "model.seen_test_patients=mark",
        "train.few_images_first=never",
    )
    assert ("weights-untrained" in told) is not was_trained
    assert "weights-partial" not in told


def test_weights_that_fill_a_part_of_the_backbone_are_told_with_how_much(
    cxr_tui, phantom_dir, cache_dir, tmp_path
):
    model = build_model(FINDINGS, seed=0)
    with torch.no_grad():
        model.train()(torch.rand(8, 1, 64, 64))
    whole = model.state_dict()
    part = {name: item for name, item in whole.items() if "denseblock4" not in name}
    path = tmp_path / "part.safetensors"
    metadata = write_metadata(FINDINGS, GREY, Provenance(UNKNOWN, "a test"))
    save_file(part, path, metadata=metadata)
    told = batch_answers(
        cxr_tui,
        phantom_dir,
        cache_dir,
        f"model.weights={path}",
        "model.allow_partial_weights=true",
        "model.seen_test_patients=mark",
        "train.few_images_first=never",
    )
    assert told["weights-partial"]["severity"] == "warning"
    assert told["weights-partial"]["evidence"]["matched"] < 727


@pytest.mark.parametrize(("trained_on", "is_told"), [("0 to 1", False), ("0 to 255", True)])
def test_weights_that_are_fed_another_range_than_they_were_trained_on_are_told(
    trained_on, is_told, cxr_tui, phantom_dir, cache_dir, tmp_path
):
    """A file of unknown origin is taken to expect ImageNet's values."""
    model = build_model(FINDINGS, seed=0, input_spec=IMAGENET)
    pictures = [Image.open(path).convert("L") for path in sorted(phantom_dir.rglob("*.png"))[:16]]
    pixels = torch.from_numpy(np.stack([np.asarray(picture) for picture in pictures]))
    with torch.no_grad():
        for _ in range(40):
            model.train()(to_unit_range(pixels))
        if trained_on == "0 to 255":  # the same function of numbers that are so much larger
            model.features.conv0.weight /= 255 * IMAGENET.std[0]
    path = tmp_path / "theirs.safetensors"
    save_file(dict(model.state_dict()), path)
    told = batch_answers(
        cxr_tui,
        phantom_dir,
        cache_dir,
        f"model.weights={path}",
        "model.seen_test_patients=mark",
        "train.few_images_first=never",
    )
    assert ("value-range" in told) is is_told
    if is_told:
        assert told["value-range"]["severity"] == "warning"
        assert 1 / 100 < told["value-range"]["evidence"]["scale"] < 1 / 30


def test_maps_of_images_without_a_box_have_nothing_to_be_compared_with():
    (answer,) = check_maps(drawn=8, with_boxes=0)
    assert answer.severity == "note"
    assert not list(check_maps(drawn=8, with_boxes=1))
    assert not list(check_maps(drawn=0, with_boxes=0))
