"""Compiled and captured steps: as right as the eager step, or not used; and only where they pay."""

import copy
import re
import shutil
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from stand_ins import recorded_on_the_host
from tiny_training import losses_of, same, state_of, tiny_trainer

from core.events import StepChosen, Warned
from core.training.step.device_use import take_best_step
from core.training.step.engines import Graphed, made_engine
from core.training.step.step_choice import (
    EXPECTED_ON_CUDA,
    MARGIN,
    Expected,
    choose_step,
    pays,
    seconds_saved,
)

COMPILED = "aot_eager"
"""Torch's compiler but for its last stage, which generates and compiles C++."""


def chosen(trainer, backend=COMPILED):
    """What was taken, and what was said about it."""
    events = []
    choice = take_best_step(trainer, events.append, partial(made_engine, backend=backend))
    warnings = [event.message for event in events if isinstance(event, Warned)]
    return choice, warnings, [event for event in events if isinstance(event, StepChosen)]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_compiled_step_learns_what_the_eager_step_learns(precision):
    """36 images in eights: the last batch of each epoch is of another size, and stays eager."""
    eager = tiny_trainer(precision=precision)
    compiled = tiny_trainer(precision=precision, step="compiled")
    choice, warnings, told = chosen(compiled)
    assert (choice.kind, warnings) == ("compiled", [])
    assert told[0].kind == "compiled"
    assert told[0].gain > 0
    tolerance = 1e-5 if precision == "fp32" else 1e-2
    assert losses_of(compiled, epochs=2) == pytest.approx(losses_of(eager, epochs=2), rel=tolerance)
    assert compiled.train_step.engine is choice.engine  # it did not fail on its way


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler, which inductor needs")
def test_a_step_by_a_c_compiler_learns_what_the_eager_step_learns():
    plain = {"augment": False}  # less to compile
    compiled = tiny_trainer(step="compiled", **plain)
    choice, warnings, _ = chosen(compiled, "inductor")
    assert (choice.kind, warnings) == ("compiled", [])
    assert losses_of(compiled) == pytest.approx(losses_of(tiny_trainer(**plain)), rel=1e-4)


def test_choosing_a_step_changes_nothing_of_the_run():
    trainer, untouched = tiny_trainer(step="compiled"), tiny_trainer()
    torch.manual_seed(3)
    chosen(trainer)
    draw = torch.rand(3)
    torch.manual_seed(3)
    assert torch.equal(draw, torch.rand(3))
    assert same(state_of(trainer), state_of(untouched))
    assert all(parameter.grad is None for parameter in trainer.model.parameters())
    assert trainer.progress == untouched.progress


def backend_that(change):
    """A compiler of torch's that changes what the network gives."""

    def backend(graph, _examples):
        def run(*inputs):
            return [change(output) for output in graph(*inputs)]

        return run

    return backend


WRONG = {
    "loss": lambda loss: 1.2 * loss,
    "gradients": lambda loss: 1.5 * loss - 0.5 * loss.detach(),
    "gradients' sign": lambda loss: 2 * loss.detach() - loss,
    "nothing finite": lambda loss: loss * float("nan"),
}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("what", list(WRONG))
def test_a_compiler_that_computes_something_else_is_not_used(what, precision):
    torch.compiler.reset()
    trainer = tiny_trainer(step="compiled", precision=precision)
    choice, (warning,), _ = chosen(trainer, backend_that(WRONG[what]))
    assert (choice.kind, trainer.train_step.engine) == ("eager", None)
    assert "differ from the exact ones by" in warning
    assert warning.endswith("steps are eager")
    assert losses_of(trainer) == losses_of(tiny_trainer(precision=precision))


def broken(_graph, _examples):
    raise OSError("cc: command not found")


def test_a_compiler_that_fails_is_named_once_and_steps_are_eager():
    torch.compiler.reset()
    trainer = tiny_trainer(step="compiled")
    _, warnings, (told,) = chosen(trainer, broken)
    assert len(warnings) == 1
    assert "cc: command not found" in warnings[0]
    assert told.kind == "eager"
    assert losses_of(trainer) == losses_of(tiny_trainer())


