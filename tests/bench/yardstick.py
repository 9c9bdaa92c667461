"""The script that people write: what ours is measured against.

    python tests/bench/yardstick.py IMAGES LABELS.csv [--steps 50]

DenseNet121 by torchvision, a DataLoader with workers that decodes each PNG in every epoch,
torchvision's transforms, fp32, BCELoss on a sigmoid, SGD, scikit-learn's AUC at the end. IMAGES is
searched for the PNG files that the label table (NIH's) names; the AUC is of the last fifth of them.
Of the project it takes the findings' names alone, and help with torchvision's import, which fails
beside a torch that was built for the CPU.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, RandomSampler

sys.path.insert(0, str(Path(__file__).parents[2]))

from core.findings import FINDINGS
from core.model.torchvision_shim import declare_missing_operators

declare_missing_operators()

from torchvision import transforms  # noqa: E402  (after the declaration above)
from torchvision.models import densenet121  # noqa: E402

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


class XrayFiles(Dataset):
    """Images by path, with their labels [N, F]."""

    def __init__(self, paths: Sequence[Path], labels_NF: np.ndarray, *, size_px: int, train: bool):
        self.paths = paths
        self.labels_NF = torch.as_tensor(labels_NF, dtype=torch.float32)
        flip = [transforms.RandomHorizontalFlip()] if train else []
        self.transform = transforms.Compose(
            [
                transforms.Resize((size_px, size_px)),
                *flip,
                transforms.ToTensor(),
                transforms.Normalize(MEAN, STD),
            ]
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        image = Image.open(self.paths[row]).convert("RGB")
        return self.transform(image), self.labels_NF[row]


class Script:
    """Network, loss, optimiser and loader, as the script sets them up."""

    def __init__(
        self, data: Dataset, *, batch_size: int, workers: int, num_findings: int, device: str
    ) -> None:
        self.device = torch.device(device)
        self.data, self.batch_size, self.workers = data, batch_size, workers
        network = densenet121(weights=None)
        network.classifier = nn.Sequential(
            nn.Linear(network.classifier.in_features, num_findings), nn.Sigmoid()
        )
        self.network = network.to(self.device)
        self.loss = nn.BCELoss()
        self.optimizer = torch.optim.SGD(
            network.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4
        )

    def batches(self, images: int) -> Iterator[tuple[Tensor, Tensor]]:
        """So many images at random, in batches; an epoch of a set that is large enough."""
        draw = RandomSampler(self.data, replacement=images > len(self.data), num_samples=images)
        return iter(
            DataLoader(
                self.data,
                batch_size=self.batch_size,
                sampler=draw,
                num_workers=self.workers,
                pin_memory=self.device.type == "cuda",
                drop_last=True,
            )
        )

    def step(self, images_B3HW: Tensor, labels_BF: Tensor) -> float:
        """One training step."""
        self.network.train()
        images_B3HW, labels_BF = images_B3HW.to(self.device), labels_BF.to(self.device)
        self.optimizer.zero_grad()
        loss = self.loss(self.network(images_B3HW), labels_BF)
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def images_per_second(self, steps: int) -> float:
        """Training at its throughput: the first batch, which starts the workers, is not counted."""
        # As many more batches as the workers hold ready: they work to the last step.
        ahead = 2 * self.workers
        batches = self.batches((steps + 1 + ahead) * self.batch_size)
        self.step(*next(batches))
        began = time.perf_counter()
        for _ in range(steps):
            self.step(*next(batches))
        seconds = time.perf_counter() - began
        del batches  # ends the workers
        return steps * self.batch_size / seconds

    def auc(self, data: Dataset) -> list[float]:
        """AUC of each finding that has both kinds of images."""
        self.network.eval()
        scores, labels = [], []
        with torch.no_grad():
            for images_B3HW, labels_BF in DataLoader(data, self.batch_size, num_workers=0):
                scores.append(self.network(images_B3HW.to(self.device)).cpu())
                labels.append(labels_BF)
        scores_NF, labels_NF = torch.cat(scores).numpy(), torch.cat(labels).numpy()
        return [
            roc_auc_score(label, score)
            for label, score in zip(labels_NF.T, scores_NF.T, strict=True)
            if 0 < label.sum() < len(label)
        ]


def main() -> None:
    """Train for some steps, print the rate and the AUC."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    found = {path.name: path for path in sorted(given.images.rglob("*.png"))}
    with given.labels.open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["Image Index"] in found]
    paths = [found[row["Image Index"]] for row in rows]
    labels_NF = np.array(
        [[name in row["Finding Labels"].split("|") for name in FINDINGS] for row in rows]
    )
    cut = len(rows) * 4 // 5
    train = XrayFiles(paths[:cut], labels_NF[:cut], size_px=given.size, train=True)
    test = XrayFiles(paths[cut:], labels_NF[cut:], size_px=given.size, train=False)
    script = Script(
        train,
        batch_size=given.batch,
        workers=given.workers,
        num_findings=len(FINDINGS),
        device=given.device,
    )
    print(f"{script.images_per_second(given.steps):.2f} images/s")
    print(f"mean AUC {np.mean(script.auc(test)):.3f}")


if __name__ == "__main__":
    main()
