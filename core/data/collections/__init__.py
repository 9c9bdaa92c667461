"""Public collections of chest X-rays, one module each, and tables of one's own."""
