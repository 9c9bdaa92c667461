"""4 Training: the screen and its parts."""
