import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import RecipeError
from core.findings import FINDINGS
from core.recipe import Recipe
from core.recipe_faults import known_keys, list_keys
from core.recipe_toml import (
    changed_recipe,
    checked_recipe,
    differences,
    load_recipe,
    recipe_toml,
)
from core.shipped_recipes import broken_recipes, shipped_recipes
from core.store.session import Session


@pytest.mark.parametrize("name", ["demo", "nih-14", "nih-mass", "chexnet", "strong", "resolution"])
def test_every_shipped_recipe_loads_under_its_own_name(name):
    assert load_recipe(name).name == name
    assert name in shipped_recipes()


def test_broken_recipes_load_by_name_and_stand_apart():
    assert "broken-nothing" in broken_recipes()
    for name in broken_recipes():
        assert load_recipe(name).name == name
    assert not broken_recipes().keys() & shipped_recipes().keys()
    with pytest.raises(RecipeError) as refused:
        load_recipe("zzzz")
    told, apart = str(refused.value).split("Broken on purpose")
    assert "demo" in told
    assert "broken-" not in told
    assert "broken-rate" in apart


def test_broken_recipes_share_one_phantom():
    assert len({load_recipe(name).dataset.phantom for name in broken_recipes()}) == 1


def test_the_reports_second_run_is_what_nih_mass_says():
    recipe = load_recipe("nih-mass")
    assert recipe.dataset.findings == ("Mass",)
    assert (recipe.split.by, recipe.split.train, recipe.split.test) == ("patient", 0.79, 0.105)
    assert (recipe.subset.finding, recipe.subset.prevalence) == ("Mass", 0.29)
    assert recipe.subset.parts == ("train", "val", "test")
    assert (recipe.train.optimizer, recipe.train.learning_rate) == ("sgd", 0.01)
    assert (recipe.train.momentum, recipe.train.weight_decay) == (0.9, 1e-4)
    assert (recipe.train.epochs, recipe.train.batch_size, recipe.image.size_px) == (5, 16, 224)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.learning_rate=-0.1", "train.learning_rate must be above 0, got -0.1"),
        ("train.learnin_rate=1", "Did you mean 'train.learning_rate'?"),
        ("epochs=3", "Did you mean 'train.epochs'?"),
        ("train.lr=0.1", "Did you mean 'train.learning_rate'?"),
        ("train.seeed=1", "Did you mean 'train.seed'?"),
        ("image.img_size=64", "Did you mean 'image.size_px'?"),
        ("training.epochs=1", "Did you mean 'train.epochs'?"),
        ("train.device=cuda", "use --device"),
        ("train.nope=1", "Known here: train.epochs, "),
        ("train.learning_rate=0,001", "--set: train.learning_rate must be a number, got '0,001'"),
        ("train.learning_rate=0,001", "Use a decimal point: 0.001"),
        ('train.epochs="3"', "Write numbers without quotes: 3"),
        ("split.train=70%", "Write a share as a fraction: 0.7"),
        ("train.epochs=2.5", "train.epochs must be a whole number, got 2.5"),
        ('train.epochs="3"', "train.epochs must be a whole number, got '3'"),
        ("split.by=pateint", "Did you mean 'patient'?"),
        ("dataset.findings=Mass,Infiltraton", "Did you mean 'Infiltration'?"),
        ('dataset.findings=["Mass","mass"]', "names Mass more than once"),
        ("train.clip_norm=nan", "train.clip_norm must be a finite number"),
        ("train=3", "train must be a table, got 3"),
        ("evaluate.operating_point=youdin", "must be youden, sensitivity=0.9 or"),
        ("subset.prevalence=0.3", "needs finding"),
        ('subset.parts=["train","tset"]', "Did you mean 'test'?"),
        ("subset.parts=val,val", "names val more than once"),
        ("subset.parts=[]", "must name at least one of train, val, test"),
        ("subset.parts=3", "must be a list such as"),
        ("name=../elsewhere", "name must have letters, digits, dots"),
        ("train.epochs", "--set takes KEY=VALUE"),
    ],
)
def test_a_wrong_setting_is_refused_with_what_the_user_typed(override, message):
    with pytest.raises(RecipeError) as refused:
        load_recipe("demo", [override])
    assert message in str(refused.value)
    assert refused.value.exit_code == 2


