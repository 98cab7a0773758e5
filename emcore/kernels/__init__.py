"""Kernels: a whole E-step and its statistics in one pass over the rows, for one or many starts at once."""
