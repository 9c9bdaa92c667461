"""Training: steps, epochs, and what surrounds them."""
