"""A run that goes on for more or fewer epochs than it was planned for."""

import re

import pytest

from core.events import StepRecorded, Warned
from core.recipe_toml import changed_recipe, load_recipe
from core.requests import Request
from core.run import Machine, run
from core.store.sessions import create_session


def test_what_more_epochs_do_to_a_cosine_rate_is_said(phantom_dir, tmp_path, cache_dir):
    keys = ["dataset.phantom=none", f"dataset.images={phantom_dir}", "image.size_px=64"]
    keys += ["subset.max_images=24", "train.batch_size=4", "train.few_images_first=never"]
    keys += ["train.epochs=1", "train.schedule=cosine", "train.precision=fp32"]
    recipe = load_recipe("demo", [*keys, "evaluate.bootstrap=10", "train.warmup_epochs=0"])
    session = create_session(tmp_path, recipe, "one")
    machine, events = Machine("cpu", cache_dir), []
    run(session, events.append, lambda: Request.CONTINUE, machine)
    before = len(events)
    more = changed_recipe(recipe, ["train.epochs=2"])
    run(session, events.append, lambda: Request.CONTINUE, machine, more)

    rates = [
        [event.learning_rate for event in some if isinstance(event, StepRecorded)]
        for some in (events[:before], events[before:])
    ]
    told = [event.message for event in events if isinstance(event, Warned)]
    (text,) = [text for text in told if "train.epochs changed from 1 to 2" in text]
    said = re.search(r"jumps up from (\S+) to (\S+) and ends at 0 after epoch 2", text)
    assert float(said[1]) == pytest.approx(rates[0][-1], rel=0.01)
    # Half-way down the cosine; what is recorded comes a few steps later, when there is time.
    assert float(said[2]) == pytest.approx(recipe.train.learning_rate / 2, rel=0.05)
    assert float(said[1]) < rates[1][0] <= float(said[2]) * 1.001
