"""Expectation-Maximization by half-steps: models, bounds and an honest fit.

`import emcore as em` loads nothing yet: every name below imports its module when it is first used, and the modules
load numpy and scipy alone; charts, tables and data sets load what they need. `__init__.pyi` says the same to type
checkers (a test compares the two).
"""

from importlib import import_module
from types import MappingProxyType
from typing import Any

_PUBLIC = MappingProxyType(  # module: the names that users know it by
    {
        "datasets": "",
        "genetics": "",
        "accelerate": "Anderson OverRelaxed Squarem",
        "chain": "ChainPosterior",
        "em": "fit",
        "esteps": "Annealing exact fixed hard incremental mean_field sparse stochastic tempered",
        "families.binomial": "Bernoulli Binomial",
        "families.categorical": "Categorical",
        "families.exponential": "Exponential",
        "families.gaussian": "FraleyRaftery Gaussian NormalInverseWishart",
        "families.poisson": "Poisson",
        "families.regression": "LinearRegression NormalInverseGamma RegressionPrior",
        "families.student_t": "StudentT",
        "landscape": "bound_slice stationary_point",
        "model": "AbstractDiscreteLatent Model",
        "models.binary_factors": "BinaryFactors",
        "models.censored_exponential": "CensoredExponential",
        "models.censored_regression": "CensoredRegression",
        "models.dawid_skene": "DawidSkene",
        "models.factor_analysis": "PPCA FactorAnalysis rows_with_moments",
        "models.grouped_normal": "GroupedNormal",
        "models.hmm": "HMM",
        "models.merged_multinomial": "MergedMultinomial",
        "models.missing_normal": "MissingNormal",
        "models.mixture": "Mixture",
        "models.negative_binomial": "NegativeBinomial",
        "models.random_intercept": "RandomIntercept",
        "models.t_regression": "TRegression",
        "models.truncated_poisson": "ZeroTruncatedPoisson",
        "models.vae": "VAE",
        "models.vae_encoder": "amortised gap_split per_row",
        "models.zero_inflated_poisson": "ZeroInflatedPoisson",
        "numerics": "DegenerateError",
        "objective": "ElboForms elbo elbo_forms gap kl",
        "optima": "multistart",
        "posteriors": "CategoricalPosterior",
        "result": "Fit",
        "selection": "bootstrap_lrt select",
        "stopping": "Run Status",
        "stream": "Stepwise StreamFit StreamProgress fit_stream",
        "trace": "HalfStep Trace steps",
        "trees": "add_stats",
        "uncertainty": "rate standard_errors",
    }
)
_HOMES = MappingProxyType({name: home for home, names in _PUBLIC.items() for name in names.split() or [home]})

__all__ = tuple(sorted(_HOMES))


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'emcore' has no attribute {name!r}")
    home = import_module(f"emcore.{_HOMES[name]}")
    value = home if name == _HOMES[name] else getattr(home, name)
    globals()[name] = value  # found here the next time
    return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]
