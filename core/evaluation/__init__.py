"""Predictions -> honest figures."""
