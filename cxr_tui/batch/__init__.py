"""A run with no screen."""
