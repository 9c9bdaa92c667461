"""Tags and a note of a session, and a notes.json that may be anything."""

import json
import os

import pytest

from core.errors import SessionError, UsageError
from core.recipe import Recipe
from core.store.leftovers import drop_leftovers
from core.store.notes import FILE, SessionNotes, read_notes, typed_tags, write_notes
from core.store.sessions import create_session, list_sessions
from core.store.summary import SessionSummary, SessionWatch


@pytest.fixture
def session(tmp_path):
    return create_session(tmp_path / "sessions", Recipe(), "one")


def test_tags_and_a_note_come_back_and_what_else_stands_there_stays(session):
    assert read_notes(session) == SessionNotes()
    (session.path / FILE).write_text('{"mine": [1, 2]}')
    write_notes(session, tags=("keep", "läuft"))
    write_notes(session, note="the first without a bug")
    assert read_notes(session) == SessionNotes(("keep", "läuft"), "the first without a bug")
    write_notes(session, tags=(), note="")
    assert json.loads((session.path / FILE).read_text()) == {"mine": [1, 2]}


def test_no_file_is_left_where_nothing_is_noted_any_more(session):
    write_notes(session, tags=("keep",))
    write_notes(session, tags=())
    assert not (session.path / FILE).exists()


def test_tags_are_words_between_spaces_or_commas_each_once():
    assert typed_tags(" keep,  paper keep ") == ("keep", "paper")
    assert typed_tags("") == ()
    for text in ("x" * 41, "a\x1bb", " ".join(map(str, range(21)))):
        with pytest.raises(UsageError):
            typed_tags(text)


def test_a_watch_sees_notes_that_change(session):
    watch = SessionWatch(session)
    assert watch.summary().tags == ()
    write_notes(session, tags=("keep",), note="good")
    assert (watch.summary().tags, watch.summary().note) == (("keep",), "good")
    (session.path / FILE).unlink()
    assert (watch.summary().tags, watch.summary().note) == ((), "")


def a_link(path):
    elsewhere = path.parent.parent.parent / "secret.json"
    elsewhere.write_text('{"note": "not yours"}')
    path.symlink_to(elsewhere)


HOSTILE = {
    "huge": (lambda path: path.write_bytes(b" " * 70_000), "more than 65,536 bytes"),
    "link": (a_link, "it is a link"),
    "pipe": (os.mkfifo, "not a regular file"),
    "folder": (lambda path: path.mkdir(), "not a regular file"),
    "no JSON": (lambda path: path.write_text("{"), "is not JSON"),
    "NaN": (lambda path: path.write_text('{"mine": NaN}'), "is not JSON"),
    "deep": (lambda path: path.write_text("[" * 60_000), "is not JSON"),
    "a list": (lambda path: path.write_text("[]"), "should hold a JSON object"),
    "tags of numbers": (lambda path: path.write_text('{"tags": [1]}'), "a list of words"),
    "tags that steer": (lambda path: path.write_text('{"tags": ["\\u001b[2J"]}'), "be seen"),
    "a note of none": (lambda path: path.write_text('{"note": {}}'), "note must be text"),
}


@pytest.mark.parametrize(("make", "words"), HOSTILE.values(), ids=HOSTILE)
def test_notes_that_are_none_are_refused_by_name_and_hide_no_session(session, make, words):
    create_session(session.path.parent, Recipe(), "two")
    make(session.path / FILE)
    with pytest.raises(SessionError, match=f"{FILE}.*{words}"):
        read_notes(session)
    with pytest.raises(SessionError, match=words):
        write_notes(session, note="mine")
    found = {one.name: SessionSummary.of(one) for one in list_sessions(session.path.parent)}
    assert set(found) == {"one", "two"}
    assert words in found["one"].notes_error
    assert (found["one"].note, found["two"].notes_error) == ("", "")
    with session.writing():  # a run doesn't look at them
        pass


def test_what_a_killed_writer_left_of_notes_is_removed(session):
    left = session.path / ".notes.json.0123abcd"
    left.write_text("{")
    os.utime(left, (0, 0))
    drop_leftovers(session.path)
    assert not left.exists()