def test_shares_of_patients_that_are_no_whole_are_refused():
    with pytest.raises(RecipeError, match="train \\+ val \\+ test = 1"):
        load_recipe("nih-14", ["split.train=0.9"])


def test_every_fault_of_a_recipe_is_named_at_once():
    with pytest.raises(RecipeError) as refused:
        checked_recipe({"train": {"epochs": 0, "batch": 3}, "imag": {}}, "mine.toml")
    for part in ("mine.toml", "train.epochs", "train.batch", "imag"):
        assert part in str(refused.value)


def test_paths_are_relative_to_the_recipe_and_overrides_to_the_working_directory(
    tmp_path, monkeypatch
):
    (tmp_path / "recipes").mkdir()
    (tmp_path / "elsewhere").mkdir()
    file = tmp_path / "recipes" / "mine.toml"
    file.write_text('[dataset]\nlabels = "../nih/labels.csv"\nimages = "images"\n')
    monkeypatch.chdir(tmp_path / "elsewhere")
    recipe = load_recipe(file, ["dataset.boxes=boxes.csv", "model.weights=../w.safetensors"])
    assert recipe.dataset.labels == tmp_path / "nih" / "labels.csv"
    assert recipe.dataset.images == tmp_path / "recipes" / "images"
    assert recipe.dataset.boxes == tmp_path / "elsewhere" / "boxes.csv"
    assert recipe.model.weights == str(tmp_path / "w.safetensors")


