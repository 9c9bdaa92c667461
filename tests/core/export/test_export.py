"""An export: the same probabilities in other programs, a card, and nothing of a patient."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from core.data.images.decode import decode_square
from core.errors import UntrainedError, UsageError
from core.evaluation.calibrating.kept_recalibration import recalibration_of
from core.evaluation.maps.heat_map import heat_map
from core.evaluation.maps.map_source import open_map_source
from core.evaluation.part_report import report_of_session
from core.evaluation.predicting.prediction_frame import prediction_frame
from core.evaluation.predicting.predictor import open_predictor
from core.export.export import FILES, LARGEST_DIFFERENCE, export_session
from core.export.pixels_in_graph import resized
from core.store.session import Session
from core.store.sessions import create_session

onnxruntime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")

AS_A_SCRIPT = (
    "import runpy, sys; from core.model.torchvision_shim import declare_missing_operators as d; "
    "d(); sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
)
"""Our build of torch needs what others' have; the script itself imports nothing of ours."""


BENT = {"at": [-2.0, 0.0, 1.0], "to": [-3.0, -1.5, 0.7], "below": 0.01, "above": 0.4}
"""A recalibration that moves every probability."""


@pytest.fixture(scope="module")
def exported(trained_dir, cache_dir, tmp_path_factory):
    """One export of a trained session, recalibrated in two of its findings, and the session."""
    folder = tmp_path_factory.mktemp("export") / "model"
    copy = shutil.copytree(trained_dir, folder.parent / "recalibrated")
    text = (copy / "recipe.toml").read_text()
    recipe = text.replace('recalibrate = "none"', 'recalibrate = "isotonic"')
    assert recipe != text
    (copy / "recipe.toml").write_text(recipe)
    maps = {"Mass": BENT, "Effusion": BENT | {"below": 2.0}}
    content = {"method": "isotonic", "findings": maps}
    (copy / "predictions" / "recalibration.json").write_text(json.dumps(content))
    session = Session(copy)
    return export_session(session, folder, cache_dir), session


def shown(session: Session, logits: dict[str, float]) -> np.ndarray:
    """The probabilities that the session shows for these logits."""
    own = 1 / (1 + np.exp(-np.array(list(logits.values()))))
    found = recalibration_of(session).batch(tuple(logits), own[None])[0]
    assert [name for name, gone in zip(logits, found - own, strict=True) if abs(gone) > 1e-3] == [
        name for name in logits if name in ("Mass", "Effusion")
    ]
    return found


def an_image(session: Session, cache_dir: Path) -> tuple[Path, dict[str, float]]:
    """An image of the test part, and the network's own logits."""
    source = open_map_source(session, cache_dir, "cpu")
    name = source.study.index.images[source.study.rows("test")[3]]
    path = source.study.index.files[name].path
    square = decode_square(path, name, source.size_px, source.model.input_spec.resize)
    with torch.inference_mode():
        pixels = source.pixels(square.pixels_SS[None].copy())
        logits = source.model.float().eval()(pixels)[0].tolist()
    return path, dict(zip(source.model.findings, logits, strict=True))


@pytest.mark.slow
def test_onnx_gives_the_networks_probabilities_for_pixels_of_any_size(exported, cache_dir):
    done, session = exported
    assert done.images > 3
    assert done.largest_difference <= LARGEST_DIFFERENCE
    path, logits = an_image(session, cache_dir)
    grey = np.asarray(Image.open(path).convert("L"))
    running = onnxruntime.InferenceSession(done.folder / "model.onnx")
    batch = np.stack([grey, grey])[:, None]
    (found,) = running.run(None, {"grey": batch})
    expected = shown(session, logits)
    assert np.abs(found - expected).max() <= LARGEST_DIFFERENCE


@pytest.mark.slow
def test_the_loader_gives_the_same_logits_with_torch_and_torchvision_alone(exported, cache_dir):
    done, session = exported
    path, logits = an_image(session, cache_dir)
    command = [sys.executable, "-c", AS_A_SCRIPT, str(done.folder / "load.py"), str(path)]
    said = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert said["logits"].keys() == logits.keys()
    assert max(abs(said["logits"][name] - logits[name]) for name in logits) <= LARGEST_DIFFERENCE
    found = np.array(list(said["probabilities"].values()))
    assert np.abs(found - shown(session, logits)).max() <= LARGEST_DIFFERENCE
    script = (done.folder / "load.py").read_text()
    assert "import core" not in script
    assert "from core" not in script
    assert "cxr_tui" not in script


