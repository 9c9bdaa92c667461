"""What the data set was, how it was divided, and which network was trained on it."""

from __future__ import annotations

from core.document.blocks import Block, Pairs, Words
from core.document.facts import Facts
from core.document.values import number, percent, rows, text
from core.recipe import SplitSettings


def data_blocks(facts: Facts) -> list[Block]:
    """The label table, its digests, the labels' policy, and the split."""
    described = facts.described
    share = number(described.get("share_of_table"))
    pairs = [
        ("label table", text(described.get("label_table"))),
        ("format", text(described.get("table_version"))),
        ("findings", ", ".join(facts.findings)),
        ("split", _split(facts.recipe.split)),
        ("disjoint by", "patient; a patient in two parts stops a run"),
        ("images found", "" if share is None else f"{percent(share)} of the table"),
        ("fingerprint", text(described.get("fingerprint"))),
        ("labels, SHA-256", text(described.get("label_table_sha256"))),
    ]
    blocks: list[Block] = [Pairs("", tuple((name, value) for name, value in pairs if value))]
    lines = [
        text(facts.report.get("labels_note")),
        *map(str, rows(facts.report.get("label_policy"))),
    ]
    return [*blocks, Words(tuple(line for line in lines if line), "Labels", is_list=True)]


def model_pairs(facts: Facts) -> Pairs:
    """The network, its input, its weights at the start, and which checkpoint was scored."""
    recipe, model, best = facts.recipe, facts.history.model, facts.history.best
    size = recipe.image.size_px
    pairs = [
        ("network", "DenseNet121, one logit a finding"),
        ("input", f"{size} × {size} px, grey rule {recipe.image.grey}"),
        ("output", f"{len(facts.findings)} probabilities; one network, no ensemble"),
        ("weights at the start", _weights(facts)),
        ("loss", recipe.train.loss),
        ("optimiser", f"{recipe.train.optimizer}, rate {recipe.train.learning_rate:g}"),
        ("precision", model.precision if model is not None else ""),
        ("epoch scored", "" if best is None else f"{best.epoch}, the best on val"),
        ("chosen by", f"{recipe.train.select_best} on val"),
    ]
    return Pairs("", tuple((name, value) for name, value in pairs if value))


def _weights(facts: Facts) -> str:
    model = facts.history.model
    if model is None:
        return ""
    return f"{model.weights}; {model.matched_tensors:,} of {model.total_tensors:,} tensors matched"


def _split(split: SplitSettings) -> str:
    if split.by == "patient":
        return (
            f"by patient, {split.train:g} / {split.val:g} / {split.test:g} of the patients, "
            f"seed {split.seed}"
        )
    where = "official lists" if split.by == "official" else "lists of the recipe"
    return f"{where}; {split.val:g} of train_val's patients moved to val, seed {split.seed}"
