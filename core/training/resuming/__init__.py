"""Whether a run may go on with what it finds, and where from."""
