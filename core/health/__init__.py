"""Why the network is not learning: small checks, each a pure function of what was observed.

A check returns a ``Diagnosis``: one sentence on what is wrong, the evidence as numbers, and a
remedy, where possible as a change to the recipe. A healthy run stays quiet: a check that finds
nothing returns nothing, or an «ok» where it is worth knowing that the check ran.
"""
