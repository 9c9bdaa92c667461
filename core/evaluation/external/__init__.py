"""A session's network on another data set than the one that it was trained on."""
