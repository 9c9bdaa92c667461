"""Trackers: a session's events as TensorBoard's files and MLflow's runs."""