@pytest.mark.parametrize("error", [RuntimeError("a bad launch"), MemoryError("out of memory")])
def test_an_engine_that_fails_on_its_way_gives_way_to_the_eager_step(error):
    torch.compiler.reset()
    trainer = tiny_trainer(step="compiled")
    calls = 0

    def failing(output):
        nonlocal calls
        calls += 1
        if calls == 9:
            raise error
        return output

    choice, _, _ = chosen(trainer, backend_that(failing))
    assert choice.kind == "compiled"
    calls = 7
    results = [result for _, result in trainer.epoch_steps()]
    notices = [result.notices for result in results]
    assert notices == [
        (),
        (f"the compiled step failed: {error}; steps are eager now",),
        (),
        (),
        (),
    ]
    assert [result.loss for result in results] == losses_of(tiny_trainer())
    assert trainer.progress.micro_batch_size is None


def test_a_bug_in_a_step_is_no_reason_to_take_another_one():
    torch.compiler.reset()
    trainer = tiny_trainer(step="compiled")
    calls = 0

    def failing(output):
        nonlocal calls
        calls += 1
        if calls == 9:
            raise TypeError("a bug")
        return output

    choice, _, _ = chosen(trainer, backend_that(failing))
    assert choice.kind == "compiled"
    calls = 7
    with pytest.raises(TypeError, match="a bug"):
        list(trainer.epoch_steps())


def graphed(trainer):
    batch = next(iter(trainer.epoch_steps()))[0]
    fresh = tiny_trainer(**trainer.settings.model_dump(include={"optimizer", "clip_norm"}))
    fresh.model.train()
    before = fresh.train_step.backward.statistics.copy()
    capture = recorded_on_the_host(fresh.train_step.backward.parameters)
    fresh.train_step.engine = Graphed(fresh.train_step.backward, batch, capture, "graph")
    fresh.train_step.backward.statistics.put_back(before)
    return fresh


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_recorded_step_is_the_eager_step_bit_for_bit_with_uneven_batches_between(optimizer):
    eager = tiny_trainer(optimizer=optimizer, clip_norm=1.0)
    replayed = graphed(tiny_trainer(optimizer=optimizer, clip_norm=1.0))
    assert losses_of(replayed, epochs=3) == losses_of(eager, epochs=3)
    assert same(state_of(replayed), state_of(eager))


def test_a_recorded_step_that_is_not_finite_is_left_out_too():
    replayed, eager = graphed(tiny_trainer()), tiny_trainer()
    batches = [batch for batch, _ in tiny_trainer().epoch_steps()]
    spoilt = copy.copy(batches[1])
    object.__setattr__(spoilt, "labels_BF", torch.full_like(spoilt.labels_BF, float("inf")))
    for batch in (batches[0], spoilt, batches[2]):
        assert replayed.step(batch).updated == eager.step(batch).updated
    assert same(state_of(replayed), state_of(eager))


def test_where_an_eager_batch_finds_no_memory_beside_a_graph_the_graph_goes_first():
    """36 images in eights: the last batch of four is eager."""
    trainer = graphed(tiny_trainer())

    def more_than_there_is(_network, arguments):
        if trainer.train_step.engine is not None and len(arguments[0]) == 4:
            torch.empty(2**60, dtype=torch.uint8)  # the allocator's own refusal

    trainer.model.register_forward_pre_hook(more_than_there_is)
    results = [result for _, result in trainer.epoch_steps()]
    assert [result.notices for result in results[-2:]] == [
        (),
        ("memory ran out; steps are eager now",),
    ]
    assert trainer.train_step.engine is None
    assert trainer.progress.micro_batch_size is None
    assert [result.loss for result in results] == losses_of(tiny_trainer())


def test_micro_batches_take_the_eager_step():
    trainer = graphed(tiny_trainer())
    trainer.progress.micro_batch_size = 4
    in_fours = tiny_trainer()
    in_fours.progress.micro_batch_size = 4
    assert losses_of(trainer) == losses_of(in_fours)


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"step": "auto"}, "compiling pays off only on CUDA"),
        ({"step": "eager"}, "the recipe asks for it"),
        ({"step": "graph"}, "a cpu device can't capture graphs"),
        ({"step": "compiled", "micro_batch_size": 4}, "micro-batches of 4 images"),
        ({"step": "compiled", "batch_size": 64}, "there is no full batch"),
    ],
)
def test_where_nothing_else_can_be_used_steps_are_eager_and_say_why(keys, reason):
    trainer = tiny_trainer(**keys)
    choice, warnings, told = chosen(trainer)
    assert choice.kind == "eager"
    assert reason in choice.reason
    assert bool(warnings) == (keys["step"] in ("graph", "compiled"))
    assert bool(told) == (keys["step"] != "auto")
    assert trainer.train_step.engine is None


