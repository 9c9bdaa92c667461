"""A session's network on images that somebody names."""
