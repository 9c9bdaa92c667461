"""Where the network looks: maps, overlays, and their agreement with boxes."""
