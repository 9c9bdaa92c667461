"""The console's app: modes, keys, palette, quitting and signals."""
