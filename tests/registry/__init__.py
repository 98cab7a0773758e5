"""The registry of models × data that every law is tried on. A new model adds a module with `CASES`."""

from tests.registry import discrete, gaussians, mixtures

MODULES = (mixtures, discrete, gaussians)
CASES = [case for module in MODULES for case in module.CASES]
