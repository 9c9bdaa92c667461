"""What a run keeps and goes on from, where a kill came at a bad moment."""

import resource
from dataclasses import replace

import numpy as np
import pytest
import torch
from parts import Pixels

from core.data.batches import Part, micro_batches
from core.errors import RunFailedError
from core.evaluation.predict import Placement, predict_logits
from core.events import EpochDone, EpochStarted, Resumed, Warned
from core.model.densenet import build_model
from core.model.memory import is_host_limited, memory_errors_named
from core.model.precision import Precision
from core.recipe_toml import checked_recipe
from core.requests import Request
from core.store.sessions import create_session
from core.training.context import RunContext
from core.training.control import Control
from core.training.distributed.ranks import RankLostError
from core.training.fit import Fit
from core.training.keeping import keep_best, load_best, restore_last
from core.training.trainer import MAX_SKIPPED_IN_A_ROW, Trainer


@pytest.fixture
def trainer():
    return trainer_of(12)


def trainer_of(images):
    settings = {
        "image": {"size_px": 32},
        "train": {"batch_size": 4},
        "dataset": {"findings": ["Mass"]},
    }
    recipe = checked_recipe(settings, "test")
    rng = np.random.default_rng(0)
    part = Part(
        name="train",
        cache=Pixels(rng.integers(0, 255, (images, 32, 32), dtype=np.uint8)),
        cache_rows_N=np.arange(images),
        index_rows_N=np.arange(images),
        images_N=np.array([f"{i}.png" for i in range(images)], dtype=object),
        patients_N=np.arange(images),
        labels_NF=(np.arange(images) % 2).astype(np.float32)[:, None],
    )
    placement = Placement(torch.device("cpu"), Precision("fp32", "a test"))
    return Trainer(build_model(["Mass"], seed=0), part, recipe, placement)


def weights(trainer):
    return trainer.model.classifier.weight.detach().clone()


def test_the_best_epoch_is_the_one_the_run_chose_not_the_newest_file(trainer, tmp_path):
    session = create_session(tmp_path, trainer.recipe)
    trainer.progress.best_epoch = 1
    keep_best(session, trainer, {})
    first = weights(trainer)
    list(trainer.epoch_steps())
    trainer.progress.best_epoch = 2
    keep_best(session, trainer, {})
    assert not torch.equal(weights(trainer), first)
    assert load_best(session, trainer)
    trainer.progress.best_epoch = 1  # a kill came before epoch 2's checkpoint
    assert not load_best(session, trainer)
    assert torch.equal(weights(trainer), first)


def test_a_step_that_is_not_finite_touches_neither_weights_nor_statistics(trainer):
    batch, _ = next(trainer.epoch_steps())
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    poisoned = trainer.model.features.conv0.weight.data.clone()
    trainer.model.features.conv0.weight.data[0, 0, 0, 0] = float("nan")
    result = trainer.step(batch)
    trainer.model.features.conv0.weight.data.copy_(poisoned)
    assert not result.updated
    for name, value in trainer.model.state_dict().items():
        if "num_batches_tracked" not in name:
            assert torch.equal(value, before[name]), name


def test_too_many_of_them_in_a_row_fail_the_run(trainer):
    batch, _ = next(trainer.epoch_steps())
    trainer.model.classifier.weight.data.fill_(float("nan"))
    for _ in range(MAX_SKIPPED_IN_A_ROW - 1):
        assert not trainer.step(batch).updated
    with pytest.raises(RunFailedError, match="was not finite 5 times in a row"):
        assert not trainer.step(batch).updated


def test_out_of_memory_names_the_key_to_lower():
    with pytest.raises(RunFailedError, match="micro_batch_size"), memory_errors_named():
        torch.empty(2**62, dtype=torch.uint8)
    with pytest.raises(RuntimeError, match="shape"), memory_errors_named():
        raise RuntimeError("a shape that does not fit")


@pytest.mark.parametrize(
    ("images", "size", "sizes"), [(8, 3, [3, 2, 3]), (16, 16, [16]), (7, 4, [4, 3])]
)
def test_micro_batches_cover_the_batch_in_pieces_as_equal_as_can_be(images, size, sizes):
    pieces = micro_batches(images, size)
    assert [piece.stop - piece.start for piece in pieces] == sizes
    assert [i for piece in pieces for i in range(piece.start, piece.stop)] == list(range(images))


