"""Kernels: a whole E-step and its statistics in one pass over the rows, for one or many starts at once.

`base` says what a kernel is, `choice` which one serves which rows. `plain` is the model's own arithmetic in blocks.
`exponential_family` and `gaussian` go through `linear` (log-joints linear in features); narrow Gaussians through
`residual`. `collapse` counts equal rows once, `chunks` spreads rows over threads.
"""
