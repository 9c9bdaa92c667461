"""Weights that others have trained: which are known, where they lie, and how they are fetched."""
