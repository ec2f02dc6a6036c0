"""Can these hypergradients be trusted, and what do they cost?

`agreement` and `online` hold every engine against the others and against finite differences,
`spread` measures how noisy and how biased hypergradients are on a task, `cost` and `memory` what
they take; `subjects` says what is audited, `run` does it all.
"""
