"""A network's scores of another data set's images, decoded as those that it was trained on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from core.data.batches import Part
from core.data.cache.cache import ImageCache, IngestProgress, open_cache
from core.errors import StoppedError
from core.evaluation.external.external_data import ExternalData, refuse_nothing_to_measure
from core.evaluation.predict import part_predictions, predict_logits
from core.evaluation.predicting.predictor import Predictor
from core.evaluation.predictions import Predictions
from core.model.memory import memory_errors_named
from core.model.precision import without_shortcuts


@dataclass(frozen=True, eq=False)
class DecodedData:
    """A data set's images in the cache.

    Attributes:
        rows_N: those of the index that have pixels.
    """

    data: ExternalData
    cache: ImageCache
    rows_N: NDArray[np.int64]


def decode_external(
    data: ExternalData,
    predictor: Predictor,
    cache_folder: Path,
    progress: Callable[[IngestProgress], None] | None = None,
) -> DecodedData:
    """The images at the size, resize and grey rule of the session, decoded now if need be.

    Raises:
        DataError: too many can't be decoded (``dataset.max_quarantined_share``), or what is left
            can't be measured; see ``open_cache``.
    """
    rule = predictor.rule
    names = [str(name) for name in data.index.images[data.rows_N]]
    cache = open_cache(
        cache_folder,
        data.index.files,
        names,
        size_px=rule.size_px,
        resize=rule.resize,
        rule=rule.grey,
        max_quarantined_share=data.recipe.dataset.max_quarantined_share,
        progress=progress,
    )
    has_pixels = [name not in cache.quarantined for name in names]
    rows_N = data.rows_N[np.asarray(has_pixels, dtype=bool)]
    refuse_nothing_to_measure(data, rows_N)
    return DecodedData(data, cache, rows_N)


def score_external(
    decoded: DecodedData, predictor: Predictor, progress: Callable[[int], None] = lambda _: None
) -> Predictions:
    """Labels and probabilities of the findings in common, in fp32.

    Raises:
        RunFailedError: memory doesn't suffice for a single image.
    """
    data, rows_N = decoded.data, decoded.rows_N
    index = data.index
    images_N = index.images[rows_N]
    part = Part(
        name=data.part,
        cache=decoded.cache,
        cache_rows_N=decoded.cache.rows_of(images_N.tolist()),
        index_rows_N=rows_N,
        images_N=images_N,
        patients_N=index.patients[rows_N],
        labels_NF=index.labels_NF[rows_N],
    )

    def goes_on(done: int) -> bool:
        progress(done)
        return True

    with without_shortcuts(predictor.placement.device), memory_errors_named():
        logits_NF = predict_logits(
            predictor.model,
            part,
            predictor.placement,
            batch_size=predictor.batch_size,
            progress=goes_on,
        )
    if logits_NF is None:
        raise StoppedError("asked to stop while scoring")
    ours_NF: Tensor = logits_NF[:, data.columns_of(predictor.findings)]
    return part_predictions(part, data.findings, ours_NF)
