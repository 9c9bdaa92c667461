"""3 Recipe: the screen and its own parts."""
