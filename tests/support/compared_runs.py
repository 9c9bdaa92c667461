"""Sessions and predictions to compare, drawn instead of trained."""

from dataclasses import replace

import numpy as np
from simulated_patients import simulated

from core.evaluation.predictions import Predictions, write_predictions
from core.recipe_toml import load_recipe
from core.store.sessions import create_session

FINDINGS = ("Effusion", "Mass", "Nodule")
PREVALENCE = np.array([0.15, 0.1, 0.08])


def truth(patients=200, seed=0, auroc=0.85, findings=FINDINGS):
    """Predictions of one network on images of so many patients, with labels."""
    rng = np.random.default_rng(seed)
    drawn = simulated(rng, patients, PREVALENCE[: len(findings)], np.full(len(findings), auroc))
    return Predictions(
        images=np.array([f"{n:08d}_000.png" for n in range(len(drawn.patients_N))], dtype=object),
        patients=drawn.patients_N + 1,
        findings=tuple(findings),
        labels_NF=drawn.labels_NF,
        scores_NF=as_probability(drawn.scores_NF),
    )


def as_probability(scores_NF):
    return 1 / (1 + np.exp(1 - scores_NF))


def another(predictions, seed, noise=0.5):
    """Another network's scores of the same images: the same logits with noise of its own."""
    rng = np.random.default_rng(seed)
    logits_NF = np.log(predictions.scores_NF / (1 - predictions.scores_NF))
    noisy_NF = logits_NF + noise * rng.normal(size=logits_NF.shape)
    return replace(predictions, scores_NF=1 / (1 + np.exp(-noisy_NF)))


def session(folder, name, test, val=None, settings=()):
    """A finished session's folder, with these predictions."""
    made = create_session(folder, load_recipe("demo", list(settings)), name)
    write_predictions(made.predictions / "test.csv", test)
    rows = zip(test.images, test.patients, strict=True)
    lines = ["Image Index,Patient ID,split", *(f"{name},{owner},test" for name, owner in rows)]
    (made.path / "split.csv").write_text("\n".join(lines) + "\n")
    if val is not None:
        write_predictions(made.predictions / "val.csv", val)
    return made
