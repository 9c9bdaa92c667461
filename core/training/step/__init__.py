"""One training step: backward, its engines, and falling back when memory runs out."""
