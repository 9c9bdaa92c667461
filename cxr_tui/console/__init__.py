"""What all screens share: their base class, dialogs, top and foot line, themes."""
