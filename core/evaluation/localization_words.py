"""The controls' names and words; needs no torch, so that screens can say them too."""

from __future__ import annotations

RANDOM, MEAN_BOX, OTHER_IMAGE = "random", "mean_box", "other_image"
CONTROLS = (RANDOM, MEAN_BOX, OTHER_IMAGE)

CONTROL_WORDS = {
    RANDOM: "a random point",
    OTHER_IMAGE: "another image's map",
    MEAN_BOX: "other patients' mean box",
}
