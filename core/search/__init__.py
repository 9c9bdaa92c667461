"""Search a recipe's keys for a better val AUROC, on Optuna; test is never opened.

A search is an Optuna study whose trials are ordinary sessions. What a killed process had begun goes
on, because a trial's session has a fixed name and a lock says whether its process still lives.
"""
