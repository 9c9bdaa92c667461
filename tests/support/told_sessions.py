"""Sessions as runs leave them behind, made without training, and their way onto the screen."""

import os
import socket

import numpy as np
from console import plain, shows, until

from core import events
from core.data.study.study import prepare_study, write_split
from core.evaluation.part_report import evaluate_part
from core.evaluation.predictions import Predictions, write_predictions
from core.events import Evaluated, Finished, RunStarted
from core.recipe_toml import load_recipe
from core.store.sessions import create_session
from cxr_tui.app.app import ConsoleApp

IMAGES = {"train": 80, "val": 20, "test": 40}


def begun(pid=None, host=None):
    return events.RunStarted(
        time=1000.0, name="x", host=host or socket.gethostname(), pid=pid or os.getpid()
    )


def dataset():
    return events.DatasetReady(
        time=1001.0,
        table_version="v",
        findings=("Mass", "Hernia"),
        images=IMAGES,
        patients=IMAGES,
        positives={part: {"Mass": 5, "Hernia": 9} for part in IMAGES},
    )


def model():
    return events.ModelReady(
        time=1002.0,
        device="cpu",
        device_name="a processor",
        precision="fp32",
        weights="fresh",
        matched_tensors=0,
        total_tensors=1,
        steps_per_epoch=10,
        base_rate_loss=0.602,
    )


def step(number, time, loss=0.5):
    return events.StepRecorded(
        time=time,
        step=number,
        epoch=(number - 1) // 10 + 1,
        train_loss=loss,
        learning_rate=0.01,
        gradient_norm=1.0,
        images_per_second=8.0,
    )


def epoch_done(number, time, mass=0.7, hernia=0.6):
    return events.EpochDone(
        time=time,
        epoch=number,
        step=number * 10,
        train_loss=0.5,
        val_loss=0.4,
        auroc={"Mass": mass, "Hernia": hernia},
        mean_auroc=(mass + hernia) / 2,
        selected_on=("Mass",),
        is_best=True,
        learning_rate=0.01,
        seconds=12.0,
    )


def trained(epochs):
    """Events of whole epochs: ten steps of a second each, then four seconds of validation."""
    told, time = [begun(), dataset(), model()], 1010.0
    for epoch in range(1, epochs + 1):
        told.append(events.EpochStarted(time=time, epoch=epoch, steps=10))
        told += [
            step((epoch - 1) * 10 + n, time + n, loss=1.0 / (epoch * 10 + n)) for n in range(1, 11)
        ]
        time += 14.0
        told.append(epoch_done(epoch, time, mass=0.6 + 0.05 * epoch))
    return told


def a_session(workspace, *told, name="one"):
    session = create_session(workspace.sessions, load_recipe("demo"), name)
    with session.writing() as writer:
        for event in told:
            writer.append(event)
    return session


def on_training(workspace, size=(80, 24), name="one"):
    return ConsoleApp(workspace, attach=name).run_test(size=size, notifications=True)


FINDINGS = ("Cardiomegaly", "Effusion", "Mass")
STARTED = RunStarted(name="x", host="h", pid=1)


def recipe_for(phantom_dir, *more):
    names = ", ".join(f'"{finding}"' for finding in FINDINGS)
    keys = [
        "dataset.phantom=none",
        f"dataset.images={phantom_dir}",
        f"dataset.findings=[{names}]",
        "evaluate.bootstrap=20",
        *more,
    ]
    return load_recipe("demo", keys)


def predicted(study, part, seed):
    """Scores that know something of the labels."""
    rows = study.rows(part)
    labels_NF = study.index.labels_NF[rows]
    noise_NF = np.random.default_rng(seed).normal(size=labels_NF.shape)
    return Predictions(
        images=study.index.images[rows],
        patients=study.index.patients[rows],
        findings=study.index.findings,
        labels_NF=labels_NF,
        scores_NF=1 / (1 + np.exp(-(1.5 * labels_NF - 1 + noise_NF))),
    )


def scored_session(workspace, phantom_dir, name="scored", *more, test_is_there=True, **changes):
    """A session as a run leaves it behind: split, predictions, the report of its test part."""
    recipe = recipe_for(phantom_dir, *more)
    study = prepare_study(recipe, workspace.cache, labels_only=True)
    session = create_session(workspace.sessions, recipe, name)
    session.predictions.mkdir(exist_ok=True)
    write_split(session.path / "split.csv", study)
    val, test = predicted(study, "val", 1), predicted(study, "test", 2)
    write_predictions(session.predictions / "val.csv", val)
    with session.writing() as writer:
        writer.append(STARTED)
        if test_is_there:
            write_predictions(session.predictions / "test.csv", test)
            report = evaluate_part(study, "test", test, val) | changes
            writer.append(Evaluated(report=report))
            writer.append(Finished(epochs=5, best_epoch=3, seconds=60.0))
    return session


async def opened(pilot, name="scored"):
    pilot.app.open_session(name, "results")
    await until(pilot, lambda: pilot.app.current_mode == "results", "the results")
    await shows(pilot, "sensitivity 0.")
    await until(pilot, lambda: "reading the pred" not in plain(pilot.app), "the scores")


HARD = events.Diagnosed(
    check="scores-hard",
    severity="stop",
    text="The scores are whole numbers: something cuts them before the AUROC.",
    evidence={"distinct_scores": 2, "tied_pairs": 0.998},
    remedy="Keep the probabilities as they leave the sigmoid.",
    step=12,
)
TOO_FAST = events.Diagnosed(
    check="learning-rate",
    severity="warning",
    text="The loss jumps: the learning rate is too high.",
    evidence={"loss_swing": 0.41},
    remedy="Train with a tenth of it.",
    changes=("train.learning_rate=0.00025", "train.epochs=7"),
    step=14,
)
FLIPPED = events.Diagnosed(
    check="flip", severity="note", text="Images are flipped.", remedy="Set augment.flip to 0."
)
LEARNING = events.Diagnosed(
    check="learning",
    severity="ok",
    text="learning: loss 31 % under the base rate",
    evidence={"train_loss": 0.415},
    step=16,
)
ANSWERS = (LEARNING, FLIPPED, TOO_FAST, HARD)
