"""Derivatives of a whole training by its hyperparameters.

`update_rules` say what one step does, `schedules` which values it uses, `training` runs the steps;
`reverse`, `forward` and `reversible` are engines that differentiate them, `engines` what they have
in common, and `auto` picks the cheapest one that is exact.
"""