def test_the_names_of_weights_are_no_paths():
    assert load_recipe("nih-14", ["model.weights=none"]).model.weights == "none"
    assert load_recipe("nih-14").model.weights == "imagenet"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name = nih", "not valid TOML"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"[dataset]\nphantom = { patients = 10 }\nimages = 'x'\n", "not both"),
        (b"a = " + b"[" * 5000, "not valid TOML"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused_by_name(tmp_path, content, message):
    file = tmp_path / "broken.toml"
    file.write_bytes(content)
    with pytest.raises(RecipeError, match=message) as refused:
        load_recipe(file)
    assert "broken.toml" in str(refused.value)


@pytest.mark.parametrize(
    ("content", "remedy"),
    [
        (r'images = "C:\Users\me\nih"', r"in single quotes, 'C:\Users\me\nih'"),
        (r'[dataset]\nimages = "C:\nih"', "a backslash begins an escape"),
        ("name = nih", 'text needs quotes: name = "x"'),
        ("name = “nih”", "straight"),
        ("a = True", "TOML writes true in lower case"),
        ("a = None", "remove the line to use the default"),
        ("a = 0,1", "Use a decimal point: 0.1"),
        ("epochs: 3", "not KEY: VALUE"),
        ("a = 1\na = 2", "appears twice"),
        ("[training]\nepochs = 1", "Did you mean 'train'?"),
    ],
)
def test_the_remedy_for_a_file_fits_its_fault(tmp_path, content, remedy):
    file = tmp_path / "broken.toml"
    file.write_text(content.replace("[dataset]\\n", "[dataset]\n"))
    with pytest.raises(RecipeError) as refused:
        load_recipe(file)
    assert remedy in str(refused.value)


def test_an_unknown_recipe_names_those_that_are_there():
    with pytest.raises(RecipeError, match="Did you mean 'nih-mass'"):
        load_recipe("nih-mas")


def test_a_byte_order_mark_is_no_part_of_the_recipe(tmp_path):
    file = tmp_path / "bom.toml"
    file.write_bytes(b"\xef\xbb\xbfname = 'bom'\n")
    assert load_recipe(file).name == "bom"


recipes = st.builds(
    lambda epochs, rate, size, findings, loss, cap, clip: checked_recipe(
        {
            "train": {"epochs": epochs, "learning_rate": rate, "loss": loss}
            | ({"clip_norm": clip} if clip else {}),
            "image": {"size_px": size},
            "dataset": {"findings": list(findings)},
            "subset": {"max_images": cap} if cap else {},
        },
        "drawn",
    ),
    st.integers(1, 10_000),
    st.floats(1e-8, 10),
    st.integers(32, 1024),
    st.lists(st.sampled_from(FINDINGS), min_size=1, max_size=14, unique=True),
    st.sampled_from(["bce", "weighted-bce", "focal", "asymmetric"]),
    st.none() | st.integers(3, 10**9),
    st.none() | st.floats(1e-3, 1e6),
)


@given(recipes)
def test_a_recipe_survives_toml_unchanged(recipe):
    assert checked_recipe(tomllib.loads(recipe_toml(recipe)), "again") == recipe


@pytest.mark.parametrize("key", sorted(key for key in list_keys() if "datasets." not in key))
def test_every_list_can_be_written_by_commas(key):
    words = {"dataset.findings": "Mass,Nodule", "dataset.views": "PA,AP"}
    words |= {"subset.parts": "train,test", "train.trackers": "tensorboard,mlflow"}
    words |= {"evaluate.subgroups": "Scanner,Ward"}
    section, name = key.split(".")
    recipe = load_recipe("demo", [f"{key}={words[key]}"])
    assert getattr(getattr(recipe, section), name) == tuple(words[key].split(","))


@pytest.mark.parametrize("text", ['["val", "train"]', "val,train", "train, val"])
def test_the_parts_of_a_subset_are_a_list_in_any_order(text):
    recipe = load_recipe("nih-mass", [f"subset.parts={text}"])
    assert recipe.subset.parts == ("train", "val")
    assert 'parts = [\n    "train",\n    "val",\n]' in recipe_toml(recipe)
    assert Recipe().subset.parts == ("train", "val")


def recorded(folder, text):
    """A session's recipe.toml of that text, as far as a reader of recipes can tell."""
    folder.mkdir()
    (folder / "events.jsonl").touch()
    (folder / "recipe.toml").write_text(text)
    return folder / "recipe.toml"


def test_a_session_from_before_the_key_goes_on_with_all_three_parts(tmp_path):
    text = '[subset]\nfinding = "Mass"\nprevalence = 0.3\n'
    old = recorded(tmp_path / "old", text)
    new = recorded(tmp_path / "new", text + 'parts = ["train", "val"]\n')
    (tmp_path / "mine.toml").write_text(text)

    assert Session(old.parent).recipe.subset.parts == ("train", "val", "test")
    assert load_recipe(old).subset.parts == ("train", "val", "test")
    assert Session(new.parent).recipe.subset.parts == ("train", "val")
    assert load_recipe(tmp_path / "mine.toml").subset.parts == ("train", "val")


def test_going_on_with_a_session_from_before_the_key_is_no_change_of_recipe(tmp_path):
    session = Session(recorded(tmp_path / "old", '[subset]\nfinding = "Mass"\n').parent)
    (tmp_path / "mine.toml").write_text('[subset]\nfinding = "Mass"\n')
    silent = load_recipe(tmp_path / "mine.toml")
    says = load_recipe(tmp_path / "mine.toml", ["subset.parts=train,val"])

    assert not differences(session.recipe, session.in_its_sense(silent))
    assert list(differences(session.recipe, session.in_its_sense(says))) == ["subset.parts"]


def test_differences_name_the_keys_that_changed():
    before = Recipe()
    after = changed_recipe(before, ["train.epochs=3", "train.clip_norm=1.5"])
    assert differences(before, after) == {
        "train.epochs": (12, 3),
        "train.clip_norm": (None, 1.5),
    }


def test_every_field_of_the_form_has_its_help():
    def described(model):
        for field in model.model_fields.values():
            section = field.annotation
            if isinstance(section, type) and hasattr(section, "model_fields"):
                yield from described(section)
            else:
                yield bool(field.description)

    assert all(described(Recipe))
    assert "train.learning_rate" in set(known_keys())
