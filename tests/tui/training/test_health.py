"""What health checks found, on the screens: told, replaced, taken back, and tried."""

from dataclasses import replace

import pytest
from console import plain, press, shows, until
from told_sessions import (
    ANSWERS,
    FLIPPED,
    HARD,
    LEARNING,
    TOO_FAST,
    a_session,
    on_training,
    opened,
    scored_session,
    step,
    trained,
)

from core import events
from core.store.summary import SessionSummary
from cxr_tui.app.app import ConsoleApp
from cxr_tui.batch.narration import Narrator
from cxr_tui.recipe.form import RecipeForm
from cxr_tui.runs.health_text import answers_of
from cxr_tui.runs.run_view import RunView
from cxr_tui.training.text import messages

RESUMED = events.Resumed(step=13, epoch=2, position=0, checkpoint="last")
WIDE, NARROW = (200, 60), (80, 24)


def view_after(*told):
    view = RunView(epochs=5)
    for event in told:
        view.apply(event)
    return view


def in_order(screen, *words):
    places = [screen.index(word) for word in words]
    assert places == sorted(places), screen


def test_the_gravest_comes_first_and_of_equals_the_newest():
    older = replace(TOO_FAST, check="flat", step=3)
    view = view_after(older, *ANSWERS)
    assert list(view.health) == ["scores-hard", "learning-rate", "flat", "flip", "learning"]
    unknown = replace(FLIPPED, check="new", severity="catastrophe")
    assert list(view_after(LEARNING, unknown).health) == ["new", "learning"]


def test_a_later_answer_of_a_check_takes_the_place_of_the_earlier():
    better = replace(TOO_FAST, severity="ok", text="The loss goes down smoothly.", step=40)
    view = view_after(TOO_FAST, better)
    assert list(view.health.values()) == [better]
    log = messages(view).plain
    assert TOO_FAST.text in log
    assert better.text not in log, "it stands in the panel above"


def test_what_was_found_after_the_checkpoint_gone_back_to_never_was():
    worse = replace(FLIPPED, severity="stop", text="worse", step=15)
    view = view_after(*ANSWERS, worse, RESUMED)
    assert list(view.health.values()) == [HARD, FLIPPED], "and what had stood before stands again"


async def test_sentence_evidence_and_remedy_stand_above_the_log_the_gravest_first(workspace):
    a_session(workspace, *trained(2), events.Warned(message="few Hernias"), *ANSWERS)
    async with on_training(workspace, WIDE) as pilot:
        await shows(pilot, "■ The scores are whole numbers")
        await shows(pilot, "▲ few Hernias")
        in_order(
            plain(pilot.app),
            "■ The scores are whole numbers",
            "distinct scores 2, tied pairs 0.998",
            "→ Keep the probabilities",
            "▲ The loss jumps",
            "· Images are flipped.",
            "→ Set augment.flip",
            "✓ learning: loss 31 %",
            "▲ few Hernias",
        )
        assert "train loss 0.415" not in plain(pilot.app), "what is well is short"


async def test_a_run_under_way_is_told_of_at_once_and_silence_is_told_from_absence(workspace):
    session = a_session(workspace, *trained(1))
    with session.writing() as writer:
        async with on_training(workspace) as pilot:
            await shows(pilot, "· no health check has answered")
            writer.append(TOO_FAST)
            await shows(pilot, "▲ The loss jumps")
            assert "no health check" not in plain(pilot.app)
            await until(pilot, lambda: "→ Train with a tenth" in plain(pilot.app), "remedy")
            writer.append(replace(TOO_FAST, severity="ok", text="steady now", step=20))
            await shows(pilot, "✓ steady now")
            assert "→ Train" not in plain(pilot.app)
            await press(pilot, "h")
            await shows(pilot, "▸ ✓ steady now")
            writer.append(HARD)
            await shows(pilot, "■ The scores are")
            await shows(pilot, "▸ ✓ steady now")
            in_order(plain(pilot.app), "■ The scores are", "▸ ✓ steady now")
            writer.append(replace(RESUMED, step=5))
            await shows(pilot, "no health check has answered")
            assert "steady" not in " ".join(pilot.app.screen.list_lines())  # the log behind has it


async def test_a_run_that_went_by_without_an_answer_says_so(workspace):
    a_session(workspace, *trained(1), events.Finished(epochs=1, best_epoch=1, seconds=3.0))
    async with on_training(workspace) as pilot:
        await shows(pilot, "no health check answered")
        await press(pilot, "h")
        await shows(pilot, "Health of one")
        await shows(pilot, "no health check answered")
        await press(pilot, "enter", "down", "escape")
        await shows(pilot, "base rate")


