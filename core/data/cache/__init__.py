"""Images as bytes on a disk: decoded once, checked when they are read."""
