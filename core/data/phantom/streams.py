"""Random streams: each patient and each image has its own, independent of the order.

Keys divide a stream, one for each kind of draw, so that an image with a finding and the same image
without it differ by that finding alone. NumPy pads entropy with zeros, so a patient's stream and
the stream of its follow-up 0 are the same: their keys must differ.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Key(IntEnum):
    """What is drawn from a stream."""

    # of the cohort
    PARTS = 0
    # of an image
    POSE = 1
    MARKS = 2
    EXPOSURE = 3
    LESIONS = 4
    # of a patient
    PERSON = 11
    FRAME = 12
    VESSELS = 13
    SITES = 14
    VISITS = 15


def cohort_stream(seed: int) -> np.random.SeedSequence:
    """The stream for all patients together."""
    return np.random.SeedSequence([seed])


def patient_stream(seed: int, patient: int) -> np.random.SeedSequence:
    """The stream of a patient; numbers start at 1."""
    return np.random.SeedSequence([seed, patient])


def image_stream(seed: int, patient: int, follow_up: int) -> np.random.SeedSequence:
    """The stream of one image."""
    return np.random.SeedSequence([seed, patient, follow_up])


def generator(stream: np.random.SeedSequence, key: Key, part: int = 0) -> np.random.Generator:
    """The generator for one key of a stream; ``part`` numbers its parts."""
    child = np.random.SeedSequence(stream.entropy, spawn_key=(int(key), part))
    return np.random.default_rng(child)