@pytest.mark.parametrize("size", [(80, 24), (60, 16)])
async def test_all_of_it_can_be_read_with_the_arrows_in_a_small_terminal(workspace, size):
    long = replace(HARD, text=" ".join(f"word{n}" for n in range(400)))
    a_session(workspace, *trained(1), long, TOO_FAST, LEARNING)
    async with on_training(workspace, size) as pilot:
        await shows(pilot, "h health")
        await press(pilot, "h")
        await shows(pilot, "▸ ■ word0 word1")
        seen = plain(pilot.app)
        for _ in range(20):
            await press(pilot, "pagedown")
            for _ in range(3):  # the view scrolls once it was laid out anew
                await pilot.pause()
            seen += plain(pilot.app)
        assert all(f"word{n}" in seen for n in range(400))
        assert "→ Keep the probabilities" in seen
        await shows(pilot, "▸ ✓ learning")
        assert "train loss 0.415" in plain(pilot.app)
        for _ in range(3):
            await press(pilot, *["pageup"] * 9)
        await shows(pilot, "▸ ■ word0 word1")


async def test_changes_are_tried_on_a_duplicate_and_the_session_stays(workspace):
    session = a_session(workspace, *trained(1), HARD, TOO_FAST)
    before = (session.path / "recipe.toml").read_bytes()
    async with on_training(workspace, (100, 40)) as pilot:
        await shows(pilot, "▲ The loss jumps")
        await press(pilot, "h")
        await shows(pilot, "▸ ■")
        assert "train.learning_rate=0.00025" in plain(pilot.app)
        assert "into a duplicate" not in plain(pilot.app)
        await press(pilot, "enter")  # the first answer has no changes: nothing happens
        await press(pilot, "down")
        await shows(pilot, "into a duplicate")
        await press(pilot, "enter")
        await until(pilot, lambda: pilot.app.current_mode == "recipe", "the recipe")
        await shows(pilot, "preset one · 2 changes")
        await shows(pilot, "• learning rate         0.00025")
        await shows(pilot, "• epochs                7")
        assert pilot.app.screen.query_one(RecipeForm).field.key == "train.learning_rate"
        said = " ".join(note.message for note in pilot.app._notifications)
        assert "train.epochs 5 → 7, train.learning_rate 0.001 → 0.00025" in said
        assert "one is unchanged" in said
        assert workspace.draft.train.learning_rate == 0.00025
    assert (session.path / "recipe.toml").read_bytes() == before
    assert session.recipe.train.epochs == 5


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (("train.epochs=5",), "The recipe of one already has these values."),
        (("train.epocs=3",), "unknown key"),
        (("train.epochs=-1",), "train.epochs"),
        (("\x1b[31m",), "KEY=VALUE"),
    ],
)
async def test_changes_that_change_nothing_or_are_none_are_refused(workspace, changes, words):
    a_session(workspace, *trained(1), replace(TOO_FAST, changes=changes))
    async with on_training(workspace) as pilot:
        await shows(pilot, "▲ The loss jumps")
        draft = workspace.draft
        await press(pilot, "h")
        await shows(pilot, "into a duplicate")
        await press(pilot, "enter")
        await until(
            pilot,
            lambda: any(words in note.message for note in pilot.app._notifications),
            words,
            10,
        )
        assert pilot.app.current_mode == "training"
        assert workspace.draft is draft


HOSTILE = events.Diagnosed(
    check="[/bold]",
    severity="\x1b[5m",
    text="\x1b[2J[red]gone[/] [/nothing\u202e " + "x" * 5_000,
    evidence={"[link=x]": "\x1b]0;title\x07", "nested": {"a": ["\x9b", None]}, "n": 1e300},
    remedy="\r\x1b[31m[on red]\n\n\n" + "y" * 3_000,
    changes=("[b]=\x1b[1m",),
)


@pytest.mark.parametrize("size", [(80, 24), (60, 16), WIDE])
async def test_hostile_answers_are_shown_as_what_they_are(workspace, size):
    a_session(workspace, *trained(1), HOSTILE)
    async with on_training(workspace, size) as pilot:
        await shows(pilot, "· ␛[2J[red")
        await press(pilot, "h")
        await shows(pilot, "▸ · ␛[2J[red]gone[/] [/nothing\\u202e")
        drawn = plain(pilot.app)
        assert not set("\x1b\x9b\x07\r\u202e") & set(drawn)
        await press(pilot, "escape", "1")
        await shows(pilot, "1 session")


async def test_an_encoding_without_signs_gets_ascii(workspace):
    a_session(workspace, *trained(1), *ANSWERS)
    app = ConsoleApp(workspace, ascii_only=True, attach="one")
    async with app.run_test(size=WIDE) as pilot:
        for words in ("# The scores", "> Keep the", "! The loss jumps", ". Images", "+ learning"):
            await shows(pilot, words)


