"""4 Training: the screen and its own parts."""
