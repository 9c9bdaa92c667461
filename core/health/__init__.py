"""Why it is not learning: small checks, each a pure function of what was observed.

A check answers with a ``Diagnosis``: what is wrong in one sentence, the evidence as numbers, and a
remedy, where possible as a change to the recipe. A healthy run stays quiet: a check that has
nothing to say gives nothing, or an «ok» where it is worth knowing that it was looked at.
"""