async def test_the_list_of_sessions_marks_what_is_grave_and_tells_it_under_the_list(workspace):
    a_session(workspace, *trained(1), *ANSWERS, name="a")
    a_session(workspace, *trained(1), LEARNING, FLIPPED, name="b")
    failed = events.Failed(message="loss not finite", exit_code=4)
    a_session(workspace, *trained(1), replace(TOO_FAST, text="fast\n" * 50), failed, name="c")
    app = ConsoleApp(workspace)
    async with app.run_test(size=NARROW) as pilot:
        await shows(pilot, "▲ fast fast")
        rows = plain(app).splitlines()
        assert any("val AUROC" in row and " age" in row for row in rows), "the columns fit"
        place = next(n for n, row in enumerate(rows) if "▲ loss not finite" in row)
        assert "▲ fast fast" in rows[place + 1]
        await shows(pilot, "✗ failed ▲")  # a column is measured after its cells are there
        await shows(pilot, "○ interrupted ■")
        await press(pilot, "end")
        await shows(pilot, "■ The scores are whole")
        assert "Images are flipped" not in plain(app)


def test_the_summary_of_a_session_holds_its_gravest_answer(workspace):
    session = a_session(workspace, *trained(1), *ANSWERS)
    found = SessionSummary.of(session)
    assert (found.health, found.health_text) == ("stop", HARD.text)
    with session.writing() as writer:
        writer.append(replace(RESUMED, step=10))
    assert SessionSummary.of(session).health == "note"
    assert SessionSummary.of(a_session(workspace, *trained(1), name="two")).health == ""


def as_json(*answers):
    return [
        {
            "check": answer.check,
            "severity": answer.severity,
            "text": answer.text,
            "evidence": dict(answer.evidence),
            "remedy": answer.remedy,
            "changes": list(answer.changes),
        }
        for answer in answers
    ]


def test_a_reports_answers_are_read_whatever_they_are():
    assert answers_of(None) == []
    assert answers_of("x") == []
    (found,) = answers_of([3, {"text": 5, "evidence": [], "changes": "a"}])
    assert (found.text, found.evidence, found.changes) == ("5", {}, ())
    assert [a.check for a in answers_of(as_json(FLIPPED, HARD))] == ["scores-hard", "flip"]


async def test_doubtful_figures_are_told_before_they_are_read(workspace, phantom_dir):
    scored_session(workspace, phantom_dir, health=as_json(LEARNING, FLIPPED, TOO_FAST, HARD))
    app = ConsoleApp(workspace)
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot)
        in_order(
            plain(app),
            "■ The scores are whole numbers",
            "distinct scores 2",
            "→ Keep the probabilities",
            "▲ The loss jumps",
            ", chosen on val by",
            "· Images are flipped.",
            "✓ learning: loss",
            "too few positive patients",
        )
        await press(pilot, "e")
        await until(pilot, lambda: list(workspace.sessions.glob("*/results-test.md")), "the export")
    page = next(workspace.sessions.glob("*/results-test.md")).read_text()
    in_order(page, "■ The scores are whole", "▲ The loss jumps", "✓ learning", "too few positive")


async def test_an_old_report_without_health_has_no_lines_of_it(workspace, phantom_dir):
    scored_session(workspace, phantom_dir)
    app = ConsoleApp(workspace)
    async with app.run_test(size=NARROW) as pilot:
        await opened(pilot)
        assert not app.screen.query_one("#grave").display
        assert not app.screen.query_one("#mild").display


async def test_the_data_screen_shows_what_an_audit_found(workspace, phantom_dir):
    from core.recipe_toml import load_recipe

    workspace.draft = load_recipe("demo", ["dataset.phantom=none", f"dataset.images={phantom_dir}"])
    app = ConsoleApp(workspace)
    async with app.run_test(size=WIDE) as pilot:
        await press(pilot, "2")
        await shows(pilot, "no image is missing")
        await until(pilot, lambda: not app.workers._workers, "the threads", 20)
        screen = app.screen
        known = screen._known
        report = {**known.picture.report, "health": as_json(FLIPPED, HARD)}
        known.picture = replace(known.picture, report=report)
        screen.show_notes()
        await shows(pilot, "· Images are flipped.")
        in_order(plain(app), "■ The scores", "· Images are flipped", "no patient is in two parts")


def test_batch_narration_tells_each_answer_once_with_what_to_do(capsys):
    tell = Narrator()
    for answer in (LEARNING, TOO_FAST, replace(HOSTILE, severity="odd")):
        tell(answer)
    lines = capsys.readouterr().err.splitlines()
    assert lines[:4] == [
        "health    ✓ learning: loss 31 % under the base rate",
        "health    ▲ The loss jumps: the learning rate is too high.",
        "            loss swing 0.41",
        "          → Train with a tenth of it.",
    ]
    assert not any(set("\x1b\x9b\u202e") & set(line) for line in lines)


async def test_many_steps_do_not_draw_the_panel_anew(workspace):
    session = a_session(workspace, *trained(1), TOO_FAST)
    with session.writing() as writer:
        async with on_training(workspace) as pilot:
            await shows(pilot, "▲ The loss jumps")
            panel = pilot.app.screen.query_one("#health")
            drawn = panel.content
            writer.append(step(11, 1100.0))
            await until(pilot, lambda: workspace.shown.view.step == 11, "the step")
            await pilot.pause(0)
            assert panel.content is drawn
