"""6 CAMs: the screen and its parts."""
