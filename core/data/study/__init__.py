"""Tables and images joined: which image is in which part, and problems with them."""
