"""One run as several processes: how they meet, what they say, who is lost."""
