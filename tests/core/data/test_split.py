"""Parts drawn by patient: nobody in two of them, rare findings in each of them."""

import dataclasses
import os
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tables import image_name, index_of, names_in, random_rows, row_v2020, write_lines

from core.data.study.index import build_index
from core.data.study.sources import DataSources, locate_sources
from core.data.study.split import Split, make_split, refuse_shared_patients, shared_patients
from core.data.study.stratify import deal_patients, largest_remainder
from core.data.study.study_index import StudyIndex
from core.data.tables.label_columns import LabelTable
from core.errors import DataError, RecipeError
from core.findings import FINDINGS
from core.recipe import PARTS, Recipe, SplitSettings

NIH = os.environ.get("CXR_NIH_DIR")
NO_LISTS = DataSources(Path("unused"), None, None, None, None, None)


def index_with(patients: np.ndarray, labels_NA: np.ndarray) -> StudyIndex:
    """An index without files, for draws; findings are the first A of the 14."""
    findings = FINDINGS[: labels_NA.shape[1]]
    images = np.array([f"{row}.png" for row in range(len(patients))], dtype=object)
    labels_NA = labels_NA.astype(np.float32)
    return StudyIndex(LabelTable(images, patients.astype(np.int64), findings, labels_NA), findings)


@st.composite
def indexes(draw: st.DrawFn) -> StudyIndex:
    num_patients = draw(st.integers(3, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    images_P = rng.geometric(0.4, size=num_patients)
    patients = rng.permutation(np.repeat(rng.permutation(num_patients) + 1, images_P))
    labels_NA = (rng.random((len(patients), 5)) < draw(st.floats(0, 0.7))).astype(float)
    labels_NA[rng.random(labels_NA.shape) < 0.1] = np.nan
    return index_with(patients, labels_NA)


@st.composite
def patient_settings(draw: st.DrawFn) -> SplitSettings:
    weights = np.array([draw(st.integers(1, 20)) for _ in PARTS])
    train, val, test = weights / weights.sum()
    return SplitSettings(
        by="patient", train=train, val=val, test=test, seed=draw(st.integers(0, 99))
    )


def parts_by_patient(index: StudyIndex, split: Split) -> dict[int, str]:
    return {int(index.patients[row]): part for part in PARTS for row in split.rows[part]}


@given(indexes(), patient_settings())
def test_no_patient_is_in_two_parts_and_every_image_is_in_one(index, chosen):
    split = make_split(index, chosen, NO_LISTS)

    assert not shared_patients(index, split)
    refuse_shared_patients(index, split)
    rows = np.concatenate([split.rows[part] for part in PARTS])
    assert sorted(rows) == list(range(len(index.images)))
    for part in PARTS:
        assert len(split.rows[part])
        assert (np.diff(split.rows[part]) > 0).all()


@given(indexes(), patient_settings(), st.integers(0, 2**32))
def test_the_draw_depends_on_the_seed_and_not_on_the_order_of_rows(index, chosen, shuffle):
    order = np.random.default_rng(shuffle).permutation(len(index.images))

    first = make_split(index, chosen, NO_LISTS)
    again = make_split(index, chosen, NO_LISTS)
    shuffled = index.take(order)
    other_order = make_split(shuffled, chosen, NO_LISTS)

    assert all(np.array_equal(first.rows[part], again.rows[part]) for part in PARTS)
    assert parts_by_patient(shuffled, other_order) == parts_by_patient(index, first)


@given(indexes(), patient_settings())
def test_a_finding_of_three_patients_or_more_reaches_every_part_when_alone(index, chosen):
    first = {"labels_NA": index.table.labels_NA[:, :1], "findings": FINDINGS[:1]}
    alone = dataclasses.replace(index, table=dataclasses.replace(index.table, **first))
    positive_N = alone.table.labels_NA[:, 0] == 1
    positive_patients = set(alone.patients[positive_N])

    split = make_split(alone, chosen, NO_LISTS)

    for part in PARTS:
        reached = positive_patients & set(alone.patients[split.rows[part]])
        share = getattr(chosen, part)
        assert abs(len(reached) - share * len(positive_patients)) <= 2
        assert reached or len(positive_patients) < 3


def test_different_seeds_draw_different_patients(tmp_path):
    _, _, index = index_of(tmp_path, random_rows(100))
    splits = [
        make_split(index, SplitSettings(by="patient", seed=seed), NO_LISTS) for seed in (0, 1)
    ]

    assert names_in(index, splits[0].rows["test"]) != names_in(index, splits[1].rows["test"])


def test_the_recipes_choice_of_findings_does_not_redraw_the_parts(tmp_path):
    chosen = SplitSettings(by="patient")
    _, _, every = index_of(tmp_path, random_rows(100))
    _, _, one = index_of(
        tmp_path, random_rows(100), dataset={"images": tmp_path, "findings": ["Nodule"]}
    )

    for part in PARTS:
        drawn = (make_split(index, chosen, NO_LISTS).rows[part] for index in (every, one))
        assert np.array_equal(*drawn)


def test_shares_hold_for_patients_images_and_each_finding(tmp_path):
    _, _, index = index_of(tmp_path, random_rows(600))
    chosen = SplitSettings(by="patient", train=0.7, val=0.1, test=0.2)

    split = make_split(index, chosen, NO_LISTS)

    for part in PARTS:
        share, rows = getattr(chosen, part), split.rows[part]
        assert len(set(index.patients[rows])) / 600 == pytest.approx(share, abs=0.005)
        assert len(rows) / len(index.images) == pytest.approx(share, abs=0.01)
        for finding in ("Mass", "Nodule", "Hernia"):
            positive_N = index.table.labels_of(finding) == 1
            everyone = len(set(index.patients[positive_N]))
            here = len(set(index.patients[rows][positive_N[rows]]))
            assert abs(here - share * everyone) <= 1.5


def write_lists(folder: Path, **lists: list[int]) -> dict[str, Path]:
    return {
        f"{name}_list": write_lines(folder / f"{name}_list.txt", map(image_name, patients))
        for name, patients in lists.items()
    }


def split_by_lists(tmp_path: Path, by: str = "official", **lists: list[int]):
    write_lists(tmp_path, **lists)
    val_list = {"val_list": tmp_path / "val_list.txt"} if "val" in lists else {}
    recipe, sources, index = index_of(
        tmp_path,
        [row_v2020(i) for i in range(1, 11)],
        split={"by": by, "val": 0.25} | val_list,
    )
    return index, make_split(index, recipe.split, sources)


def test_official_takes_val_out_of_train_val_by_patient(tmp_path):
    index, split = split_by_lists(tmp_path, train_val=[1, 2, 3, 4, 5, 6, 7, 8], test=[9, 10])

    assert set(index.patients[split.rows["test"]]) == {9, 10}
    assert len(split.rows["val"]) == 2
    rest = np.concatenate([split.rows["train"], split.rows["val"]])
    assert set(index.patients[rest]) == set(range(1, 9))


def test_a_val_list_is_taken_out_of_train_val(tmp_path):
    index, split = split_by_lists(
        tmp_path, "lists", train_val=[1, 2, 3, 4, 5], val=[4, 5], test=[9, 10]
    )

    assert {part: set(index.patients[split.rows[part]]) for part in PARTS} == {
        "train": {1, 2, 3},
        "val": {4, 5},
        "test": {9, 10},
    }
    count = split.counts[-1]
    assert (count.reason, count.images) == ("image in no list, and so in no part", 3)


def test_listed_images_that_are_not_there_are_passed_over_where_a_part_is_asked_for(tmp_path):
    write_lists(tmp_path, train_val=[1, 2, 3, 4], test=[5, 6])
    recipe, sources, index = index_of(
        tmp_path, [row_v2020(i) for i in range(1, 7)], split={"by": "official", "val": 0.4}
    )
    there = dataclasses.replace(index, absent=frozenset({image_name(2), image_name(6)})).take(
        np.array([0, 2, 3, 4])
    )

    split = make_split(there, recipe.split, sources)

    assert names_in(there, split.rows["test"]) == [image_name(5)]
    assert split.num_images == 4


def test_a_patient_in_two_parts_is_counted_and_stops_a_run_by_name(tmp_path):
    write_lines(tmp_path / "train_val_list.txt", map(image_name, [1, 2, 3, 4]))
    write_lines(tmp_path / "test_list.txt", [image_name(5), image_name(1, 1), image_name(2)])
    rows = [row_v2020(i) for i in range(1, 6)] + [row_v2020(1, 1)]
    recipe, sources, index = index_of(tmp_path, rows, split={"by": "official", "val": 0.3})

    split = make_split(index, recipe.split, sources)

    shared = shared_patients(index, split)
    assert set(shared) == {1, 2}
    assert all("test" in parts and len(parts) == 2 for parts in shared.values())
    with pytest.raises(DataError, match=r"2 patients are .*: 1 \(.*\), 2 \(") as error:
        refuse_shared_patients(index, split)
    assert error.value.exit_code == 3


def test_shared_patients_are_named_as_the_table_names_them():
    index = index_with(np.array([5, 5, 6]), np.zeros((3, 1)))
    named = dataclasses.replace(index.table, patient_names={5: "P-five"})
    index = dataclasses.replace(index, table=named)
    rows = {part: np.array([row]) for row, part in enumerate(PARTS)}

    with pytest.raises(DataError, match=r"1 patient is .*: P-five \(train and val\)"):
        refuse_shared_patients(index, Split(rows, "lists", 0))


def test_too_few_patients_or_an_empty_part_are_refused(tmp_path):
    two = index_with(np.array([1, 2, 2]), np.zeros((3, 1)))
    with pytest.raises(DataError, match="2 patients can't fill 3 parts"):
        make_split(two, SplitSettings(by="patient"), NO_LISTS)

    write_lists(tmp_path, train_val=[1, 2, 3], test=[4])
    recipe, sources, index = index_of(tmp_path, [row_v2020(i) for i in (1, 2, 3, 4)])
    without_test = dataclasses.replace(index, absent=frozenset({image_name(4)})).take(np.arange(3))
    with pytest.raises(DataError, match=r"no image in test .*split\.by=patient"):
        make_split(without_test, recipe.split, sources)


def test_lists_that_are_not_there_are_asked_for_by_key(tmp_path):
    recipe, sources, index = index_of(tmp_path, [row_v2020(i) for i in (1, 2, 3, 4)])

    with pytest.raises(RecipeError, match=r"split\.train_val_list"):
        make_split(index, recipe.split, sources)


@given(
    st.integers(0, 500),
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 3)), min_size=1, max_size=6),
)
def test_whole_numbers_add_up_and_stay_near_their_quotas(total, weights_and_least):
    weights, least = np.array(weights_and_least).T

    counts = largest_remainder(total, weights, at_least=least)

    assert counts.sum() == total
    assert (counts >= 0).all()
    if least.sum() <= total:
        assert (counts >= least).all()
    if weights.sum() and (least == 0).all():
        assert (np.abs(counts - total * weights / weights.sum()) < 1).all()


