"""The terminal: what it can show, and what may be written to it."""
