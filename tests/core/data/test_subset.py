"""A smaller draw: every positive kept, a target prevalence, a cap."""

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tables import index_of, row_v2020, write_lines

from core.data.study.index import build_index
from core.data.study.part_draw import draws_in_words, warning_of_figures
from core.data.study.sources import locate_sources
from core.data.study.split import Split, make_split, shared_patients
from core.data.study.study_index import StudyIndex
from core.data.study.subset import draw_subset
from core.errors import DataError
from core.recipe import PARTS, Recipe, SubsetSettings

NIH = os.environ.get("CXR_NIH_DIR")


def split_of(sizes: dict[str, tuple[int, int]], folder: Path) -> tuple[StudyIndex, Split]:
    """An index and split with so many Mass-positive and negative images a part."""
    rows, parts, patient = [], {part: [] for part in PARTS}, 0
    for part, (num_positive, num_negative) in sizes.items():
        for is_positive in [True] * num_positive + [False] * num_negative:
            patient += 1
            parts[part].append(len(rows))
            rows.append(row_v2020(patient, 0, "Mass" if is_positive else "No Finding"))
    _, _, index = index_of(folder, rows)
    return index, Split(
        {part: np.array(numbers, dtype=np.int64) for part, numbers in parts.items()}, "lists", 0
    )


def mass_of(index: StudyIndex, split: Split, part: str) -> tuple[int, int]:
    labels_R = index.table.labels_of("Mass")[split.rows[part]]
    return int((labels_R == 1).sum()), int((labels_R == 0).sum())


MASS_29 = SubsetSettings(finding="Mass", prevalence=0.29, parts=PARTS)
part_sizes = st.tuples(st.integers(1, 30), st.integers(0, 150))


@given(
    st.fixed_dictionaries(dict.fromkeys(PARTS, part_sizes)),
    st.floats(0.05, 0.95),
    st.integers(0, 99),
    st.sets(st.sampled_from(PARTS), min_size=1),
)
def test_every_positive_is_kept_and_the_prevalence_holds_in_the_parts_that_are_drawn(
    tmp_path_factory, sizes, share, seed, parts
):
    index, split = split_of(sizes, tmp_path_factory.mktemp("t"))
    settings = SubsetSettings(finding="Mass", prevalence=share, seed=seed, parts=tuple(parts))

    subset = draw_subset(index, split, settings)

    for part, (num_positive, num_negative) in sizes.items():
        if part not in parts:
            assert np.array_equal(subset.rows[part], split.rows[part])
            assert not subset.draws[part].is_drawn
            continue
        positives, negatives = mass_of(index, subset, part)
        assert positives == num_positive
        wanted = num_positive * (1 - share) / share
        if num_negative >= wanted + 1:
            assert abs(negatives - wanted) <= 0.5 + 1e-9
        else:
            assert negatives == min(num_negative, round(wanted))
            missed = any(warning.startswith(f"{part} has") for warning in subset.warnings)
            assert missed == (num_negative < round(wanted))
        assert set(subset.rows[part]) <= set(split.rows[part])
        assert (np.diff(subset.rows[part]) > 0).all()


@given(st.fixed_dictionaries(dict.fromkeys(PARTS, part_sizes)), st.integers(3, 200))
def test_a_cap_shrinks_parts_positives_and_negatives_alike(tmp_path_factory, sizes, max_images):
    index, split = split_of(sizes, tmp_path_factory.mktemp("t"))

    subset = draw_subset(index, split, SubsetSettings(finding="Mass", max_images=max_images))

    total = split.num_images
    assert subset.num_images == min(total, max_images)
    factor = subset.num_images / total
    for part, (num_positive, num_negative) in sizes.items():
        positives, negatives = mass_of(index, subset, part)
        assert positives + negatives >= 1
        # One image of rounding, and one that a class or part keeps of its own.
        assert abs(positives - factor * num_positive) <= 3
        assert abs(positives + negatives - factor * (num_positive + num_negative)) <= 2


