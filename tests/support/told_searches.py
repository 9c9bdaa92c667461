"""Searches as their workers leave them behind, made without training."""

import json
import sys
import time
from pathlib import Path

import optuna

from core.events import EpochDone, RunStarted
from core.recipe_toml import load_recipe
from core.search.judging import Judge
from core.search.place import SearchPlace
from core.search.space import read_space
from core.search.storage import open_storage
from core.search.study import Limits, open_search
from core.store.sessions import create_session

EPOCHS = 9


def a_search(sessions, *, trials, name="night"):
    """The search of that name: started, or gone on with."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    recipe = load_recipe("demo", [f"train.epochs={EPOCHS}"])
    place = SearchPlace.of(Path(sessions), name)
    storage = open_storage(str(place.journal), may_make=True)
    return open_search(storage, place, recipe, read_space("densenet121", recipe), Limits(trials))


def a_trial(search, *curve, ends=True):
    """Take the next trial, with a session of so many epochs; the one taken, if it goes on."""
    taken = search.next_trial()
    judge = Judge(taken, EPOCHS)
    session = create_session(search.place.path.parent.parent, taken.recipe, taken.session)
    with session.writing() as writer:
        writer.append(RunStarted(time=time.time(), name=taken.session, host="h", pid=1))
        for number, auroc in enumerate(curve, start=1):
            writer.append(epoch := an_epoch(number, auroc))
            judge(epoch)
    if not ends:
        return taken
    search.end(taken, curve[-1])
    taken.release()
    return None


def an_epoch(number, auroc):
    figures = {"train_loss": 0.1, "val_loss": 0.1, "auroc": {}, "selected_on": ()}
    kept = {"is_best": True, "learning_rate": 0.1, "seconds": 1.0, "time": time.time()}
    return EpochDone(epoch=number, step=number, mean_auroc=auroc, **figures, **kept)


def main():
    """As another process: a trial of each curve of the JSON list, or the folder's name alone."""
    search = a_search(sys.argv[1], trials=40)
    for curve in json.loads(sys.argv[2]):
        a_trial(search, *curve)


if __name__ == "__main__":
    main()
