"""One file a part of a screen."""
