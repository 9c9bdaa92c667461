"""What a probability means: calibration, recalibration, decision curves, other prevalences."""
