"""``cxr-tui cam``: which images it draws, what it saves, what it refuses."""

import csv
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from core.data.tables.boxes import read_boxes
from core.evaluation.maps.cam_pictures import strength_on_image
from core.evaluation.maps.cams import chosen_candidates, draw_cams, localize
from core.evaluation.maps.candidates import boxed, draw, outcomes
from core.evaluation.maps.map_source import open_map_source
from core.evaluation.maps.overlay import BOX_COLOUR, blended
from core.store.session import Session
from cxr_tui.cli import main


@pytest.fixture
def session(trained_dir, tmp_path):
    """A session of its own to write into."""
    copy = tmp_path / "sessions" / "trained"
    shutil.copytree(trained_dir, copy)
    return Session(copy)


@pytest.fixture
def own_data(session, phantom_dir, tmp_path):
    """The same session on a copy of its data set, to damage."""
    folder = tmp_path / "set"
    shutil.copytree(phantom_dir, folder)
    recipe = session.path / "recipe.toml"
    recipe.write_text(recipe.read_text().replace(str(phantom_dir), str(folder)))
    return folder


def cam(session, cache_dir, *arguments):
    places = ["--sessions", str(session.path.parent), "--cache", str(cache_dir), "--device", "cpu"]
    return main(["cam", session.name, *places, *arguments])


def source_of(session, cache_dir):
    return open_map_source(session, cache_dir, "cpu")


def image_file(folder, name):
    (path,) = folder.rglob(name)
    return path


