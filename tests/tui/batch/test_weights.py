"""Weights are listed and fetched by command; a run that lacks them ends before anything is done."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from file_server import Answer, served

from core.model.densenet import build_model
from core.model.input_spec import IMAGENET
from core.model.pretrained.places import own_folder

FILE = "densenet121-a639ec97.pth"


@pytest.fixture(autouse=True)
def own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory) -> Path:
    """Random weights in the form and with the names of torchvision's file, named by its digest."""
    torch.set_num_threads(1)
    classes = [str(number) for number in range(1000)]
    state = build_model(classes, seed=1, input_spec=IMAGENET).state_dict()
    path = tmp_path_factory.mktemp("stand-in") / "saved.pth"
    torch.save(OrderedDict(state), path, _use_new_zipfile_serialization=False)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return path.rename(path.with_name(f"densenet121-{digest[:8]}.pth"))


def test_the_list_says_what_is_known_and_where(cxr_tui):
    done = cxr_tui("weights")
    assert done.returncode == 0, done.stderr
    assert "imagenet         ImageNet's photographs; not here (31 MiB)" in done.stdout
    assert "1 channel of -1024 … 1024" in done.stdout
    assert "licence none stated" in done.stdout
    own_folder().mkdir(parents=True)
    (own_folder() / FILE).write_bytes(b"anything")
    (own_folder() / ".chex-densenet121-d121-tw-lr001-rot45-tr15-sc15-seed0-best.pt.part").touch()
    listed = json.loads(cxr_tui("weights", "--json").stdout)
    imagenet, xrv = listed["weights"][0], listed["weights"][1]
    assert imagenet["path"] == str(own_folder() / FILE)
    assert imagenet["input"]["channels"] == 3
    assert (xrv["name"], xrv["path"], xrv["input"]["low"]) == ("xrv-all", None, -1024.0)


def test_get_asks_the_mirror_and_refuses_another_file(cxr_tui):
    with served(b"another file") as server:
        done = cxr_tui("weights", "get", "imagenet", "--url", server.url)
    assert done.returncode == 3
    assert "offers 12 bytes" in done.stderr
    assert f"put the file {FILE} (31 MiB, SHA-256 a639ec97d7c3" in done.stderr
    assert not (own_folder() / FILE).exists()


def test_get_gives_up_after_passing_refusals(cxr_tui):
    soon = Answer(status=503, headers=(("Retry-After", "0"),))
    with served(b"", [soon]) as server:
        done = cxr_tui("weights", "get", "imagenet", "--url", server.url)
    assert done.returncode == 3
    assert done.stderr.count("503 Service Unavailable; trying again in 0 s") == 3
    assert "Tried 4 times without progress" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["get", "imagnet"], "Did you mean 'imagenet'?"),
        (["get"], "weights takes nothing, or get NAME"),
        (["fetch", "imagenet"], "weights takes nothing, or get NAME"),
        (["get", "chexnet-zech"], "https://github.com/jrzech/reproduce-chexnet"),
        (["get", "imagenet", "--url", "file:///etc/passwd"], "not an http or https address"),
    ],
)
def test_what_can_not_be_got_is_refused(cxr_tui, arguments, says):
    done = cxr_tui("weights", *arguments)
    assert done.returncode in (2, 3)
    assert says in done.stderr


@pytest.mark.parametrize("more", [[], ["--check"], ["--session", "mine"]])
def test_a_run_that_lacks_its_weights_ends_before_anything_is_done(
    cxr_tui, phantom_dir, tmp_path, more
):
    images = f"dataset.images={phantom_dir}"
    done = cxr_tui(
        *("--batch", "nih-14", "--set", images, "--cache", tmp_path / "cache", *more),
    )
    assert done.returncode == 3
    assert "cxr-tui weights get imagenet" in done.stderr
    assert str(own_folder()) in done.stderr
    assert not (tmp_path / "cache").exists()
    assert not (tmp_path / "sessions").exists()


def test_a_name_in_place_of_a_path_names_the_command(cxr_tui):
    done = cxr_tui("--batch", "demo", "--set", "model.weights=xrv-all")
    assert done.returncode == 3
    assert "cxr-tui weights get xrv-all" in done.stderr


def test_a_run_starts_from_the_file_that_was_fetched(
    cxr_tui, stand_in, phantom_dir, cache_dir, tmp_path, monkeypatch
):
    content = stand_in.read_bytes()
    drops = [Answer(closes_after=len(content) // 2), Answer()]
    config = tmp_path / "config.toml"
    monkeypatch.setenv("CXR_TUI_CONFIG", str(config))
    with served(content, drops) as server:
        table = f'file = "{stand_in.name}"\nbytes = {len(content)}\nsha256 = "{server.sha256}"'
        config.write_text(f'[weights.stand-in]\nurl = "{server.url}"\n{table}\n')
        got = cxr_tui("weights", "get", "stand-in")
    assert got.returncode == 0, got.stderr
    assert f"checked, and in place: {own_folder() / stand_in.name}" in got.stderr
    assert len(server.ranges) == 2
    keys = [f"dataset.images={phantom_dir}", "train.epochs=1", "image.size_px=32", "name=started"]
    keys += ["dataset.findings=Effusion,Mass", "evaluate.bootstrap=20", "split.by=patient"]
    keys += ["train.batch_size=4", "train.few_images_first=never"]
    sets = [word for key in keys for word in ("--set", key)]
    places = ("--cache", cache_dir, "--device", "cpu", "--check", "--json")
    done = cxr_tui("--batch", "nih-14", *sets, *places)
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    (ready,) = [event for event in events if event["event"] == "ModelReady"]
    assert ready["weights"].startswith("torchvision's ImageNet weights: ")
    assert ready["matched_tensors"] == ready["total_tensors"] > 600
    assert [path.name for path in own_folder().iterdir()] == [stand_in.name]