def test_a_cap_leaves_a_part_that_is_not_drawn_its_own_prevalence(tmp_path):
    index, split = split_of({"train": (40, 760), "val": (10, 190), "test": (50, 950)}, tmp_path)
    settings = SubsetSettings(finding="Mass", prevalence=0.5, max_images=550)

    subset = draw_subset(index, split, settings)

    assert [mass_of(index, subset, part) for part in PARTS] == [(20, 20), (5, 5), (25, 475)]
    words = draws_in_words(subset.draws)
    assert words.startswith("Mass: train 50.0 % (drawn from 5.0 %), val 50.0 % (drawn from 5.0 %)")
    assert words.endswith("test 5.0 % (capped evenly, from 5.0 %)")
    assert subset.draws["test"].weights(index.table.labels_of("Mass")) is None


def test_by_default_test_is_whole_and_what_was_drawn_is_said(tmp_path):
    index, split = split_of({"train": (5, 95), "val": (5, 45), "test": (4, 46)}, tmp_path)

    subset = draw_subset(index, split, SubsetSettings(finding="Mass", prevalence=0.25))

    assert [mass_of(index, subset, part) for part in PARTS] == [(5, 15), (5, 15), (4, 46)]
    assert draws_in_words(subset.draws) == (
        "Mass: train 25.0 % (drawn from 5.0 %), val 25.0 % (drawn from 10.0 %), test 8.0 % (whole)"
    )
    assert warning_of_figures("test", subset.draws["test"]) is None
    warning = warning_of_figures("val", subset.draws["val"])
    assert warning.startswith(
        "val was drawn at a prevalence of 25.0 % of Mass (10.0 % in the whole part): AUPRC, PPV "
        "and NPV are of that draw"
    )


@given(
    st.fixed_dictionaries(dict.fromkeys(PARTS, part_sizes)),
    st.floats(0.05, 0.95),
    st.none() | st.integers(12, 200),
)
def test_weights_bring_a_drawn_part_back_to_the_whole(tmp_path_factory, sizes, share, cap):
    index, split = split_of(sizes, tmp_path_factory.mktemp("t"))
    settings = SubsetSettings(finding="Mass", prevalence=share, max_images=cap, parts=PARTS)

    subset = draw_subset(index, split, settings)

    for part, whole in sizes.items():
        draw = subset.draws[part]
        labels_R = index.table.labels_of("Mass")[subset.rows[part]]
        weights_R = draw.weights(labels_R)
        assert draw.natural_prevalence["Mass"] == pytest.approx(whole[0] / sum(whole))
        assert (weights_R is None) == (not draw.is_drawn)
        if weights_R is not None and all(mass_of(index, subset, part)):
            stands_for = [weights_R[labels_R == label].sum() for label in (1, 0)]
            assert stands_for == pytest.approx(list(whole))


def test_a_part_whose_prevalence_could_not_move_is_not_called_drawn(tmp_path):
    index, split = split_of({"train": (5, 90), "val": (5, 5), "test": (0, 20)}, tmp_path)

    subset = draw_subset(index, split, MASS_29)

    assert [subset.draws[part].is_drawn for part in PARTS] == [True, False, False]


def test_a_cap_without_a_finding_draws_from_all_parts(tmp_path):
    index, split = split_of({"train": (10, 60), "val": (1, 9), "test": (2, 18)}, tmp_path)

    subset = draw_subset(index, split, SubsetSettings(max_images=20))

    assert [len(subset.rows[part]) for part in PARTS] == [14, 2, 4]


def test_the_same_seed_draws_the_same_images_and_another_seed_others(tmp_path):
    index, split = split_of({"train": (5, 90), "val": (2, 20), "test": (2, 20)}, tmp_path)
    draws = [
        draw_subset(index, split, MASS_29.model_copy(update={"seed": seed})) for seed in (0, 0, 1)
    ]

    assert all(np.array_equal(draws[0].rows[part], draws[1].rows[part]) for part in PARTS)
    assert not np.array_equal(draws[0].rows["train"], draws[2].rows["train"])


