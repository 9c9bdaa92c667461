"""One training step: backward, its engines, and giving way to less memory."""
