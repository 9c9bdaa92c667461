"""The image cache: decoded once, verified when read."""
