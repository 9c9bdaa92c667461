"""Whether a run may be resumed, and from where."""
