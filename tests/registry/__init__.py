"""The registry of models × data that every law is tried on. A new model adds a module with `CASES`."""

from tests.registry import autoencoders, chains, discrete, gaussians, mixtures, regressions

MODULES = (autoencoders, mixtures, chains, discrete, gaussians, regressions)
CASES = [case for module in MODULES for case in module.CASES]
