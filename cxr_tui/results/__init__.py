"""5 Results: the screen and its own parts."""
