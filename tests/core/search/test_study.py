"""A search's trials: taken by one process at a time, pruned, taken over, and never too many."""

import os
import signal
import subprocess
import sys

import pytest

optuna = pytest.importorskip("optuna")

from optuna.trial import TrialState  # noqa: E402

from core.errors import RecipeError, UsageError  # noqa: E402
from core.events import Diagnosed, EpochDone  # noqa: E402
from core.recipe_toml import load_recipe  # noqa: E402
from core.search.judging import Judge  # noqa: E402
from core.search.place import SearchPlace  # noqa: E402
from core.search.space import read_space  # noqa: E402
from core.search.storage import open_storage  # noqa: E402
from core.search.study import Limits, open_search  # noqa: E402

EPOCHS = 9


@pytest.fixture(autouse=True)
def quiet():
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def opened(folder, *, trials=None, hours=None, joins=False, changes=(), at="study.journal"):
    recipe = load_recipe("demo", [f"train.epochs={EPOCHS}", *changes])
    place = SearchPlace.of(folder / "sessions", "night")
    storage = open_storage(str(folder / at), may_make=True)
    space = read_space("densenet121", recipe)
    return open_search(storage, place, recipe, space, Limits(trials, hours), joins=joins)


def epoch(number, auroc):
    figures = {"train_loss": 0.1, "val_loss": 0.1, "auroc": {}, "selected_on": ()}
    kept = {"is_best": True, "learning_rate": 0.1, "seconds": 1.0}
    return EpochDone(epoch=number, step=number, mean_auroc=auroc, **figures, **kept)


@pytest.mark.parametrize("kind", ["study.journal", "study.db"])
def test_no_two_workers_have_one_trial_and_there_are_never_too_many(tmp_path, kind):
    one, other = opened(tmp_path, trials=3, at=kind), opened(tmp_path, joins=True, at=kind)
    taken = [one.next_trial(), other.next_trial(), one.next_trial()]
    assert [each.session for each in taken] == [f"night-trial-{number:02d}" for number in range(3)]
    assert all(each.recipe.evaluate.sealed for each in taken)
    assert other.next_trial() is None
    taken[1].release()  # as when its worker stops
    left = one.next_trial()
    assert (left.session, left.is_taken_over, left.recipe) == (
        "night-trial-01",
        True,
        taken[1].recipe,
    )
    for each, value in zip((taken[0], left, taken[2]), (0.6, 0.8, 0.7), strict=True):
        one.end(each, value)
        each.release()
    assert one.next_trial() is None
    assert [trial.value for trial in other.trials()] == [0.6, 0.8, 0.7]


def test_the_first_trial_is_the_recipe_itself_where_the_space_holds_it(tmp_path):
    search = opened(tmp_path, trials=3)
    first, second = search.next_trial(), search.next_trial()
    assert first.recipe.model_copy(update={"name": "demo"}) == search.recipe
    assert second.recipe.train != search.recipe.train


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from test_study import opened
import core.search.study as study
if sys.argv[3] == "asked":  # before its values are drawn
    study.Search._drawn = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
taken = opened(Path(sys.argv[1])).next_trial()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("when", ["asked", "taken"])
def test_what_a_killed_worker_had_is_taken_over_or_asked_for_anew(tmp_path, when):
    search = opened(tmp_path, trials=2)
    here = os.path.dirname(__file__)  # noqa: PTH120
    ended = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), here, when], check=False)
    assert ended.returncode == -signal.SIGKILL
    taken = search.next_trial()
    assert taken.is_taken_over == (when == "taken")
    assert search.next_trial() is not None
    assert search.next_trial() is None
    assert len(search.trials()) == 2
    known = [one.state for one in search.study.get_trials()]
    unclaimed = [TrialState.FAIL] if when == "asked" else []  # its values were never drawn
    assert known == [*unclaimed, TrialState.RUNNING, TrialState.RUNNING]


def test_a_poor_trial_is_pruned_by_halving_and_stays_so_when_taken_over(tmp_path):
    search = opened(tmp_path, trials=9)
    for auroc in (0.9, 0.8, 0.7):
        good = search.next_trial()
        judge = Judge(good, EPOCHS)
        for number in range(1, EPOCHS + 1):
            judge(epoch(number, auroc))
        search.end(good, auroc)
        good.release()
    poor = search.next_trial()
    judge = Judge(poor, EPOCHS)
    judge(epoch(1, 0.5))
    assert judge.should_stop
    assert judge.why_pruned == "halving after epoch 1"
    poor.release()  # killed before its end was recorded
    again = search.next_trial()
    assert (again.session, again.is_taken_over) == (poor.session, True)
    assert Judge(again, EPOCHS).should_stop
    search.end(again, None)
    assert search.trials()[again.trial.number].state is TrialState.PRUNED


def test_health_ends_what_is_hopeless_and_nothing_else(tmp_path):
    search = opened(tmp_path, trials=9)
    judge = Judge(search.next_trial(), EPOCHS)
    judge(Diagnosed(check="patients-shared", severity="stop", text="of the data"))
    judge(Diagnosed(check="gradient", severity="warning", text="a doubt"))
    judge(epoch(1, 0.5))
    assert not judge.should_stop
    judge(Diagnosed(check="gradient", severity="stop", text="no gradient"))
    assert judge.why_pruned == "health: gradient"


def test_hours_count_from_the_first_start_and_other_hours_from_then(tmp_path):
    tiny = opened(tmp_path, hours=1e-9)
    assert tiny.next_trial() is None  # 4 µs are over
    ended = tiny.study.user_attrs["until"]
    assert opened(tmp_path, hours=1e-9).study.user_attrs["until"] == ended
    longer = opened(tmp_path, hours=1)
    taken = longer.next_trial()
    assert taken.session == "night-trial-00"
    assert opened(tmp_path, hours=1, trials=1).next_trial() is None  # whichever comes first


def test_a_search_of_another_recipe_space_or_without_an_end_is_refused(tmp_path):
    with pytest.raises(UsageError, match="needs an end"):
        opened(tmp_path)
    with pytest.raises(UsageError, match="there is no search night"):
        opened(tmp_path, joins=True)
    opened(tmp_path, trials=3)
    with pytest.raises(RecipeError, match=r"train.batch_size was 16, is 8.*--name"):
        opened(tmp_path, changes=["train.batch_size=8"])
    assert opened(tmp_path, trials=5, changes=["note=other"]).study.user_attrs["trials"] == 5
