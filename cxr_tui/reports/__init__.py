"""Figures as rows and words; no Textual."""
