"""What a direct optimiser finds, which knows nothing of EM."""

import numpy as np
import pytest
from scipy import optimize

import emcore as em
from emcore.parameters import Coordinates


def direct_maximum(fit):
    """The log-likelihood that BFGS reaches in free coordinates, from params near (not at) the fit's."""
    model, x, _ = fit.problem
    chart = Coordinates(model, fit.params)
    start = chart.to_vector(fit.params) + np.random.default_rng(0).normal(0.0, 0.05, chart.size)
    result = optimize.minimize(
        lambda v: -model.log_likelihood(chart.from_vector(v), x).sum(), start, method="BFGS", options={"gtol": 1e-7}
    )
    return -result.fun, chart.from_vector(result.x)


def agrees_with_direct_optimisation(fit, rtol=1e-4):
    value, params = direct_maximum(fit)
    assert fit.status is em.Status.CONVERGED
    assert fit.log_likelihood == pytest.approx(value, abs=1e-7)
    for ours, theirs in zip(fit.params, params):
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=rtol)