def test_the_rarest_finding_is_dealt_first():
    # Six patients have Hernia, all of them Mass too, as have 54 others.
    positive_PA = np.zeros((60, 2), dtype=np.int64)
    positive_PA[:, 0] = 1
    positive_PA[:6, 1] = 1

    for seed in range(20):
        part_P = deal_patients(
            positive_PA, np.ones(60, dtype=np.int64), (1 / 3,) * 3, np.random.default_rng(seed)
        )
        assert np.bincount(part_P[:6], minlength=3).tolist() == [2, 2, 2]
        assert np.bincount(part_P, minlength=3).tolist() == [20, 20, 20]


@pytest.fixture(scope="module")
def official():
    if not NIH:
        pytest.skip("CXR_NIH_DIR names no copy of NIH's files")
    recipe = Recipe.model_validate({"dataset": {"images": NIH}})
    sources = locate_sources(recipe, cache=Path("unused"), labels_only=True)
    return recipe, sources, build_index(recipe, sources, labels_only=True)


def test_the_official_split_has_its_published_numbers(official):
    recipe, sources, index = official
    split = make_split(index, recipe.split, sources)

    train_val = np.concatenate([split.rows["train"], split.rows["val"]])
    assert (len(train_val), len(split.rows["test"])) == (86_524, 25_596)
    assert len(set(index.patients[train_val])) == 28_008
    assert len(set(index.patients[split.rows["test"]])) == 2_797
    assert not shared_patients(index, split)
    assert len(set(index.patients[split.rows["val"]])) == pytest.approx(2_801, abs=1)


