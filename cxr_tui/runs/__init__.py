"""A run, live, past or attached; no Textual."""