def test_overlays_a_sheet_a_table_and_the_localisation_are_saved(session, cache_dir, capsys):
    assert cam(session, cache_dir, "--finding", "mass", "--count", "4", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["with_boxes"] == 4
    files = [
        session.path / "cams" / f"{name}"
        for name in sorted(path.name for path in (session.path / "cams").glob("Mass-*.png"))
    ]
    assert [str(path) for path in files] == [one["file"] for one in told["cams"]]
    with (session.path / "cams" / "cams.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["file"] for row in rows] == [path.name for path in files]
    assert all(row["finding"] == "Mass" and row["boxes"] for row in rows)
    assert all(0 <= float(row["peak_x"]) <= 64 for row in rows if row["peak_x"])
    picture = Image.open(files[0])
    parameters = json.loads(picture.text["cxr-tui"])
    assert parameters["session"] == "trained"
    assert picture.text["finding"] == "Mass"
    sheet = runs_of_columns(session.path / "cams" / "contact-sheet.png", rows=400)
    assert [end - first for first, end in sheet[:4]] == [400] * 4
    assert len(sheet) > 4, "beside them the maps' scale"
    kept = json.loads((session.path / "evaluation" / "localization.json").read_text())
    assert kept == told["localization"]
    assert set(kept["findings"]["Mass"]["controls"]) == {"random", "usual_place", "other_image"}
    assert kept["findings"]["Mass"]["published"]["figures"] is None


def runs_of_columns(path, rows):
    """First column and end of what lies beside each other in a picture, below its margin."""
    picture = np.asarray(Image.open(path).convert("RGB"))
    background = picture[0, 0]
    margin = int(np.argmax((picture != background).any(axis=(1, 2))))
    is_drawn = (picture[margin : margin + rows] != background).any(axis=(0, 2)).astype(int)
    edges = np.flatnonzero(np.diff(is_drawn, prepend=0, append=0))
    return [(first, end) for first, end in edges.reshape(-1, 2).tolist()]


def test_an_overlay_of_a_small_image_is_large_with_a_gap_a_scale_and_its_box_in_place(
    session, cache_dir, capsys
):
    assert cam(session, cache_dir, "--count", "10", "--no-measure") == 0
    with (session.path / "cams" / "cams.csv").open() as stream:
        row = next(row for row in csv.DictReader(stream) if row["peak_x"])
    path = session.path / "cams" / row["file"]
    plain, mapped, scale = runs_of_columns(path, rows=1024)[:3]
    assert [plain[1] - plain[0], mapped[1] - mapped[0]] == [1024, 1024]
    picture = np.asarray(Image.open(path).convert("RGB"))
    top = plain[0]  # the margin is as wide as it is high
    image = picture[top : top + 1024]
    is_box = (image == BOX_COLOUR).all(axis=2)
    rows, columns = is_box.any(axis=1).nonzero()[0], is_box.any(axis=0).nonzero()[0]
    x, y, w, h = (16 * int(value) for value in row["boxes"].split("; ")[0].split())
    at = [columns[0] - mapped[0], rows[0], columns[-1] - mapped[0], rows[-1]]
    assert np.allclose(at, [x, y, x + w - 1, y + h - 1], atol=16)  # the table has whole pixels
    bar = image[:, scale[0]]
    grey = np.full((1, 2), 110, dtype=np.uint8)
    assert np.array_equal(bar[[0, -1]], blended(grey, np.array([[1.0, 0.0]]))[0])


def test_maps_alone_are_drawn_without_measuring(session, cache_dir, capsys):
    assert cam(session, cache_dir, "--count", "1", "--no-measure", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["cams"]) == 1
    assert told["localization"] is None
    assert not (session.path / "evaluation/localization.json").exists()


def test_the_words_say_how_many_had_boxes_and_what_a_map_beats(session, cache_dir, capsys):
    assert cam(session, cache_dir, "--count", "5") == 0
    told = capsys.readouterr().out
    assert "5 maps, 5 with a box" in told
    flat = " ".join(told.split())
    assert "boxes were scaled" in flat
    assert "None of the" not in flat, "the healthy twin of maps without a box"
    assert "the place with most boxes of other patients" in flat
    assert "that place" in flat or "It beats all three" in flat


def test_boxed_images_come_first_then_true_positives_the_same_for_the_same_seed(session, cache_dir):
    source = source_of(session, cache_dir)
    with_boxes = {one.image for one in boxed(source, "Mass")}
    drawn = draw(source, "Mass", 500, seed=0)
    first = [one.image for one in drawn[: len(with_boxes)]]
    assert set(first) == with_boxes
    kinds = [one.kind for one in drawn[len(with_boxes) :]]
    assert kinds == sorted(kinds, key=["true positive", "false negative"].index)
    assert [one.image for one in draw(source, "Mass", 500, seed=0)] == [one.image for one in drawn]
    assert [one.image for one in draw(source, "Mass", 500, seed=1)] != [one.image for one in drawn]
    assert all(source.part_of[one.image] == "test" for one in drawn)


def test_outcomes_are_told_by_the_threshold_chosen_on_val(session, cache_dir):
    source = source_of(session, cache_dir)
    threshold = source.thresholds["Mass"]
    found = outcomes(source, "Mass")
    assert found
    for one in found:
        called, present = one.probability >= threshold, one.label == 1
        expected = {(True, True): "true positive", (True, False): "false positive"}
        assert one.kind == expected.get((called, present), "false negative")


def test_an_image_seen_in_training_is_marked_and_left_out_of_the_figures(session, cache_dir):
    before = localize(source_of(session, cache_dir), "grad-cam")
    boxes = read_boxes(source_of(session, cache_dir).study.sources.boxes)
    image = str(boxes.image[boxes.finding == "Mass"][0])
    split = session.path / "split.csv"
    lines = split.read_text().splitlines()
    patient = next(line for line in lines if line.startswith(image)).split(",")[1]
    moved = [line.replace(",test", ",train") if f",{patient}," in line else line for line in lines]
    split.write_text("\n".join(moved) + "\n")
    source = source_of(session, cache_dir)
    after = localize(source, "grad-cam")
    assert after["seen_in_training"] > 0
    assert after["maps"] < before["maps"]
    assert any("seen in training" in warning for warning in after["warnings"])
    drawn = draw(source, "Mass", 500, seed=0)
    seen = [one for one in drawn if one.seen]
    assert image in {one.image for one in seen}
    assert drawn[-len(seen) :] == seen


def test_a_finding_that_is_none_or_was_not_trained_on_is_refused(session, cache_dir, capsys):
    assert cam(session, cache_dir, "--finding", "Mas") == 2
    assert "Did you mean 'Mass'?" in capsys.readouterr().err
    assert cam(session, cache_dir, "--finding", "Hernia") == 2
    assert "not trained on 'Hernia'" in capsys.readouterr().err
    assert cam(session, cache_dir, "--method", "saliency") == 2
    assert "grad-cam++" in capsys.readouterr().err


def test_without_boxes_maps_are_drawn_and_nothing_is_measured(session, own_data, cache_dir, capsys):
    (own_data / "BBox_List_2017.csv").unlink()
    assert cam(session, cache_dir, "--finding", "Cardiomegaly", "--count", "2") == 0
    told = capsys.readouterr().out
    assert "2 maps, 0 with a box" in told
    assert "no box table is given" in " ".join(told.split())
    assert "None of the 2 images drawn has a box" in " ".join(told.split())
    kept = json.loads((session.path / "evaluation" / "localization.json").read_text())
    assert kept["findings"] == {}


def test_boxes_of_images_and_findings_that_are_not_here_are_counted(session, own_data, cache_dir):
    table = own_data / "BBox_List_2017.csv"
    split = session.path / "split.csv"
    image = split.read_text().splitlines()[1].split(",")[0]
    split.write_text(
        "\n".join(split.read_text().splitlines()[:1] + split.read_text().splitlines()[2:]) + "\n"
    )
    table.write_text(
        table.read_text() + f"{image},Mass,10,10,50,50,,,\n{image},Hernia,1,1,9,9,,,\n"
    )
    report = localize(source_of(session, cache_dir), "grad-cam")
    assert report["boxes_in_no_part"] == 1
    assert any("not trained on" in w and "Hernia" in w for w in report["warnings"])


def test_a_box_outside_of_the_image_is_refused_with_its_line(session, own_data, cache_dir, capsys):
    table = own_data / "BBox_List_2017.csv"
    image = table.read_text().splitlines()[1].split(",")[0]
    table.write_text(table.read_text() + f"{image},Mass,2000,10,50,50,,,\n")
    assert cam(session, cache_dir) == 3
    said = capsys.readouterr().err
    assert "BBox_List_2017.csv line" in said
    assert "outside an image" in said


def test_images_that_are_gone_or_damaged_are_left_out_and_named(session, own_data, cache_dir):
    source = source_of(session, cache_dir)
    gone, damaged = (one.image for one in boxed(source, "Mass")[:2])
    before = len(boxed(source, "Mass"))
    image_file(own_data, gone).unlink()
    image_file(own_data, damaged).write_bytes(b"not an image")
    source = source_of(session, cache_dir)
    assert any("no longer exists" in warning for warning in source.warnings)
    candidates = chosen_candidates(source, "Mass", 500, 0)
    drawn = draw_cams(source, candidates, "grad-cam")
    assert sum(len(found.boxes_K4) > 0 for found in drawn.shown) == before - 2
    assert any(damaged in warning for warning in drawn.warnings)


def test_a_session_without_a_checkpoint_or_split_says_what_to_do(session, cache_dir, capsys):
    shutil.rmtree(session.path / "checkpoints")
    (session.path / "checkpoints").mkdir()
    assert cam(session, cache_dir) == 3
    assert "no undamaged checkpoint" in capsys.readouterr().err
    (session.path / "split.csv").unlink()
    assert cam(session, cache_dir) == 3
    assert "nothing has been trained" in capsys.readouterr().err


@pytest.mark.parametrize("method", ["grad-cam", "grad-cam++", "layer-cam"])
def test_a_map_is_drawn_at_the_images_own_size_by_every_method(session, cache_dir, method):
    source = source_of(session, cache_dir)
    drawn = draw_cams(source, draw(source, "Effusion", 3, 0), method)
    for found in drawn.shown:
        strength = strength_on_image(found)
        assert strength.shape == (found.height_px, found.width_px) == (64, 64)
        assert strength.max() <= 1 + 1e-9
        if found.has_evidence:
            row, column = np.unravel_index(strength.argmax(), strength.shape)
            x, y = found.on_image(*found.peak)
            assert abs(x - column) <= 64 / len(found.map_MM)
            assert abs(y - row) <= 64 / len(found.map_MM)


def test_a_box_lands_on_its_lesion(session, cache_dir):
    """The phantom's masses are brighter than the lung around them."""
    source = source_of(session, cache_dir)
    drawn = draw_cams(source, boxed(source, "Mass")[:12], "grad-cam")
    from core.data.images.full_image import read_image

    brighter = []
    for found in drawn.shown:
        grey = read_image(source.study.index.files[found.candidate.image]).astype(float)
        for x, y, w, h in found.boxes_on_image():
            inner = grey[
                round(y + h / 4) : round(y + 3 * h / 4), round(x + w / 4) : round(x + 3 * w / 4)
            ]
            rows = slice(max(0, round(y - h / 2)), round(y + 1.5 * h))
            ring = grey[rows, max(0, round(x - w / 2)) : round(x + 1.5 * w)]
            brighter.append(inner.mean() > ring.mean())
    assert np.mean(brighter) > 0.8


def test_where_nothing_can_be_written_it_says_so(session, cache_dir, capsys):
    shutil.rmtree(session.path / "cams")
    (session.path / "cams").write_text("a file in its place")
    assert cam(session, cache_dir, "--count", "1") == 2
    assert "cams: is something else, but a session needs a folder" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["cams", "evaluation"])
def test_a_session_whose_folders_lead_elsewhere_is_refused_before_any_map_is_made(
    session, cache_dir, tmp_path, capsys, name
):
    mine = tmp_path / "mine"
    mine.mkdir()
    for file in ("cams.csv", "localization.json"):
        (mine / file).write_text("years of work")
    shutil.rmtree(session.path / name)
    (session.path / name).symlink_to(mine)
    assert cam(session, cache_dir, "--count", "1") == 2
    assert f"{name}: is a link" in capsys.readouterr().err
    assert {path.name: path.read_text() for path in mine.iterdir()} == {
        "cams.csv": "years of work",
        "localization.json": "years of work",
    }


def test_drawing_again_keeps_the_rows_of_before(session, cache_dir):
    source = source_of(session, cache_dir)
    for finding in ("Mass", "Effusion"):
        draw_cams(source, draw(source, finding, 2, 0), "grad-cam")
    with (session.path / "cams" / "cams.csv").open() as stream:
        assert [row["finding"] for row in csv.DictReader(stream)] == ["Mass"] * 2 + ["Effusion"] * 2


def test_a_seed_below_zero_is_refused(session, cache_dir, capsys):
    with pytest.raises(SystemExit) as refused:
        cam(session, cache_dir, "--seed", "-1")
    assert refused.value.code == 2
    assert "0 or more" in capsys.readouterr().err


def test_the_most_wrong_images_are_drawn_on_one_sheet_without_a_map(session, cache_dir, capsys):
    sheet = session.path.parent / "mass.png"
    given = ["--wrong", "mass", "--sheet", str(sheet), "--json"]
    assert cam(session, cache_dir, *given) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["sheet"] == str(sheet)
    with Image.open(sheet) as picture:
        assert json.loads(picture.text["cxr-tui"]) == {
            "session": session.name, "finding": "Mass", "part": "test"
        }  # fmt: skip
    with (session.predictions / "test.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    absent = [row for row in rows if float(row["Mass"]) == 0]
    worst = max(absent, key=lambda row: float(row["prob_Mass"]))
    assert told["highest"][0]["image"] == worst["Image Index"]
    assert list((session.path / "cams").iterdir()) == []

    assert cam(session, cache_dir, "--wrong", "Mass", "--part", "val") == 0
    assert "look at the image before you call it an error" in capsys.readouterr().out
    assert (session.path / "images-by-error-Mass-val.png").is_file()


def test_a_sheet_that_can_not_be_drawn_says_why(session, cache_dir, capsys):
    assert cam(session, cache_dir, "--wrong", "Mas") == 2
    assert "Did you mean 'Mass'?" in capsys.readouterr().err
    assert cam(session, cache_dir, "--sheet", "x.png") == 2
    assert "Name their finding with --wrong." in capsys.readouterr().err
    assert cam(session, cache_dir, "--wrong", "Mass", "--sheet", "/no/such/folder/x.png") != 0
    assert "/no/such/folder" in capsys.readouterr().err
    (session.predictions / "test.csv").unlink()
    assert cam(session, cache_dir, "--wrong", "Mass") != 0
    assert "test.csv" in capsys.readouterr().err
