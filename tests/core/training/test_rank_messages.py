"""What ranks say is JSON and raw tensors: it comes through whole, and nothing else comes in."""

import pickle
import re

import numpy as np
import pytest
import torch
from places import REPOSITORY
from rank_steps import trainer_of

from core.data.images.image_file import ImageFile
from core.model.input_spec import GREY
from core.recipe_toml import checked_recipe
from core.training.distributed.expected import expect_nothing, expect_parts, expect_weights
from core.training.distributed.messages import (
    command_of,
    heading_of,
    packed,
    room_for,
    text_of,
    unpacked,
)
from core.training.distributed.ranks import (
    ALONE,
    BeginEpoch,
    Build,
    CommandError,
    End,
    PartRows,
    Prepare,
    Restore,
    Score,
    Step,
    TakeStep,
)

ARCHIVE = "/data/images_001.tar.gz"
FILES = {
    "b.png": ImageFile("b.png", ARCHIVE, "images/b.png", (7, 2**63 - 1)),
    "a\udcff.png": ImageFile("a\udcff.png", "/data/a\udcff.png", None, (9, 5)),
}
ROWS = PartRows(np.array([1, 0]), np.array([3, 4]), np.array([[1, np.nan], [0, 1]], np.float32))
DRAWN = PartRows(ROWS.index_rows_N, ROWS.patients_N, ROWS.labels_NF, np.array([1.0, 2.5]))


def heard(command):
    """The command as another rank has it."""
    text, tensors = text_of(command)
    heading = heading_of(text)
    flat = room_for(heading.specs)
    flat.copy_(packed(tensors))
    return command_of(heading, unpacked(flat, heading.specs))


@pytest.mark.parametrize(
    "command",
    [Step(), End(75), TakeStep("graph"), Score("val", True), BeginEpoch({"a": [1.5, None]})],
)
def test_a_short_word_comes_through(command):
    assert heard(command) == command


def test_the_data_set_comes_through_with_names_that_are_no_text():
    recipe = checked_recipe({"name": "x", "dataset": {"images": "/data"}}, "test")
    command = Prepare(recipe, FILES, (1,), "crop", True)
    assert heard(command) == command
    assert list(heard(command).files) == list(FILES)


def test_parts_come_through_with_unknown_labels_and_their_weights():
    command = Build(
        {"train": ROWS, "val": DRAWN, "test": ROWS}, "digest", ("Mass", "Edema"), GREY, "bf16"
    )
    there = heard(command)
    assert (there.findings, there.input_spec) == (command.findings, GREY)
    assert there.parts["train"].weights_N is None
    for part, rows in command.parts.items():
        for name, value in vars(rows).items():
            if value is not None:
                assert np.array_equal(getattr(there.parts[part], name), value, equal_nan=True)


def test_weights_come_through_bit_for_bit_and_only_those_of_this_network():
    trainer = trainer_of(ALONE, None)
    next(trainer.epoch_steps())
    command = Restore(*trainer.tensors(), trainer.state())
    there = heard(command)
    for before, after in ((command.model, there.model), (command.optimizer, there.optimizer)):
        assert before.keys() == after.keys()
        assert all(torch.equal(before[name], after[name]) for name in before)
    expect_weights(heading_of(text_of(command)[0]), trainer)
    one = next(name for name, item in command.model.items() if item.ndim == 4)
    moment = next(iter(command.optimizer))
    for wrong in (
        Restore(command.model | {one: torch.zeros(2**20)}, command.optimizer, command.state),
        Restore(command.model | {"more": torch.zeros(1)}, command.optimizer, command.state),
        Restore(command.model, command.optimizer | {moment: torch.zeros(3)}, command.state),
        Restore(command.model, command.optimizer | {"nothing|x": torch.zeros(3)}, command.state),
        Restore({}, command.optimizer, command.state),
    ):
        with pytest.raises(CommandError, match=r"comes with .*; expected"):
            expect_weights(heading_of(text_of(wrong)[0]), trainer)


def test_tensors_that_are_announced_and_not_due_are_refused_before_there_is_room_for_them():
    command = Build(
        {"train": ROWS, "val": ROWS, "test": ROWS}, "digest", ("Mass", "Edema"), GREY, "bf16"
    )
    text, _ = text_of(command)
    expect_parts(heading_of(text), 2)
    with pytest.raises(CommandError, match="its part train has 2 of 1 images"):
        expect_parts(heading_of(text), 1)
    huge = text.replace(b'"val/labels_NF","float32",[2,2]', b'"val/labels_NF","float32",[2,999999]')
    with pytest.raises(CommandError, match=r"float32 \[2, 999999\]; expected float32 \[2, 2\]"):
        expect_parts(heading_of(huge), 2)
    step = text_of(Step())[0].replace(b"[]", b'[["x","float32",[1]]]')
    with pytest.raises(CommandError, match="Step comes with 1 tensors"):
        expect_nothing(heading_of(step))


@pytest.mark.parametrize(
    "text",
    [
        pickle.dumps(Step()),
        b"",
        b"[]",
        b'{"command":"exec","fields":{},"tensors":[]}',
        b'{"command":"End","fields":{"code":"0"},"tensors":[]}',
        b'{"command":"End","fields":{"code":true},"tensors":[]}',
        b'{"command":"Step","fields":{},"tensors":[["x","object",[1]]]}',
        b'{"command":"Step","fields":{},"tensors":[["x","float32",[-1]]]}',
        b'{"command":"Prepare","fields":{"recipe":{"nam":1},"files":{}},"tensors":[]}',
        b"[" * 100_000,
    ],
)
def test_what_is_not_a_command_is_refused_by_name(text):
    with pytest.raises(CommandError, match="what arrived as a command of process 0 is not one"):
        command_of(heading_of(text), {})


def test_nothing_in_the_product_reads_or_writes_a_pickle():
    """But follows one without running it: ``core.model.inert_pickle`` and what it needs."""
    pickles = re.compile(
        r"^\s*(import|from) (c?pickle|_pickle|dill|cloudpickle|shelve|marshal)\b"
        r"|allow_pickle=True|_object_list\(|scatter_object|gather_object|all_gather_object"
        r"|torch\.load\((?!.*weights_only=True)|multiprocessing",
        re.MULTILINE,
    )
    found = {
        f"{path.relative_to(REPOSITORY)}: {match.group().strip()}"
        for folder in ("core", "cxr_tui")
        for path in (REPOSITORY / folder).rglob("*.py")
        for match in pickles.finditer(path.read_text(encoding="utf-8"))
    }
    assert found == set()
    assert pickles.search("import pickle\n")
    assert pickles.search("    dist.broadcast_object_list([command])")
