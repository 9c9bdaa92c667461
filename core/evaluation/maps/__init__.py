"""Where the network looks: maps, overlays, and how well they meet boxes."""
