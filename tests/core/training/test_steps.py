"""Steps that don't wait for their device: what they leave there, and when it is read."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from tiny_training import FINDINGS, losses_of, same, state_of, tiny_part, tiny_trainer
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from core.data.batches import Batch, training_batches
from core.evaluation.predict import Placement
from core.events import StepRecorded, StepSkipped
from core.health.training_watch import TrainingWatch
from core.health.watch import HealthRecord
from core.model.densenet import ChestDenseNet
from core.model.precision import Precision
from core.recipe_toml import checked_recipe
from core.requests import Request
from core.store.sessions import create_session
from core.training.context import RunContext
from core.training.control import Control
from core.training.fit import Fit
from core.training.objectives import Objective, make_optimizer
from core.training.step.backward import Backward
from core.training.step.results import MOST_UNREAD

WAITING_METHODS = {
    *(torch.Tensor.tolist, torch.Tensor.numpy, torch.Tensor.cpu, torch.Tensor.__array__),
}
WAITING_OPERATIONS = {
    torch.ops.aten._local_scalar_dense.default,  # item(), float(), int(), bool()
    torch.ops.aten.nonzero.default,
    torch.ops.aten.masked_select.default,
    torch.ops.aten.equal.default,
}


class Waits:
    """Counts what would wait for a GPU: numbers that the host asks tensors for."""

    def __init__(self):
        self.count = 0
        waits = self

        class Methods(TorchFunctionMode):
            def __torch_function__(self, function, types, args=(), kwargs=None):
                waits.count += function in WAITING_METHODS
                return function(*args, **(kwargs or {}))

        class Operations(TorchDispatchMode):
            def __torch_dispatch__(self, function, types, args=(), kwargs=None):
                waits.count += function in WAITING_OPERATIONS
                return function(*args, **(kwargs or {}))

        self.modes = Methods(), Operations()

    def __enter__(self):
        for mode in self.modes:
            mode.__enter__()
        return self

    def __exit__(self, *error):
        for mode in reversed(self.modes):
            mode.__exit__(*error)


def fit_of(trainer, tmp_path, events, watch=None):
    session = create_session(tmp_path, trainer.recipe)
    control = Control(lambda: Request.CONTINUE, lambda: Request.CONTINUE, events.append)
    fit = Fit(
        trainer,
        tiny_part("val", 12),
        RunContext(session, control, events.append, lambda do: do()),
        {},
    )
    if watch is not None:
        fit.watch = watch
    return fit


def test_what_would_wait_for_a_device_is_counted():
    with Waits() as waits:
        value = torch.ones(3)
        assert float(value.sum()) == 3
        assert bool((value > 0).all())
        value.nonzero()
        value.tolist()
    assert waits.count == 4


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_the_loop_waits_for_its_device_at_records_alone(tmp_path, optimizer):
    trainer = tiny_trainer(images=200, optimizer=optimizer, clip_norm=1.0, learning_rate=0.001)
    events, seen = [], []

    class Counting(TrainingWatch):
        def after_step(self, trainer, batch, result):
            super().after_step(trainer, batch, result)
            records = sum(isinstance(event, StepRecorded) for event in events)
            seen.append((waits.count, records))

    val = tiny_part("val", 12)
    watch = Counting(HealthRecord(lambda _: None), val, base_rate_loss=0.6)
    with Waits() as waits:
        fit_of(trainer, tmp_path, events, watch)._train_epoch()
    assert trainer.progress.step == 25
    looks = slice(1, 10)  # the watch looks at the first step, and at the 11th
    (waits_before, records_before), (waits_after, records_after) = seen[looks][0], seen[looks][-1]
    assert waits_after - waits_before <= records_after - records_before
    (waits_before, records_before), (waits_after, records_after) = seen[11], seen[24]
    assert waits_after - waits_before <= records_after - records_before
    assert trainer.outcomes.readings < 25


def test_losses_that_are_read_late_are_those_that_are_read_at_once():
    late, at_once = tiny_trainer(), tiny_trainer()
    results = [result for _, result in late.epoch_steps()]
    losses = [result.loss for _, result in at_once.epoch_steps()]
    assert [result.loss for result in results] == losses
    assert late.outcomes.readings == 1
    assert at_once.outcomes.readings == len(losses)
    assert late.progress.mean_train_loss == at_once.progress.mean_train_loss
    assert same(state_of(late), state_of(at_once))


def test_more_steps_than_there_is_room_for_are_read_in_between():
    trainer = tiny_trainer(batch_size=2, images=2 * MOST_UNREAD + 6)
    results = [result for _, result in trainer.epoch_steps()]
    assert trainer.outcomes.readings == 1
    losses = [result.loss for result in results]
    assert len(losses) == MOST_UNREAD + 3
    assert all(map(math.isfinite, losses))
    assert trainer.progress.loss_sum == pytest.approx(sum(losses))


def spoilt(batch):
    return dataclasses.replace(batch, labels_BF=torch.full_like(batch.labels_BF, math.inf))


def batches_of(trainer):
    size = trainer.settings.batch_size
    return list(training_batches(trainer.part, seed=0, epoch=1, batch_size=size, augment=True))


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("where", [0, 2])
def test_a_step_that_is_not_finite_is_as_if_it_never_was(optimizer, fused, where):
    disturbed, alone = (tiny_trainer(optimizer=optimizer) for _ in range(2))
    for trainer in (disturbed, alone):
        trainer.train_step.optimizer = make_optimizer(trainer.model, trainer.settings, fused=fused)
    batches = batches_of(alone)
    for number, batch in enumerate(batches):
        if number == where:
            assert not disturbed.step(spoilt(batch)).updated
        disturbed.step(batch)
        alone.step(batch)
    assert same(state_of(disturbed), state_of(alone))


def test_a_skipped_step_is_told_by_its_number_though_it_is_read_later(tmp_path):
    trainer = tiny_trainer()
    events = []
    fit = fit_of(trainer, tmp_path, events)
    first, second, third, *_ = batches_of(trainer)
    for batch in (first, spoilt(second), third):
        fit._note_step(trainer.step(batch))
    fit._record_steps()
    assert [event.step for event in events if isinstance(event, StepSkipped)] == [2]
    recorded = [event for event in events if isinstance(event, StepRecorded)]
    assert recorded[-1].step == 3
    assert all(math.isfinite(event.train_loss) for event in recorded)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_one_kernel_for_all_weights_gives_the_weights_of_many(optimizer):
    states = []
    for fused in (True, False):
        trainer = tiny_trainer(optimizer=optimizer, learning_rate=0.01)
        trainer.train_step.optimizer = make_optimizer(trainer.model, trainer.settings, fused=fused)
        losses_of(trainer, epochs=4)
        states.append(state_of(trainer))
    for name, value in states[0].items():
        assert torch.allclose(value, states[1][name], rtol=1e-4, atol=1e-6), name


class OnNoDevice(ChestDenseNet):
    """The network without its context for bf16, which the meta device doesn't have."""

    def classify(self, maps_BCHW):
        return self.classifier(maps_BCHW.mean(dim=(2, 3)))


@pytest.mark.parametrize("loss", ["bce", "weighted-bce", "focal", "asymmetric"])
def test_a_step_of_the_network_asks_for_no_value_so_that_a_graph_can_hold_it(loss):
    """On the meta device no tensor has values: asking for one, or for its number, is an error."""
    meta = torch.device("meta")
    recipe = checked_recipe(
        {
            "image": {"size_px": 64},
            "dataset": {"findings": list(FINDINGS)},
            "train": {"batch_size": 4, "clip_norm": 1.0, "loss": loss},
            "augment": {"flip": 0.5, "rotate_deg": 5, "scale": 0.1, "shift": 0.1},
        },
        "test",
    )
    labels_BF = torch.zeros(4, len(FINDINGS))
    batch = Batch(
        np.arange(4), torch.zeros(4, 64, 64, dtype=torch.uint8), labels_BF, torch.rand(4, 5)
    )
    network = OnNoDevice(FINDINGS).to(meta).train()
    objective = Objective.of(recipe.train, labels_BF).to(meta)
    backward = Backward(network, objective, Placement(meta, Precision("fp32", "a test")), recipe)
    outcome = backward(batch, 4)
    assert outcome.loss_and_norm_2.device == meta
    with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
        float(outcome.not_finite)
