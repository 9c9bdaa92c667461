"""Losses (unknown labels are masked), optimisers, schedules."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.recipe import TrainSettings


@dataclass(frozen=True)
class Objective:
    """A loss on logits, element by element; unknown labels have zero loss.

    ``positive_weight_F`` and ``negative_weight_F`` are per finding; all ones except for
    weighted-bce.
    """

    settings: TrainSettings
    positive_weight_F: Tensor
    negative_weight_F: Tensor

    @classmethod
    def of(cls, settings: TrainSettings, train_labels_NF: Tensor) -> Objective:
        """The recipe's loss, with weights from the training part if it uses any.

        weighted-bce weights positives by the share of negatives and vice versa (Rajpurkar et al.
        2017, CheXNet, equation 1).
        """
        num_findings = train_labels_NF.shape[1]
        ones_F = torch.ones(num_findings)
        if settings.loss != "weighted-bce":
            return cls(settings, ones_F, ones_F)
        prevalence_F = train_labels_NF.nanmean(dim=0).nan_to_num(0.5)
        return cls(settings, 1 - prevalence_F, prevalence_F)

    def to(self, device: torch.device) -> Objective:
        """The same objective with its weights on the device."""
        return Objective(
            self.settings, self.positive_weight_F.to(device), self.negative_weight_F.to(device)
        )

    def losses(self, logits_BF: Tensor, labels_BF: Tensor) -> Tensor:
        """Loss of each image and finding [B, F]; 0 where the label is unknown (NaN)."""
        known_BF = ~labels_BF.isnan()
        # where() alone would let NaN into the gradient, so unknown labels become 0 first.
        present_BF = labels_BF.nan_to_num(0.0)
        losses_BF = present_BF * self.of_present(logits_BF) * self.positive_weight_F
        losses_BF = (
            losses_BF + (1 - present_BF) * self.of_absent(logits_BF) * self.negative_weight_F
        )
        return torch.where(known_BF, losses_BF, torch.zeros_like(losses_BF))

    def of_present(self, logits: Tensor) -> Tensor:
        """Loss of a logit whose finding is present, before weights."""
        cost = functional.softplus(-logits)
        if self.settings.loss == "focal":  # Lin et al. 2017, without alpha
            # sigmoid(-x) ** gamma, whose slope stays finite where the sigmoid is rounded to 0.
            cost = cost * torch.exp(-self.settings.focal_gamma * functional.softplus(logits))
        return cost

    def of_absent(self, logits: Tensor) -> Tensor:
        """Loss of a logit whose finding is absent, before weights."""
        if self.settings.loss == "asymmetric":  # Ridnik et al. 2021, positives unfocused
            margin = self.settings.asymmetric_margin
            focus = (torch.sigmoid(logits) - margin).clamp(min=0) ** self.settings.asymmetric_gamma
            # log(1 - (p - margin)) is log(sigmoid(-x) + margin): computed from the logit, it keeps
            # rising where p is rounded to 1, and so does the gradient of a confident mistake.
            log_margin = torch.full_like(logits, math.log(margin) if margin else -math.inf)
            log_absent = torch.logaddexp(functional.logsigmoid(-logits), log_margin)
            return -focus * log_absent.clamp(max=0)
        cost = functional.softplus(logits)
        if self.settings.loss == "focal":
            cost = cost * torch.exp(-self.settings.focal_gamma * functional.softplus(-logits))
        return cost

    def mean_loss(
        self, logits_NF: Tensor, labels_NF: Tensor, weights_N: Tensor | None = None
    ) -> float:
        """Mean over known labels, weighted by image; NaN if there are none."""
        if weights_N is None:
            known = int((~labels_NF.isnan()).sum())
            return float(self.losses(logits_NF, labels_NF).sum()) / known if known else math.nan
        weights_N1 = weights_N.double().unsqueeze(1)
        total = float((~labels_NF.isnan() * weights_N1).sum())
        weighed = float((self.losses(logits_NF, labels_NF) * weights_N1).sum())
        return weighed / total if total else math.nan

    def base_rate_loss(self, labels_NF: Tensor, weights_N: Tensor | None = None) -> float | None:
        """Loss of the best constant prediction of each finding, found numerically.

        For plain cross entropy that constant is the prevalence; for the other losses it is not.
        Mean over known labels, weighted by image; None if there are none.
        """
        logits_K1 = torch.linspace(-16, 16, 6401, dtype=torch.float64).unsqueeze(1)
        weights_N1 = 1 if weights_N is None else weights_N.double().unsqueeze(1)
        known_NF = ~labels_NF.isnan() * weights_N1
        present_F = (labels_NF.nan_to_num(0.0) * known_NF).sum(dim=0)
        absent_F = ((1 - labels_NF.nan_to_num(0.0)) * known_NF).sum(dim=0)
        total_KF = present_F * self.positive_weight_F.double() * self.of_present(logits_K1)
        total_KF = total_KF + absent_F * self.negative_weight_F.double() * self.of_absent(logits_K1)
        known = float((present_F + absent_F).sum())
        return float(total_KF.min(dim=0).values.sum()) / known if known else None


_FUSED_ON = frozenset({"cpu", "cuda"})
"""Devices where the fused optimiser is worthwhile: one kernel updates all weights, twice as fast on
a CPU, and can be told on the device to skip the update."""


def make_optimizer(
    model: nn.Module, settings: TrainSettings, *, fused: bool | None = None
) -> torch.optim.Optimizer:
    """SGD with momentum, or AdamW without decay on biases and batch norms.

    Fused on devices that do it well, unless ``fused`` says otherwise.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if fused is None:
        fused = all(parameter.device.type in _FUSED_ON for parameter in parameters)
    if settings.optimizer == "sgd":
        optimizer = torch.optim.SGD(
            parameters,
            lr=settings.learning_rate,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
            fused=fused,
        )
        if settings.momentum:
            for parameter in parameters:
                # A skipped first fused step would leave the momentum buffer uninitialised.
                optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        return optimizer
    decayed = [parameter for parameter in parameters if parameter.ndim > 1]
    plain = [parameter for parameter in parameters if parameter.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": settings.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=fused)


def is_fused(optimizer: torch.optim.Optimizer) -> bool:
    """Whether one kernel makes the update and accepts ``found_inf``."""
    return bool(optimizer.defaults.get("fused"))


@dataclass
class Schedule:
    """The learning rate as a function of the step and the past val losses.

    Warm-up is linear; cosine then decays to zero over the run (Loshchilov and Hutter
    2017, without restarts); plateau multiplies by ``plateau_factor`` after more than
    ``plateau_patience`` epochs without a better val loss.
    """

    settings: TrainSettings
    steps_per_epoch: int
    factor: float = 1.0
    best_val_loss: float = math.inf
    epochs_without_better: int = 0

    def rate(self, step: int) -> float:
        """Learning rate of optimiser step ``step``, counted from 0."""
        peak = self.settings.learning_rate * self.factor
        warmup = round(self.settings.warmup_epochs * self.steps_per_epoch)
        if step < warmup:
            return peak * (step + 1) / (warmup + 1)
        if self.settings.schedule != "cosine":
            return peak
        total = max(1, self.settings.epochs * self.steps_per_epoch - warmup)
        return peak * 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / total)))

    def stretched_from(self, before: TrainSettings, step: int) -> str | None:
        """How the rate at ``step`` changes if the run had another number of epochs before.

        None if no step was taken yet, or if the schedule doesn't depend on the number of epochs.
        """
        if self.settings.schedule != "cosine" or before.epochs == self.settings.epochs or not step:
            return None
        last = dataclasses.replace(self, settings=before).rate(step - 1)
        now = self.rate(step)
        how = "jumps up" if now > last else "falls"
        return (
            f"train.epochs changed from {before.epochs} to {self.settings.epochs}: with "
            f"train.schedule=cosine the learning rate {how} from {last:.3g} to {now:.3g} and ends "
            f"at 0 after epoch {self.settings.epochs}; a run planned that way has other rates "
            f"up to step {step:,}"
        )

    def after_epoch(self, val_loss: float) -> bool:
        """Update the schedule with an epoch's val loss; True if the rate was cut."""
        if val_loss < self.best_val_loss * (1 - 1e-4):
            self.best_val_loss, self.epochs_without_better = val_loss, 0
            return False
        self.epochs_without_better += 1
        if self.settings.schedule != "plateau":
            return False
        if self.epochs_without_better <= self.settings.plateau_patience:
            return False
        self.factor *= self.settings.plateau_factor
        self.epochs_without_better = 0
        return True

    def state(self) -> dict[str, Any]:
        """State for a checkpoint, as JSON."""
        best = self.best_val_loss if math.isfinite(self.best_val_loss) else None
        return {
            "factor": self.factor,
            "best_val_loss": best,
            "epochs_without_better": self.epochs_without_better,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Restore the state of ``state()``."""
        self.factor = float(state["factor"])
        best = state["best_val_loss"]
        self.best_val_loss = math.inf if best is None else float(best)
        self.epochs_without_better = int(state["epochs_without_better"])
