"""The terminal: graphics, safe text, stdout and stderr."""
