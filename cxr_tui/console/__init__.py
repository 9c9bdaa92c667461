"""What every screen stands on: the screen's base, dialogs, top and foot line, themes."""
