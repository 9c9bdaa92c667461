"""A run, live, past or attached to; no Textual."""
