"""3 Recipe: the screen and its parts."""
