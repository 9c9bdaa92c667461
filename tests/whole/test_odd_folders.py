"""Folders whose names are no UTF-8."""

import os
from pathlib import Path

import pytest

from core.data.study.study import prepare_study
from core.errors import RecipeError
from core.recipe_toml import load_recipe
from core.store.session import Session
from core.store.sessions import create_session


@pytest.fixture
def odd(tmp_path):
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/n\xe4h"))
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    return folder


def test_a_folder_of_images_is_refused_by_its_key_and_in_few_words(odd):
    with pytest.raises(RecipeError, match="is not a path in UTF-8") as refused:
        load_recipe("demo", ["dataset.phantom=none", f"dataset.images={odd}"])
    assert refused.value.where == "dataset.images"
    assert "ln -s FOLDER" in str(refused.value)
    assert len(str(refused.value)) < 500


def test_what_a_session_keeps_of_a_cache_there_reads_back_as_it_was(odd, tmp_path):
    recipe = load_recipe("demo", ["dataset.phantom={patients=4,size_px=64}"])
    study = prepare_study(recipe, odd)
    session: Session = create_session(tmp_path / "sessions", recipe)
    session.write_json("dataset.json", study.description())
    kept = session.read_json("dataset.json")
    assert Path(kept["labels"]) == study.sources.labels
    assert Path(kept["labels"]).is_file()
    with session.writing() as writer:
        writer.note(f"of {odd}")
    assert r"n\udce4h" in session.log.read_text(encoding="utf-8")
