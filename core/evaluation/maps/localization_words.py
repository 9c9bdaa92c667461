"""The controls' names and words; needs no torch, so that screens can say them too."""

from __future__ import annotations

RANDOM, USUAL_PLACE, OTHER_IMAGE = "random", "usual_place", "other_image"
CONTROLS = (RANDOM, USUAL_PLACE, OTHER_IMAGE)
BEST_PLACE = "best_place"
"""A bound beside the controls: what one place hits that was chosen with these very boxes."""

CONTROL_WORDS = {
    RANDOM: "a random point",
    OTHER_IMAGE: "another image's map",
    USUAL_PLACE: "the place with most boxes of other patients",
}
"""In sentences."""

CONTROL_LABELS = CONTROL_WORDS | {USUAL_PLACE: "where most boxes are"}
"""In a column of 24 characters."""