def test_a_run_whose_first_loss_is_not_finite_has_nothing_to_compare_with():
    trainer = tiny_trainer()
    trainer.model.head.weight.data.fill_(float("nan"))
    batch = next(iter(trainer.epoch_steps()))[0]
    choice = choose_step(trainer.train_step.backward, batch, asked="compiled", steps=10)
    assert choice.kind == "eager"
    assert "not finite" in choice.reason


def test_a_short_run_pays_for_no_warm_up_and_a_long_one_for_the_longest():
    def paying(steps, seconds_per_step):
        return [
            kind for kind, item in EXPECTED_ON_CUDA.items() if pays(steps, seconds_per_step, item)
        ]

    assert paying(100, 0.01) == []
    assert paying(10_000, 0.01) == ["graph"]
    assert paying(1_000_000, 0.01) == ["graph", "compiled"]


@settings(max_examples=50)
@given(
    st.integers(0, 10**7),
    st.floats(1e-4, 10),
    st.builds(Expected, st.floats(0, 1000), st.floats(0.5, 3)),
)
def test_what_is_tried_saves_more_than_its_warm_up_costs(steps, seconds_per_step, expected):
    saved = seconds_saved(steps, seconds_per_step, expected)
    assert saved <= steps * seconds_per_step
    if pays(steps, seconds_per_step, expected):
        assert saved >= (MARGIN - 1) * expected.warmup_seconds
        assert pays(2 * steps, seconds_per_step, expected) or expected.gain <= 1


class Slow:
    """The eager step, twenty times over."""

    def __init__(self, kind, backward, _batch):
        self.kind, self.backward = kind, backward

    def takes(self, batch, size):
        return True

    def __call__(self, batch):
        before = self.backward.statistics.copy()
        for _ in range(20):
            self.backward.statistics.put_back(before)
            outcome = self.backward(batch, len(batch))
        return outcome


class Remembering(Slow):
    """What the eager step came to the first time."""

    def __init__(self, kind, backward, batch):
        super().__init__(kind, backward, batch)
        self.outcome = backward(batch, len(batch))
        self.gradients = [parameter.grad for parameter in backward.parameters]
        self.statistics = backward.statistics.copy()

    def __call__(self, batch):
        for parameter, gradient in zip(self.backward.parameters, self.gradients, strict=True):
            parameter.grad = gradient
        self.backward.statistics.put_back(self.statistics)
        return self.outcome


@pytest.mark.parametrize(
    ("engines", "taken", "failed"),
    [
        (
            {"graph": Remembering, "compiled": Slow},
            "graph",
            r"the compiled step gains nothing \(0\.0\d × the rate of the graph step\)",
        ),
        (
            {"graph": Slow, "compiled": Remembering},
            "compiled",
            r"the graph step gains nothing \(0\.\d+ × the rate of the eager step\)",
        ),
        ({"graph": Slow, "compiled": Slow}, "eager", "the graph step gains nothing .*; the comp"),
    ],
)
def test_each_step_is_compared_with_the_best_before_it(engines, taken, failed):
    trainer = tiny_trainer()
    batch = next(iter(trainer.epoch_steps()))[0]
    choice = choose_step(
        trainer.train_step.backward,
        batch,
        asked="auto",
        steps=10**6,
        make=lambda kind, backward, batch: engines[kind](kind, backward, batch),
        expected=dict.fromkeys(engines, Expected(0.0, 2.0)),
    )
    assert choice.kind == taken
    assert re.match(failed, choice.failed)
    assert (choice.engine is None) == (taken == "eager")


def test_nothing_is_compared_where_nothing_pays():
    trainer = tiny_trainer()
    batch = next(iter(trainer.epoch_steps()))[0]
    choice = choose_step(trainer.train_step.backward, batch, asked="auto", steps=10, make=None)
    assert (choice.kind, choice.engine) == ("eager", None)
    assert choice.reason == "nothing else pays off in 10 steps"
    assert choice.seconds > 0
