"""A variational autoencoder's generative model, small enough that its log-likelihood is known.

z_i        ~  N(0, I_q)
x_i | z_i  ~  N(f(z_i), noise_variance · I_d),   f(z) = mean + loadings z + hidden_loadings tanh(hidden_weights z + …)
log p(x_i) =  log ∫ p(z) p(x_i | z) dz: by quadrature over z for q ≤ 2, in closed form where f is a line (PPCA)
The encoder is no part of the model. It is an E-step: see `vae_encoder.amortised`, and `vae_encoder.per_row`.
Reference: Kingma & Welling (2014), ICLR; Lucas, Tucker, Grosse & Norouzi (2019), NeurIPS 32 (the linear case).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np

from emcore.data import as_matrix, check_n_features
from emcore.families.base import as_field
from emcore.families.covariance import constant_columns
from emcore.models.checks import check_method, named_fields
from emcore.models.continuous import AbstractContinuousLatent
from emcore.models.factor_analysis import PPCA, FactorParams
from emcore.models.vae_clouds import orders_for
from emcore.models.vae_decoder import (
    CloudStats,
    DecoderParams,
    Penalty,
    cloud_stats,
    decode,
    refuse_no_noise,
    regress,
    squared_distances,
)
from emcore.models.vae_grid import integrate
from emcore.models.vae_posteriors import DiagonalGaussian, GridPosterior, clouds
from emcore.numerics import LOG_2PI
from emcore.parameters import Constraint, Fixed, Positive, Real


@dataclass(frozen=True)
class VAE(AbstractContinuousLatent):
    """A decoder with `width` tanh units beside a line, Gaussian noise, and `n_factors` latent variables.

    `width=0` is the linear VAE: its p(x) is that of `PPCA`, and everything is in closed form for any `n_factors`.
    With `width > 0`, `n_factors` is 1 or 2 and p(x) comes from a grid over z around each row's posterior, refined until
    its halves agree (see `vae_grid`): log p(x_i) is good to about 1e-9. `fineness` multiplies the nodes per axis that
    it starts with; more than `max_nodes` nodes for rows of one spacing raise DegenerateError.
    `noise_variance` is estimated unless a number holds it. `m_steps`: steps of L-BFGS on the hidden layer in each
    M-step, which is a climb and not the maximum (generalised EM) unless `width=0`. `weight_prior` is the precision of a
    Gaussian prior on the hidden weights, in units of the data (see `log_prior`): without one they may grow without
    limit as two units come to differ by less and less. Expectations under a Gaussian Q take as many nodes per axis as
    the decoder's bends within it ask for, or `order` of them. No missing cells. Weights of rows count in the M-step,
    not in an encoder's training.

    What fits with it: `em.steps(model, x, params0, e_step)` for the E-steps `exact` (no encoder: the posterior on the
    grid), `per_row()` and `amortised()`.

    >>> from itertools import islice
    >>> import emcore as em
    >>> x = em.datasets.load("iris").drop("species")
    >>> model = em.VAE(1)  # linear decoder
    >>> run = em.steps(model, x, "random-rows", em.amortised(width=0, steps=50))  # linear encoder
    >>> half = list(islice(run, 300))[-1]
    >>> round(half.elbo, 4), half.kl < 1e-6  # the log-likelihood of PPCA, and no gap
    (-470.6695, True)
    """

    n_factors: int
    width: int = 0
    noise_variance: float | None = None
    weight_prior: float = 0.0
    prior_variance: float | None = None  # of x, filled in from the data where the prior needs it
    m_steps: int = 10
    order: int | None = None
    fineness: float = 1.0
    max_nodes: int = 1_000_000
    Params: ClassVar[Any] = DecoderParams

    def __post_init__(self) -> None:
        for name, least in (("n_factors", 1), ("width", 0), ("m_steps", 0), ("max_nodes", 9)):
            _check_whole(name, getattr(self, name), least)
        if self.order is not None:
            _check_whole("order", self.order, 2)
        if not 0 < self.fineness < np.inf:
            raise ValueError(f"fineness must be above 0, not {self.fineness!r}")
        if self.width and self.n_factors > 2:
            raise ValueError(
                f"with hidden units p(x) is computed on a grid over z, so n_factors must be 1 or 2, not "
                f"{self.n_factors}; width=0 takes any number"
            )
        if not 0 <= self.weight_prior < np.inf:
            raise ValueError(f"weight_prior must be a precision ≥ 0, not {self.weight_prior!r}")
        if self.noise_variance is not None and not 0 < self.noise_variance < np.inf:
            raise ValueError(f"noise_variance must be above 0, or None to estimate it; not {self.noise_variance!r}")

    @property
    def rule_order(self) -> int:
        """The order of `vae_clouds.rule` where no decoder says how many nodes a Gaussian Q needs."""
        if self.width == 0:
            return 1
        return self.order or (48 if self.n_factors == 1 else 24)

    def orders(self, params: DecoderParams, q: Any, ahead: float = 1.0) -> np.ndarray | int:
        """The order of `vae_clouds.rule` for each row's Q (n,), or for all: see `vae_clouds.orders_for`."""
        if self.width == 0 or self.order or isinstance(q, GridPosterior):
            return self.rule_order
        return orders_for(params, q, ahead)

    def check(self, x: Any) -> np.ndarray:
        """x as float64 (n, d) without missing cells."""
        return as_matrix(x)

    def resolve(self, x: np.ndarray) -> Self:
        """Itself; ValueError where x cannot carry the factors (a line needs fewer factors than columns)."""
        n, d = x.shape
        if n < 2 or constant_columns(x).all():
            raise ValueError("x has no variance: it needs at least two different rows")
        if self.noise_variance is None and self.n_factors >= d:
            raise ValueError(
                f"n_factors={self.n_factors} must be below the number of columns, {d}, for the noise to be estimated; "
                "hold it with noise_variance="
            )
        return replace(self, prior_variance=float(x.var(axis=0).mean())) if self.weight_prior else self

    def _penalty(self) -> Penalty:
        if self.weight_prior and self.prior_variance is None:
            raise ValueError("this prior is scaled from the data: use fit, or model.resolve(x) first")
        return Penalty(self.weight_prior / (self.prior_variance or 1.0), self.weight_prior)

    def log_prior(self, params: DecoderParams) -> float:
        """-½ c (Σ hidden_loadings²/variance of x + Σ hidden_weights² + Σ hidden_offsets²) with c = weight_prior."""
        return -self._penalty().of(params)

    def infer(self, params: DecoderParams, x: Any) -> tuple[Any, np.ndarray]:
        """p(z | x_i) and log p(x_i) (n,): a Gaussian where the decoder is a line, else a distribution on a grid."""
        x = self._columns(params, x)
        if self.width == 0:
            linear = FactorParams(params.mean, params.loadings, params.noise_variance)
            return PPCA(self.n_factors).infer(linear, x)
        return integrate(params, x, self.fineness, self.max_nodes)

    def expected_log_joint(self, params: DecoderParams, x: Any, q: Any) -> np.ndarray:
        """E_q log p(z) + E_q log p(x_i | z) (n,)."""
        if isinstance(q, GridPosterior):
            squares = q.cloud.sums((q.nodes**2).sum(axis=1), len(q.log_cells))
        else:
            squares = (q.means**2).sum(axis=1) + (q.factors**2).sum(axis=(1, 2))
        return -0.5 * (squares + self.n_factors * LOG_2PI) + self.expected_log_conditional(params, x, q)

    def expected_log_conditional(self, params: DecoderParams, x: Any, q: Any) -> np.ndarray:
        """E_q log p(x_i | z) (n,), minus the distortion."""
        x = self._columns(params, x)
        expected = np.zeros(len(x))
        for cloud in clouds(q, self.orders(params, q)):
            expected += cloud.sums(squared_distances(params, x[cloud.owner], cloud.points), len(x))
        return -0.5 * (expected / params.noise_variance + x.shape[1] * (np.log(params.noise_variance) + LOG_2PI))

    def latent_prior(self, params: DecoderParams, x: Any) -> DiagonalGaussian:
        """p(z) = N(0, I) for every row."""
        shape = len(self._columns(params, x)), self.n_factors
        return DiagonalGaussian(np.zeros(shape), np.ones(shape))

    def suff_stats(self, x: Any, q: Any, weight: np.ndarray | None = None) -> CloudStats:
        """The clouds of z that q puts beside each x: a nonlinear decoder has no statistics of fixed size."""
        orders, shared = getattr(q, "orders", None), isinstance(q, GridPosterior)
        return cloud_stats(self.check(x), clouds(q, self.rule_order if orders is None else orders), weight, shared)

    def m_step(self, stats: CloudStats, params: DecoderParams | None) -> DecoderParams:
        """A regression of x on z, `m_steps` of L-BFGS on the hidden layer, and the noise that is left.

        DegenerateError where the noise has fallen to 0.
        """
        if params is None:
            raise ValueError("a decoder's M-step climbs from where it is: give it params")
        moved, distance = regress(params, stats, self.m_steps, self._penalty())
        noise = self.noise_variance
        if noise is None:
            total, d = stats.counts.sum(), stats.means.shape[1]
            noise = distance / (total * d)
            spread = stats.counts @ (stats.means - stats.counts @ stats.means / total) ** 2 + stats.within
            refuse_no_noise(noise, spread.sum() / (total * d))
        return moved._replace(noise_variance=np.asarray(noise))

    def initial_params(self, x: np.ndarray, method: str, rng: np.random.Generator, weight: Any = None) -> DecoderParams:
        """A random line as for PPCA; beside hidden units, PPCA's own line turned at random. The units are drawn, and do
        not act yet. All named methods mean this.
        """
        check_method(method)
        mean = np.average(x, axis=0, weights=weight)
        covariance = np.cov(x.T, aweights=weight, ddof=0).reshape(x.shape[1], -1)
        half = 0.5 * np.trace(covariance) / len(covariance)
        noise = np.asarray(half if self.noise_variance is None else self.noise_variance)
        draws = rng.standard_normal((x.shape[1], self.n_factors))
        if self.width == 0:
            return self._line(FactorParams(mean, np.sqrt(half / self.n_factors) * draws, noise), rng)
        values, vectors = np.linalg.eigh(covariance)
        values = np.maximum(values, 0.0)  # a rounding below 0 where columns are dependent
        lengths = np.sqrt(np.maximum(values - noise, 0.01 * values))[::-1][: self.n_factors]
        turn = np.linalg.qr(rng.standard_normal((self.n_factors, self.n_factors)))[0]
        loadings = np.zeros((x.shape[1], self.n_factors))
        loadings[:, : len(lengths)] = vectors[:, ::-1][:, : self.n_factors] * lengths
        return self._line(FactorParams(mean, loadings @ turn, noise), rng)

    def from_ppca(self, params: FactorParams, seed: int = 0) -> DecoderParams:
        """The decoder that is the line of PPCA, with random hidden units that do not act yet."""
        noise = np.asarray(params.noise_variance if self.noise_variance is None else self.noise_variance)
        return self._line(FactorParams(params.mean, params.loadings, noise), np.random.default_rng(seed))

    def _line(self, line: FactorParams, rng: np.random.Generator) -> DecoderParams:
        d, q = line.loadings.shape
        hidden = rng.standard_normal((self.width, q)), rng.standard_normal(self.width), np.zeros((d, self.width))
        return DecoderParams(line.mean, line.loadings, np.asarray(line.noise_variance, dtype=float), *hidden)

    def check_params(self, params: Any, x: np.ndarray) -> DecoderParams:
        """The fields of `DecoderParams` with their shapes, noise_variance > 0 (and as the model holds it)."""
        fields = named_fields(params, DecoderParams._fields, type(self).__name__)
        d, q, h = x.shape[1], self.n_factors, self.width
        shapes = (d,), (d, q), (), (h, q), (h,), (d, h)
        checked = DecoderParams(*(as_field(fields, name, s) for name, s in zip(DecoderParams._fields, shapes)))
        if not checked.noise_variance > 0:
            raise ValueError(f"params.noise_variance must be above 0, but it is {checked.noise_variance}")
        if self.noise_variance is not None and checked.noise_variance != self.noise_variance:
            raise ValueError(
                f"params.noise_variance is {checked.noise_variance}, but the model holds it at {self.noise_variance}"
            )
        return checked

    def constraints(self, params: DecoderParams) -> Mapping[str, Constraint]:
        """The set that each field lives in."""
        held = Positive() if self.noise_variance is None else Fixed()
        return {name: Real() for name in DecoderParams._fields} | {"noise_variance": held}

    def n_params(self, params: DecoderParams) -> int:
        """All numbers of the decoder, a line's rotation taken off; with hidden units none is known to be redundant."""
        free = sum(np.size(part) for part in params) - (self.noise_variance is not None)
        return free - (self.n_factors * (self.n_factors - 1) // 2 if self.width == 0 else 0)

    def sample(self, params: DecoderParams, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """n rows x (n, d) and the z (n, q) that made them."""
        z = rng.standard_normal((n, self.n_factors))
        noise = np.sqrt(params.noise_variance) * rng.standard_normal((n, len(params.mean)))
        return decode(params, z) + noise, z

    def _columns(self, params: DecoderParams, x: Any) -> np.ndarray:
        x = self.check(x)
        check_n_features(x, len(params.mean))
        return x


def _check_whole(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be a whole number, not {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, not {value}")