def test_a_part_without_a_positive_is_kept_whole_with_a_warning(tmp_path):
    index, split = split_of({"train": (5, 90), "val": (0, 20), "test": (2, 20)}, tmp_path)

    subset = draw_subset(index, split, MASS_29)

    assert len(subset.rows["val"]) == 20
    assert [warning for warning in subset.warnings if "val has no image with Mass" in warning]


def test_unknown_labels_of_the_finding_are_left_out_where_a_part_is_drawn_and_counted(tmp_path):
    labels = ["1", "0", "", "0", "1", "", "0", "", "1"]
    write_lines(
        tmp_path / "t.csv",
        ["image,patient,Mass"] + [f"{i}.png,{i},{label}" for i, label in enumerate(labels)],
    )
    dataset = {"labels": tmp_path / "t.csv", "findings": ["Mass"]}
    recipe = Recipe.model_validate({"dataset": dataset})
    sources = locate_sources(recipe, cache=tmp_path, labels_only=True)
    index = build_index(recipe, sources, labels_only=True)
    thirds = dict(zip(PARTS, np.split(np.arange(9), 3), strict=True))

    subset = draw_subset(
        index, Split(thirds, "lists", 0), SubsetSettings(finding="Mass", prevalence=0.5)
    )

    assert [list(subset.rows[part]) for part in PARTS] == [[0, 1], [3, 4], [6, 7, 8]]
    assert (subset.counts[-1].images, subset.counts[-1].examples) == (2, ("2.png", "5.png"))


def test_a_finding_the_table_lacks_is_refused(tmp_path):
    path = write_lines(tmp_path / "t.csv", ["image,patient,Nodule", "a.png,1,1"])
    recipe = Recipe.model_validate({"dataset": {"labels": path, "findings": ["Nodule"]}})
    sources = locate_sources(recipe, cache=tmp_path, labels_only=True)
    index = build_index(recipe, sources, labels_only=True)
    split = Split(dict.fromkeys(PARTS, np.array([0])), "lists", 0)

    with pytest.raises(DataError, match="no labels of Mass"):
        draw_subset(index, split, MASS_29)


def test_nothing_set_changes_nothing(tmp_path):
    index, split = split_of({"train": (1, 1), "val": (1, 1), "test": (1, 1)}, tmp_path)

    assert draw_subset(index, split, SubsetSettings()) is split


@pytest.mark.skipif(not NIH, reason="CXR_NIH_DIR names no copy of NIH's files")
def test_the_reports_second_run_is_reproduced():
    recipe = Recipe.model_validate(
        {
            "dataset": {"images": NIH, "findings": ["Mass"]},
            "split": {"by": "patient", "train": 0.79, "val": 0.105, "test": 0.105},
            "subset": {"finding": "Mass", "prevalence": 0.29, "parts": list(PARTS)},
        }
    )
    sources = locate_sources(recipe, cache=Path("unused"), labels_only=True)
    index = build_index(recipe, sources, labels_only=True)

    split = draw_subset(index, make_split(index, recipe.split, sources), recipe.subset)

    wanted = {"train": 15_613, "val": 2_076, "test": 2_018}
    for part, num_images in wanted.items():
        positives, negatives = mass_of(index, split, part)
        assert positives + negatives == pytest.approx(num_images, rel=0.03)
        assert 0.29 <= round(positives / (positives + negatives), 3) <= 0.30
    assert not shared_patients(index, split)
    assert not split.warnings


def test_the_draw_does_not_depend_on_the_order_of_rows(tmp_path):
    index, split = split_of({"train": (5, 90), "val": (2, 20), "test": (2, 20)}, tmp_path)
    order = np.random.default_rng(0).permutation(len(index.images))
    shuffled = index.take(order)
    row_there = np.argsort(order)
    split_there = dataclasses.replace(
        split, rows={part: np.sort(row_there[rows]) for part, rows in split.rows.items()}
    )

    here = draw_subset(index, split, MASS_29)
    there = draw_subset(shuffled, split_there, MASS_29)

    for part in PARTS:
        drawn = shuffled.images[there.rows[part]]
        assert set(drawn) == set(index.images[here.rows[part]])
