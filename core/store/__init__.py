"""Sessions and checkpoints on disk."""
