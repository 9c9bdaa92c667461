"""Whether one run, or one recipe, is better than another on the same test images."""