@pytest.mark.slow
def test_the_card_has_figures_thresholds_and_contract_and_nothing_of_a_patient(exported):
    done, session = exported
    assert sorted(path.name for path in done.folder.iterdir()) == sorted(FILES)
    card = json.loads((done.folder / "card.json").read_text())
    report = session.read_json("evaluation/test.json")
    for finding, row in report["findings"].items():
        assert card["figures"]["findings"][finding]["auroc"] == row["auroc"]
    assert card["training"]["kind"] == "phantom"
    assert card["input"]["onnx_begins_at"] == "image"
    text = (done.folder / "card.md").read_text()
    assert text.startswith("---\nlicense: other\n")
    assert "## Not for" in text
    rows = (session.path / "split.csv").read_text().splitlines()[1:]
    images = [row.partition(",")[0] for row in rows]
    for file in done.folder.iterdir():
        content = file.read_bytes()
        assert not any(name.encode() in content for name in images), file.name
        assert str(session.path).encode() not in content
        assert b"patients.key" not in content


@pytest.mark.slow
def test_predict_and_maps_show_the_exports_probability_and_the_reports_threshold(
    exported, cache_dir
):
    done, session = exported
    path, logits = an_image(session, cache_dir)
    wanted = shown(session, logits)
    card = json.loads((done.folder / "card.json").read_text())
    assert card["recalibration"]["findings"]["Mass"] == BENT
    assert "recalibrated (isotonic) on val" in (done.folder / "card.md").read_text()
    predictor = open_predictor(session, "cpu")
    row = prediction_frame(predictor, [path]).iloc[0]
    assert max(abs(row[f"prob_{name}"] - wanted[at]) for at, name in enumerate(logits)) < 1e-5
    source = open_map_source(session, cache_dir, "cpu")
    one = heat_map(source, path.name, "Mass", "grad-cam")
    assert one.probability == pytest.approx(wanted[list(logits).index("Mass")], abs=1e-4)
    report = report_of_session(session, "test", cache_dir)
    for name in logits:
        threshold = report["findings"][name]["operating_point"]["threshold"]
        assert predictor.thresholds.get(name) == threshold
        assert card["thresholds"]["findings"][name]["threshold"] == threshold


@pytest.mark.slow
def test_an_export_overwrites_nothing_and_leaves_nothing_half_written(exported, cache_dir):
    done, session = exported
    with pytest.raises(UsageError, match="isn't an empty folder"):
        export_session(session, done.folder, cache_dir)
    beside = {path.name for path in done.folder.parent.iterdir()}
    assert beside - {"recalibrated"} == {"model"}, "another test's export may be there"


def test_a_session_that_was_not_trained_has_nothing_to_export(tmp_path, cache_dir, phantom_dir):
    from core.recipe_toml import load_recipe

    recipe = load_recipe("demo", ["dataset.phantom=none", f"dataset.images={phantom_dir}"])
    session = create_session(tmp_path / "sessions", recipe, "new")
    with pytest.raises((UntrainedError, Exception), match="yet"):
        export_session(session, tmp_path / "out", cache_dir)
    assert not (tmp_path / "out").exists()
    shutil.rmtree(session.path)


@pytest.mark.parametrize("size_px", [32, 224])
@pytest.mark.parametrize(("height", "width"), [(64, 64), (390, 320), (1000, 771), (20, 31), (3, 9)])
def test_the_graphs_resize_is_pillows_bit_for_bit(size_px, height, width):
    grey = np.random.default_rng(height).integers(0, 256, (height, width), dtype=np.uint8)
    wanted = Image.fromarray(grey).resize((size_px, size_px), Image.Resampling.BILINEAR)
    found = resized(torch.from_numpy(grey)[None, None], size_px)[0, 0].numpy()
    assert np.array_equal(found, np.asarray(wanted, dtype=np.float32))