def test_accumulating_gradients_equals_one_batch_but_for_batch_statistics(trainer):
    batch, _ = next(trainer.epoch_steps())
    trainer.model.eval()  # batch norm sees the micro-batch only; without it both are equal
    whole, _ = trainer.train_step.backward(batch, len(batch)).loss_and_norm_2.tolist()
    gradient = trainer.model.classifier.weight.grad.clone()
    in_pieces, _ = trainer.train_step.backward(batch, 2).loss_and_norm_2.tolist()
    assert in_pieces == pytest.approx(whole, rel=1e-5)
    assert torch.allclose(trainer.model.classifier.weight.grad, gradient, atol=1e-6)


def with_batches_of(trainer, batch_size):
    """Another trainer of the same images."""
    train = trainer.settings.model_copy(update={"batch_size": batch_size})
    recipe = trainer.recipe.model_copy(update={"train": train})
    return Trainer(build_model(["Mass"], seed=0), trainer.part, recipe, trainer.placement)


@pytest.fixture
def scarce(trainer):
    """The trainer, with twelve images a step and memory for five of them."""

    def more_than_there_is(_network, arguments):
        if len(arguments[0]) > 5:
            torch.empty(2**60, dtype=torch.uint8)  # the allocator's own refusal

    trainer = with_batches_of(trainer, 12)
    trainer.model.register_forward_pre_hook(more_than_there_is)
    return trainer


def test_where_memory_runs_out_smaller_pieces_give_the_weights_that_they_always_give(scarce):
    other = build_model(["Mass"], seed=0)
    in_threes = scarce.recipe.model_copy(
        update={"train": scarce.settings.model_copy(update={"micro_batch_size": 3})}
    )
    asked_for = Trainer(other, scarce.part, in_threes, scarce.placement)
    results = [result for trainer in (scarce, asked_for) for _, result in trainer.epoch_steps()]
    assert [result.micro_batch_size for result in results] == [3, None]
    assert scarce.progress.micro_batch_size == 3
    for name, tensor in scarce.model.state_dict().items():
        assert torch.equal(tensor, asked_for.model.state_dict()[name]), name


def test_what_memory_allows_is_said_once_and_remembered(scarce, tmp_path):
    scarce.settings = scarce.settings.model_copy(update={"epochs": 2})
    session = create_session(tmp_path, scarce.recipe)
    events = []
    control = Control(lambda: Request.CONTINUE, lambda: Request.CONTINUE, events.append)
    Fit(
        scarce, scarce.part, RunContext(session, control, events.append, lambda write: write()), {}
    ).run()
    said = [event.message for event in events if isinstance(event, Warned)]
    assert len([text for text in said if "memory ran out" in text and "3 images" in text]) == 1
    gone_on = Trainer(build_model(["Mass"], seed=1), scarce.part, scarce.recipe, scarce.placement)
    restore_last(session, gone_on)
    assert gone_on.progress.micro_batch_size == 3
    assert gone_on.scoring_batch_size == 3
    gone_on.placement = replace(gone_on.placement, device=torch.device("cuda"))
    assert gone_on.scoring_batch_size == 12


def test_what_is_too_large_to_be_scored_at_once_is_scored_in_halves(scarce):
    logits_NF = predict_logits(scarce.model, scarce.part, scarce.placement, batch_size=12)
    in_fours = predict_logits(scarce.model, scarce.part, scarce.placement, batch_size=4)
    assert torch.allclose(logits_NF, in_fours, atol=1e-6)


def test_where_memory_is_not_enough_for_the_fewest_images_the_run_fails(scarce):
    scarce.settings = scarce.settings.model_copy(update={"batch_size": 4})
    scarce.model.register_forward_pre_hook(lambda *_: torch.empty(2**60, dtype=torch.uint8))
    with pytest.raises(RunFailedError, match=r"out of memory.*image.size_px"):
        next(scarce.epoch_steps())


@pytest.fixture
def limited():
    """As under ``ulimit -d``: a limit that this process is far from."""
    before = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (2**46, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_DATA, before)


def without_a_primitive(trainer):
    """What oneDNN says where its own memory is refused, and of other causes too."""

    def refuse(_network, arguments):
        if len(arguments[0]) > 5:
            raise RuntimeError("could not create a primitive")

    trainer = with_batches_of(trainer, 12)
    trainer.model.register_forward_pre_hook(refuse)
    return next(trainer.epoch_steps())[1]


def test_under_a_limit_what_onednn_says_is_taken_for_memory(trainer, limited):
    assert without_a_primitive(trainer).micro_batch_size == 3


