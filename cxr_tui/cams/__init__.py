"""6 CAMs: the screen and its own parts."""
