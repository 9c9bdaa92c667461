"""What is kept on disk: sessions and checkpoints."""
