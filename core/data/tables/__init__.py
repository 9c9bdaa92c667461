"""Label tables, boxes and lists, in the formats that data sets are published in."""
