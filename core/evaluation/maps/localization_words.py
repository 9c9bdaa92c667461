"""Names and labels of the controls; imports no torch, so that screens can use them."""

from __future__ import annotations

RANDOM, USUAL_PLACE, OTHER_IMAGE = "random", "usual_place", "other_image"
CONTROLS = (RANDOM, USUAL_PLACE, OTHER_IMAGE)
BEST_PLACE = "best_place"
"""A bound shown with the controls: the hits of one place chosen with these very boxes."""

CONTROL_WORDS = {
    RANDOM: "a random point",
    OTHER_IMAGE: "another image's map",
    USUAL_PLACE: "the place with most boxes of other patients",
}
"""For sentences."""

CONTROL_LABELS = CONTROL_WORDS | {USUAL_PLACE: "where most boxes are"}
"""For a column of 24 characters."""
