import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from core.recipe import TrainSettings
from core.training.objectives import Objective, Schedule
from core.training.selection import findings_with_enough_patients, score_epoch

LOSSES = ["bce", "weighted-bce", "focal", "asymmetric"]


def labels_with_unknown(seed=0, images=200, findings=3):
    generator = torch.Generator().manual_seed(seed)
    labels = (torch.rand(images, findings, generator=generator) < 0.2).float()
    labels[torch.rand(images, findings, generator=generator) < 0.1] = float("nan")
    return labels


@pytest.mark.parametrize("loss", LOSSES)
def test_an_unknown_label_costs_nothing_and_moves_nothing(loss):
    labels = labels_with_unknown()
    logits = torch.randn(200, 3, requires_grad=True)
    objective = Objective.of(TrainSettings(loss=loss), labels)
    losses = objective.losses(logits, labels)
    losses.sum().backward()
    unknown = labels.isnan()
    assert (losses[unknown] == 0).all()
    assert (logits.grad[unknown] == 0).all()
    assert logits.grad.isfinite().all()
    assert (losses[~unknown] >= 0).all()


def test_plain_cross_entropy_is_torchs():
    labels = (torch.rand(50, 3) < 0.5).float()
    logits = torch.randn(50, 3) * 4
    ours = Objective.of(TrainSettings(loss="bce"), labels).mean_loss(logits, labels)
    theirs = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels)
    assert ours == pytest.approx(float(theirs), rel=1e-5)


def test_a_focus_of_zero_is_plain_cross_entropy():
    labels = (torch.rand(50, 3) < 0.5).float()
    logits = torch.randn(50, 3)
    plain = Objective.of(TrainSettings(loss="bce"), labels).losses(logits, labels)
    focal = Objective.of(TrainSettings(loss="focal", focal_gamma=0), labels)
    assert torch.allclose(focal.losses(logits, labels), plain, atol=1e-6)


def test_weights_by_prevalence_give_both_classes_the_same_say():
    labels = labels_with_unknown(images=1000)
    objective = Objective.of(TrainSettings(loss="weighted-bce"), labels)
    losses = objective.losses(torch.zeros(1000, 3), labels)
    for column in range(3):
        positive = losses[labels[:, column] == 1, column].sum()
        negative = losses[labels[:, column] == 0, column].sum()
        assert float(positive) == pytest.approx(float(negative), rel=1e-3)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("logit", [-200.0, -60.0, 0.0, 60.0, 200.0])
def test_extreme_logits_have_finite_losses_and_gradients(loss, logit):
    labels = torch.tensor([[1.0], [0.0]])
    logits = torch.full((2, 1), logit, requires_grad=True)
    settings = TrainSettings(loss=loss, focal_gamma=0.5)
    losses = Objective.of(settings, labels).losses(logits, labels)
    losses.sum().backward()
    assert losses.isfinite().all()
    assert logits.grad.isfinite().all()


def exact_gradient(loss, logit, present, gamma, margin):
    """Of the published formula, by central differences in 60 digits."""
    with localcontext() as context:
        context.prec = 60

        def cost(x):
            probability = 1 / (1 + (-x).exp())
            if loss == "asymmetric":
                shifted = max(probability - Decimal(str(margin)), Decimal(0))
                return -(shifted ** Decimal(gamma)) * (1 - shifted).ln()
            right = probability if present else 1 - probability
            return -((1 - right) ** Decimal(gamma)) * right.ln()

        x, step = Decimal(logit), Decimal("1e-20")
        return float((cost(x + step) - cost(x - step)) / (2 * step))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("margin", [0.0, 0.05, 1e-8])
