"""1 Sessions: the screen and its own parts."""
