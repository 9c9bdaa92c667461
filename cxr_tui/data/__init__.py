"""2 Data: the screen and its own parts."""
