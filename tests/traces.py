"""Short traces for the tests of tables and charts."""

from itertools import islice

import numpy as np

import emcore as em
from emcore.trace import Trace, half_steps, pose, start_params


def run(model, x, n_halves, init="random-rows", seed=1, weight=None, e_step=em.exact):
    """The first half-steps of EM from a start drawn with `seed`."""
    problem = pose(model, x, weight)
    start = start_params(problem, init, np.random.default_rng(seed))
    return Trace(*problem, tuple(islice(half_steps(problem, start, e_step), n_halves)))


def geyser(k=3, covariance="full", n_halves=60, **options):
    """A Gaussian mixture on the eruptions of Old Faithful: 272 rows, 60 half-steps."""
    return run(em.Mixture(em.Gaussian(covariance), k), em.datasets.load("old_faithful"), n_halves, **options)
