"""Find image files and archives, and decode them to grey pixels."""
