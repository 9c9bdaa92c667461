"""5 Results: the screen and its parts."""