@pytest.mark.parametrize("logit", [-30, -1, 2, 10, 14, 17, 20, 40])
def test_the_asymmetric_gradient_is_the_formulas_however_wrong_the_logit(logit, margin, dtype):
    settings = TrainSettings(loss="asymmetric", asymmetric_gamma=4, asymmetric_margin=margin)
    logits = torch.full((1, 1), float(logit), dtype=dtype, requires_grad=True)
    Objective.of(settings, torch.zeros(1, 1)).of_absent(logits).sum().backward()
    exact = exact_gradient("asymmetric", logit, False, 4, margin)
    assert float(logits.grad) == pytest.approx(exact, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("present", [True, False])
@pytest.mark.parametrize("logit", [-40, -10, 1, 20, 40])
def test_the_focal_gradient_is_the_formulas_however_wrong_the_logit(logit, present, dtype):
    logits = torch.full((1, 1), float(logit), dtype=dtype, requires_grad=True)
    objective = Objective.of(TrainSettings(loss="focal", focal_gamma=2), torch.zeros(1, 1))
    (objective.of_present if present else objective.of_absent)(logits).sum().backward()
    exact = exact_gradient("focal", logit, present, 2, 0)
    assert float(logits.grad) == pytest.approx(exact, rel=1e-4, abs=1e-6)


@given(st.integers(1, 400), st.integers(1, 400))
def test_the_base_rate_of_cross_entropy_is_the_entropy_of_the_prevalence(positives, negatives):
    labels = torch.cat([torch.ones(positives, 1), torch.zeros(negatives, 1)])
    p = positives / (positives + negatives)
    entropy = -p * math.log(p) - (1 - p) * math.log(1 - p)
    base = Objective.of(TrainSettings(), labels).base_rate_loss(labels)
    assert base == pytest.approx(entropy, abs=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
def test_no_constant_answer_beats_the_base_rate(loss):
    labels = labels_with_unknown()
    objective = Objective.of(TrainSettings(loss=loss), labels)
    base = objective.base_rate_loss(labels)
    tried = [
        objective.mean_loss(torch.full((200, 3), value), labels)
        for value in np.linspace(-8, 8, 161)
    ]
    assert base <= min(tried) + 1e-6
    assert base > 0


@pytest.mark.parametrize("loss", ["bce", "weighted-bce", "focal", "asymmetric"])
def test_a_weight_is_worth_so_many_copies_of_its_image(loss):
    labels_NF = labels_with_unknown(images=60)
    logits_NF = torch.randn(60, 3, generator=torch.Generator().manual_seed(5))
    objective = Objective.of(TrainSettings(loss=loss), labels_NF)
    copies_N = torch.arange(60) % 4 + 1
    labels_MF, logits_MF = (rows.repeat_interleave(copies_N, 0) for rows in (labels_NF, logits_NF))

    weighed = objective.mean_loss(logits_NF, labels_NF, copies_N.double())
    base = objective.base_rate_loss(labels_NF, copies_N.double())

    assert weighed == pytest.approx(objective.mean_loss(logits_MF, labels_MF), rel=1e-5)
    assert base == pytest.approx(objective.base_rate_loss(labels_MF), rel=1e-9)
    assert weighed != pytest.approx(objective.mean_loss(logits_NF, labels_NF), rel=1e-3)


def test_a_set_without_a_known_label_has_no_base_rate():
    labels = torch.full((4, 2), float("nan"))
    assert Objective.of(TrainSettings(), labels).base_rate_loss(labels) is None


def test_the_base_rates_of_nih_are_the_published_ones(nih_dir):
    from core.data.tables.image_lists import read_image_list
    from core.data.tables.label_table import read_label_table

    table = read_label_table(nih_dir / "Data_Entry_2017_v2020.csv")
    for name, expected in (("train_val_list.txt", 0.1634), ("test_list.txt", 0.2417)):
        listed = set(read_image_list(nih_dir / name).line_of)
        rows = [i for i, image in enumerate(table.images_N) if image in listed]
        labels = torch.from_numpy(table.labels_NA[rows])
        base = Objective.of(TrainSettings(), labels).base_rate_loss(labels)
        assert base == pytest.approx(expected, abs=5e-5)


def rates(schedule, steps):
    return [schedule.rate(step) for step in range(steps)]


def test_a_constant_rate_is_constant():
    schedule = Schedule(TrainSettings(schedule="constant", learning_rate=0.5), 10)
    assert set(rates(schedule, 50)) == {0.5}


def test_warm_up_climbs_to_the_peak_and_cosine_falls_to_nearly_nothing():
    settings = TrainSettings(schedule="cosine", learning_rate=1.0, epochs=4, warmup_epochs=0.5)
    seen = rates(Schedule(settings, 10), 40)
    assert seen[:5] == sorted(seen[:5])
    assert max(seen) == pytest.approx(1.0)
    assert seen[5:] == sorted(seen[5:], reverse=True)
    assert 0 < seen[-1] < 0.01


def test_only_a_cosine_rate_that_was_under_way_moves_with_the_number_of_epochs():
    before = TrainSettings(schedule="cosine", epochs=2, warmup_epochs=0)
    longer = Schedule(TrainSettings(schedule="cosine", epochs=5, warmup_epochs=0), 10)
    assert "jumps up" in longer.stretched_from(before, step=10)
    assert longer.stretched_from(before, step=0) is None
    assert longer.stretched_from(longer.settings, step=10) is None
    constant = Schedule(TrainSettings(schedule="constant", epochs=5), 10)
    assert constant.stretched_from(before, step=10) is None


def test_a_plateau_cuts_the_rate_once_patience_is_over():
    settings = TrainSettings(plateau_patience=1, plateau_factor=0.1, learning_rate=1.0)
    schedule = Schedule(settings, 10)
    cuts = [schedule.after_epoch(loss) for loss in (1.0, 0.9, 0.95, 0.95, 0.95, 0.95)]
    assert cuts == [False, False, False, True, False, True]
    assert schedule.rate(60) == pytest.approx(0.01)


def test_a_schedule_goes_on_from_its_state():
    settings = TrainSettings(plateau_patience=0, learning_rate=1.0)
    schedule = Schedule(settings, 10)
    for loss in (1.0, 1.1):
        schedule.after_epoch(loss)
    again = Schedule(settings, 10)
    again.restore(schedule.state())
    assert again == schedule


def test_a_loss_that_is_not_a_number_never_counts_as_better():
    schedule = Schedule(TrainSettings(plateau_patience=0), 10)
    assert schedule.after_epoch(math.nan)


def test_the_best_epoch_is_chosen_over_findings_with_enough_patients():
    settings = TrainSettings(min_positive_patients=2)
    labels = np.array([[1, 1], [1, 0], [0, 1], [0, 0]], dtype=np.float32)
    patients = np.array([1, 2, 1, 4])
    enough = findings_with_enough_patients(("Mass", "Hernia"), labels, patients, 2)
    assert enough == ("Mass",)
    score = score_epoch(settings, {"Mass": 0.7, "Hernia": 0.1}, 0.5, enough)
    assert (score.score, score.findings) == (0.7, ("Mass",))


def test_without_enough_patients_val_loss_decides_and_says_so():
    score = score_epoch(TrainSettings(), {"Mass": 0.7}, 0.5, ())
    assert (score.score, score.rule) == (-0.5, "val loss")
    better = score_epoch(TrainSettings(), {"Mass": 0.2}, 0.4, ())
    assert better.beats(score.score, score.rule)
    worse = score_epoch(TrainSettings(), {"Mass": None}, math.nan, ())
    assert not worse.beats(score.score, score.rule)
