"""One run as several processes: how they meet, communicate and notice a lost one."""
