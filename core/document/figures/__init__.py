"""A report's charts as inline SVG."""
