"""Expectation-Maximization by half-steps: models, bounds and an honest fit.

`import emcore as em` loads numpy and scipy alone; charts, tables and data sets load what they need on first use.
"""

from emcore import datasets
from emcore.em import Fit, Run, fit
from emcore.esteps import exact, hard
from emcore.families.binomial import Bernoulli, Binomial
from emcore.families.categorical import Categorical
from emcore.families.gaussian import FraleyRaftery, Gaussian, NormalInverseWishart
from emcore.families.poisson import Poisson
from emcore.model import AbstractDiscreteLatent, Model
from emcore.models.mixture import Mixture
from emcore.numerics import DegenerateError
from emcore.objective import ElboForms, elbo, elbo_forms, gap, kl
from emcore.posteriors import CategoricalPosterior
from emcore.stopping import Status
from emcore.trace import HalfStep, Trace, steps
from emcore.trees import add_stats

__all__ = [
    "AbstractDiscreteLatent",
    "Bernoulli",
    "Binomial",
    "Categorical",
    "CategoricalPosterior",
    "DegenerateError",
    "ElboForms",
    "Fit",
    "FraleyRaftery",
    "Gaussian",
    "HalfStep",
    "Mixture",
    "Model",
    "NormalInverseWishart",
    "Poisson",
    "Run",
    "Status",
    "Trace",
    "add_stats",
    "datasets",
    "elbo",
    "elbo_forms",
    "exact",
    "fit",
    "gap",
    "hard",
    "kl",
    "steps",
]
