"""A command line that isn't understood is answered with what was probably meant."""

import pytest

from cxr_tui.cli import main


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--batch demo --set image.size_px 64", "Write them as one: --set image.size_px=64"),
        ("--batch demo --set image.size_px = 64", "Write them as one: --set image.size_px=64"),
        ("audit demo --set image.size_px 64", "Write them as one: --set image.size_px=64"),
        ("train demo", "unknown command 'train'. To train: cxr-tui --batch demo"),
        ("train", "To train: cxr-tui --batch RECIPE"),
        ("demo", "To train it: cxr-tui --batch demo"),
        ("mine.toml", "To train it: cxr-tui --batch mine.toml"),
        ("resume mine", "It is an option: cxr-tui --resume"),
        ("evaluat x", "Did you mean 'evaluate'?"),
        ("nothing-like-it", "There are: audit, evaluate"),
        ("/etc", "To open a data set: --set dataset.images=/etc"),
        ("--sessions s /etc", "To open a data set: --set dataset.images=/etc"),
        ("audit /etc", "is a folder, not a recipe. Name a recipe, such as nih-14"),
        ("--batch /etc", "and change it: --set dataset.images=/etc"),
        ("--batch demo --epochs 3", "such as --set train.epochs=3"),
        ("--batch demo --lr=0.1", "such as --set train.learning_rate=0.1"),
        ("audit demo --batch-size 8", "such as --set train.batch_size=8"),
        ("sessions --foo", "unrecognized arguments: --foo"),
        ("--batch demo --set train.nope=3", "Known here: train.epochs, train.batch_size"),
        ("evaluate x --labels t.csv", "--labels and --test-list go with --predictions"),
        ("evaluate --predictions p --labels t --split val", "a file of predictions has no parts"),
    ],
)
def test_what_was_probably_meant_is_said(arguments, said, capsys):
    try:
        code = main(arguments.split())
    except SystemExit as left:
        code = left.code
    assert code == 2
    told = " ".join(capsys.readouterr().err.split())
    assert said in told
    assert "'train.optimizer'" not in told


def test_evaluate_takes_what_it_is_given_for_a_session_too(trained_dir, cache_dir, capsys):
    places = ["evaluate", str(trained_dir), "--cache", str(cache_dir), "--json"]
    assert main([*places, "--reference", "foo"]) == 2
    assert "unknown reference 'foo'" in capsys.readouterr().err
    assert main([*places, "--reference", "chexnet2017", "--bootstrap", "7", "--seed", "3"]) == 0
    out = capsys.readouterr().out
    assert '"draws": 7' in out
    assert '"seed": 3' in out
    assert "chexnet2017 is left blank" in out
    assert main(places) == 0
    assert '"draws": 20' in capsys.readouterr().out  # the session's own
