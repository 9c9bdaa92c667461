"""Image files and archives: where they are, and how they become grey pixels."""
