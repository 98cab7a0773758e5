"""What type checkers see of `emcore/__init__.py`, which imports each name when it is first used."""

from emcore import datasets, genetics
from emcore.accelerate import Anderson, OverRelaxed, Squarem
from emcore.chain import ChainPosterior
from emcore.em import fit
from emcore.esteps import Annealing, exact, fixed, hard, incremental, mean_field, sparse, stochastic, tempered
from emcore.families.binomial import Bernoulli, Binomial
from emcore.families.categorical import Categorical
from emcore.families.exponential import Exponential
from emcore.families.gaussian import FraleyRaftery, Gaussian, NormalInverseWishart
from emcore.families.poisson import Poisson
from emcore.families.regression import LinearRegression, NormalInverseGamma, RegressionPrior
from emcore.families.student_t import StudentT
from emcore.landscape import bound_slice, stationary_point
from emcore.model import AbstractDiscreteLatent, Model
from emcore.models.binary_factors import BinaryFactors
from emcore.models.censored_exponential import CensoredExponential
from emcore.models.censored_regression import CensoredRegression
from emcore.models.dawid_skene import DawidSkene
from emcore.models.factor_analysis import PPCA, FactorAnalysis, rows_with_moments
from emcore.models.grouped_normal import GroupedNormal
from emcore.models.hmm import HMM
from emcore.models.merged_multinomial import MergedMultinomial
from emcore.models.missing_normal import MissingNormal
from emcore.models.mixture import Mixture
from emcore.models.negative_binomial import NegativeBinomial
from emcore.models.random_intercept import RandomIntercept
from emcore.models.t_regression import TRegression
from emcore.models.truncated_poisson import ZeroTruncatedPoisson
from emcore.models.vae import VAE
from emcore.models.vae_encoder import amortised, gap_split, per_row
from emcore.models.zero_inflated_poisson import ZeroInflatedPoisson
from emcore.numerics import DegenerateError
from emcore.objective import ElboForms, elbo, elbo_forms, gap, kl
from emcore.optima import multistart
from emcore.posteriors import CategoricalPosterior
from emcore.result import Fit
from emcore.selection import bootstrap_lrt, select
from emcore.stopping import Run, Status
from emcore.stream import Stepwise, StreamFit, StreamProgress, fit_stream
from emcore.trace import HalfStep, Trace, steps
from emcore.trees import add_stats
from emcore.uncertainty import rate, standard_errors

__all__ = [
    "HMM",
    "PPCA",
    "VAE",
    "AbstractDiscreteLatent",
    "Anderson",
    "Annealing",
    "Bernoulli",
    "BinaryFactors",
    "Binomial",
    "Categorical",
    "CategoricalPosterior",
    "CensoredExponential",
    "CensoredRegression",
    "ChainPosterior",
    "DawidSkene",
    "DegenerateError",
    "ElboForms",
    "Exponential",
    "FactorAnalysis",
    "Fit",
    "FraleyRaftery",
    "Gaussian",
    "GroupedNormal",
    "HalfStep",
    "LinearRegression",
    "MergedMultinomial",
    "MissingNormal",
    "Mixture",
    "Model",
    "NegativeBinomial",
    "NormalInverseGamma",
    "NormalInverseWishart",
    "OverRelaxed",
    "Poisson",
    "RandomIntercept",
    "RegressionPrior",
    "Run",
    "Squarem",
    "Status",
    "Stepwise",
    "StreamFit",
    "StreamProgress",
    "StudentT",
    "TRegression",
    "Trace",
    "ZeroInflatedPoisson",
    "ZeroTruncatedPoisson",
    "add_stats",
    "amortised",
    "bootstrap_lrt",
    "bound_slice",
    "datasets",
    "elbo",
    "elbo_forms",
    "exact",
    "fit",
    "fit_stream",
    "fixed",
    "gap",
    "gap_split",
    "genetics",
    "hard",
    "incremental",
    "kl",
    "mean_field",
    "multistart",
    "per_row",
    "rate",
    "rows_with_moments",
    "select",
    "sparse",
    "standard_errors",
    "stationary_point",
    "steps",
    "stochastic",
    "tempered",
]