@pytest.mark.skipif(is_host_limited(), reason="memory is limited here")
def test_without_a_limit_it_is_a_defect_and_no_memory_is_blamed(trainer):
    with pytest.raises(RuntimeError, match="could not create a primitive"):
        without_a_primitive(trainer)


def test_a_pause_asked_for_by_a_file_stands_between_two_looks_at_it():
    events = []
    answers = iter([Request.PAUSE])
    control = Control(lambda: Request.CONTINUE, lambda: next(answers), events.append)
    assert control.ask() is Request.PAUSE
    assert control.ask() is Request.PAUSE


def test_a_stop_once_asked_for_stays():
    answers = iter([Request.STOP, Request.CONTINUE, Request.PAUSE])
    control = Control(lambda: next(answers), lambda: Request.CONTINUE, lambda _: None)
    assert [control.ask() for _ in range(3)] == [Request.STOP] * 3


def fitted(trainer, tmp_path, at_event):
    """A run of three epochs that is told of its own events; what it recorded."""
    trainer.settings = trainer.settings.model_copy(update={"epochs": 3})
    session = create_session(tmp_path, trainer.recipe)
    events = []

    def record(event):
        events.append(event)
        at_event(event)

    control = Control(lambda: Request.CONTINUE, lambda: Request.CONTINUE, record)
    Fit(
        trainer, trainer.part, RunContext(session, control, record, lambda write: write()), {}
    ).run()
    return events


def test_a_process_that_is_lost_while_a_best_epoch_is_kept_does_not_cost_that_best(
    trainer, tmp_path
):
    session = create_session(tmp_path, trainer.recipe)
    control = Control(lambda: Request.CONTINUE, lambda: Request.CONTINUE, lambda _: None)
    writes = []

    def keep(write):
        writes.append(write)
        if len(writes) == 1:
            raise RankLostError("process 1 of 2 is gone")
        return write()

    def fit(of):
        return Fit(of, of.part, RunContext(session, control, lambda _: None, keep), {})

    with pytest.raises(RankLostError):
        fit(trainer).run()
    again = Trainer(build_model(["Mass"], seed=1), trainer.part, trainer.recipe, trainer.placement)
    restore_last(session, again)
    assert again.progress.step == trainer.steps_per_epoch
    again.settings = again.settings.model_copy(update={"epochs": 1})
    assert fit(again).run()
    assert again.progress.best_epoch == 1
    assert load_best(session, again)


def poison(trainer):
    trainer.model.classifier.weight.data.fill_(float("nan"))


def test_steps_that_are_not_finite_go_back_to_the_checkpoint_with_a_lower_rate(tmp_path):
    trainer = trainer_of(24)  # six steps: five in a row fail, which an epoch of three can't
    rate = trainer.schedule.rate(0)

    def spoil(event):
        if isinstance(event, EpochStarted) and event.epoch == 2 and not trainer.progress.went_back:
            poison(trainer)

    events = fitted(trainer, tmp_path, spoil)
    (gone_back,) = [event for event in events if isinstance(event, Resumed)]
    assert (gone_back.step, gone_back.epoch) == (6, 2)
    assert any("instead of" in e.message for e in events if isinstance(e, Warned))
    assert trainer.schedule.rate(0) == pytest.approx(0.1 * rate)
    assert [e.epoch for e in events if isinstance(e, EpochDone)] == [1, 2, 3]
    assert torch.isfinite(trainer.model.classifier.weight).all()


def test_a_second_time_is_the_end(tmp_path):
    trainer = trainer_of(24)

    def spoil(event):
        if isinstance(event, EpochStarted) and event.epoch == 2:
            poison(trainer)

    with pytest.raises(RunFailedError, match="was not finite 5 times in a row"):
        fitted(trainer, tmp_path, spoil)


def test_without_a_checkpoint_there_is_nothing_to_go_back_to(tmp_path):
    trainer = trainer_of(24)

    def spoil(event):
        if isinstance(event, EpochStarted):
            poison(trainer)

    with pytest.raises(RunFailedError, match="was not finite 5 times in a row"):
        fitted(trainer, tmp_path, spoil)


def test_a_checkpoint_asked_for_while_none_can_be_kept_is_owed_to_the_next_step():
    answers = iter([Request.CHECKPOINT, Request.CONTINUE, Request.CONTINUE, Request.CONTINUE])
    control = Control(lambda: next(answers), lambda: Request.CONTINUE, lambda _: None)
    assert control.may_go_on()  # validation
    assert control.may_go_on()
    assert [control.ask() for _ in range(2)] == [Request.CHECKPOINT, Request.CONTINUE]
