"""Runs that wait their turn: entries under the sessions' folder, taken by one worker each."""
