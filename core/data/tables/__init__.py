"""Label tables, boxes and lists as the collections publish them."""
