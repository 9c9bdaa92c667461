"""2 Data: the screen and its parts."""
