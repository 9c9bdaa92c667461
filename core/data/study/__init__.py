"""Tables and images together: which image is in which part, and what is wrong with it."""
