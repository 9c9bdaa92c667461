"""Files that give no image: what a run's miniature says of them, and whole copies elsewhere."""

import shutil

import pytest

from core.errors import DataError
from core.events import IngestDone, ModelReady, Warned
from core.recipe_toml import load_recipe
from core.requests import Request
from core.run import Machine, run
from core.store.sessions import create_session


@pytest.fixture
def damaged(phantom_dir, tmp_path):
    """The small set, of which two in three files are cut off, with whole copies elsewhere."""
    folder = tmp_path / "set"
    shutil.copytree(phantom_dir, folder)
    for path in sorted(folder.glob("images_*/images/*.png")):
        whole = folder / "later" / path.name
        whole.parent.mkdir(exist_ok=True)
        shutil.copyfile(path, whole)
    files = sorted(folder.glob("images_*/images/*.png"))
    for path in files[1::3] + files[2::3]:
        path.write_bytes(path.read_bytes()[:200])
    return folder


def events_of(folder, tmp_path, cache_dir, share):
    """Of a miniature that is stopped at its first step."""
    keys = [f"dataset.images={folder}", f"dataset.max_quarantined_share={share}"]
    recipe = load_recipe("demo", ["dataset.phantom=none", "image.size_px=64", *keys])
    events = []

    def next_request():
        return Request.STOP if any(isinstance(e, ModelReady) for e in events) else Request.CONTINUE

    session = create_session(tmp_path / "sessions", recipe, "one")
    run(session, events.append, next_request, Machine("cpu", cache_dir, miniature_images=12))
    return events


def test_a_miniature_is_refused_by_what_would_refuse_the_whole(damaged, tmp_path, cache_dir):
    with pytest.raises(DataError) as refused:
        events_of(damaged, tmp_path, cache_dir, share=0.001)
    says = str(refused.value)
    assert "can't be used, more than the 0.10%" in says
    assert f"{damaged}/images_001/images/" in says  # the folder of the files that are meant
    assert f"such as {damaged}/later/" in says
    assert "Move the unusable files away" in says


def test_a_miniature_goes_on_where_the_whole_would_and_names_the_whole_copies(
    damaged, tmp_path, cache_dir
):
    events = events_of(damaged, tmp_path, cache_dir, share=0.7)
    (ingest,) = [event for event in events if isinstance(event, IngestDone)]
    said = [event.message for event in events if isinstance(event, Warned)]
    (copies,) = [text for text in said if "intact cop" in text]
    assert f"intact copies of {len(ingest.quarantined)} of them also exist" in copies
    assert f"{damaged}/later/" in copies


def test_without_a_whole_copy_none_is_spoken_of(damaged, tmp_path, cache_dir):
    for path in (damaged / "later").iterdir():
        path.write_bytes(b"no image either")
    with pytest.raises(DataError) as refused:
        events_of(damaged, tmp_path, cache_dir, share=0.001)
    assert "Download these files again" in str(refused.value)
    assert "not used because" not in str(refused.value)