def test_val_holds_its_share_of_each_finding(official):
    recipe, sources, index = official
    split = make_split(index, recipe.split, sources)

    for column, finding in enumerate(FINDINGS):
        patients = {
            part: len(set(index.patients[rows[index.labels_NF[rows, column] == 1]]))
            for part, rows in split.rows.items()
        }
        wanted = 0.1 * (patients["train"] + patients["val"])
        assert abs(patients["val"] - wanted) <= 1, finding


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 1000))
def test_hernia_reaches_each_part_and_shares_hold(official, seed):
    _, _, index = official
    chosen = SplitSettings(by="patient", train=0.79, val=0.105, test=0.105, seed=seed)

    split = make_split(index, chosen, NO_LISTS)

    hernia_N = index.table.labels_of("Hernia") == 1
    everyone = len(set(index.patients[hernia_N]))
    for part in PARTS:
        rows, share = split.rows[part], getattr(chosen, part)
        here = len(set(index.patients[rows][hernia_N[rows]]))
        assert abs(here - share * everyone) <= 1
        assert len(set(index.patients[rows])) / 30_805 == pytest.approx(share, abs=0.002)
        assert len(rows) / 112_120 == pytest.approx(share, abs=0.01)


def test_thirty_thousand_patients_are_dealt_fast_enough_to_redraw_a_screen(official):
    _, _, index = official
    started = time.process_time()

    make_split(index, SplitSettings(by="patient"), NO_LISTS)

    assert time.process_time() - started < 0.3
