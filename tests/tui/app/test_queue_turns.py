"""The console works on the queue: what S adds while a run is on starts after it."""

import pytest
from console import plain, press, shows, until

from core.recipe_toml import load_recipe
from core.store.queue.queue import Queue
from core.store.queue.taking import take_next
from cxr_tui.app.app import ConsoleApp

pytestmark = pytest.mark.slow


def small(phantom_dir, **changes):
    keys = {
        "dataset.phantom": "none",
        "dataset.images": phantom_dir,
        "dataset.findings": '["Cardiomegaly","Effusion"]',
        "image.size_px": 32,
        "subset.max_images": 45,
        "train.epochs": 1,
        "train.batch_size": 8,
        "train.precision": "fp32",
        "train.optimizer": "sgd",
        "train.momentum": 0,
        "train.few_images_first": "never",
        "evaluate.bootstrap": 0,
    } | changes
    return load_recipe("demo", [f"{key}={value}" for key, value in keys.items()])


async def test_runs_added_while_one_is_on_are_run_after_it_one_by_one(workspace, phantom_dir):
    queue = Queue(workspace.sessions)
    workspace.draft = small(phantom_dir)
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await press(pilot, "S")
        await until(pilot, lambda: workspace.running is not None, "a run")
        first = workspace.running.name
        await press(pilot, "3")
        await shows(pilot, "S queue")
        await press(pilot, "S")
        await shows(pilot, f"{first} is running")
        await press(pilot, "enter")
        await until(pilot, lambda: len(queue.entries()) == 1, "an entry")
        queue.add(small("/data/gone"), "refused")  # as another process does
        queue.add(small(phantom_dir, **{"train.seed": 1}), "third")
        states = lambda: [entry.state() for entry in queue.entries()]  # noqa: E731
        await until(
            pilot, lambda: states() == ["finished", "failed", "finished"], "every end", seconds=300
        )
        await until(pilot, lambda: not app.queue_work.is_on, "an idle console")
        assert workspace.running is None
        await shows(pilot, "S start")
        await press(pilot, "1")
        await shows(pilot, "third")
        assert first in plain(app)
    refused = queue.entry("refused")
    assert "/data/gone" in refused.ended.message
    assert refused.ended.exit_code == 3
    assert not refused.session.path.exists()
    assert take_next(queue) is None


async def test_an_entry_of_a_console_that_is_left_is_gone_on_with(workspace, phantom_dir):
    queue = Queue(workspace.sessions)
    queue.add(small(phantom_dir, **{"train.epochs": 500}), "long")
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "queue: 1 waiting")
        await press(pilot, "E")
        await shows(pilot, "S start")
        await press(pilot, "S")
        await until(pilot, lambda: workspace.running is not None, "its run")
        await until(pilot, lambda: queue.entry("long").state() == "running", "the entry runs")
        await until(pilot, lambda: workspace.running.view.step > 0, "a step", seconds=300)
        running = workspace.running
        app.stop_and_leave()
    running.source.join()
    running.take_events()
    app.queue_work.leave()
    assert running.view.state == "stopped"
    assert queue.entry("long").state() == "begun"
    taken = take_next(queue)
    assert taken.entry.session.name == "long"
    taken.release()
