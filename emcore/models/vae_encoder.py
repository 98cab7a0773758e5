"""E-steps for a decoder: one shared encoder, or a Gaussian of its own for every row.

Q_i = N(m_i, diag s_i²) and the objective ELBO_β = E_Q log p(x | z) - β KL(Q ‖ p(z)). With z = m + s·ε (the
reparametrisation) and g = ∂ log p(x | z)/∂z, its gradient is
    ∂/∂m = E g - β m        ∂/∂log s = E (ε s g) + β (1 - s²)
averaged over the nodes ε of a quadrature rule, so that a run repeats exactly, or over draws ε ~ N(0, I). The gradients
are written out: they are these few lines, and reverse-mode differentiation (HIPS autograd) took three times as long.
`amortised`: (m, log s) = encoder(x), the encoder's weights are what moves. `per_row`: m_i and s_i themselves move.
β changes the E-step alone, for the rate does not depend on θ. Reference: Kingma & Welling (2014), ICLR;
Higgins et al. (2017), ICLR (β); Cremer, Li & Duvenaud (2018), ICML (the two gaps).
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from emcore.models.vae import VAE
from emcore.models.vae_clouds import rule
from emcore.models.vae_decoder import DecoderParams, pull
from emcore.models.vae_posteriors import DiagonalGaussian, as_diagonal
from emcore.trees import from_vector, to_vector


class Encoder(NamedTuple):
    """φ: x ↦ (m, log s), linear plus e tanh units; without units s is the same for every row (Lucas et al. 2019)."""

    centre: np.ndarray  # (d,) of the rows it was made for
    unit: np.ndarray  # () their spread
    means: np.ndarray  # (q,)
    weights: np.ndarray  # (q, d)
    log_scales: np.ndarray  # (q,)
    hidden_weights: np.ndarray  # (e, d)
    hidden_offsets: np.ndarray  # (e,)
    hidden_means: np.ndarray  # (q, e)
    hidden_log_scales: np.ndarray  # (q, e)

    def encode(self, x: np.ndarray) -> DiagonalGaussian:
        """Q(z | x_i) for rows x (n, d), also rows that it has never seen."""
        inputs = (x - self.centre) / self.unit
        units = np.tanh(inputs @ self.hidden_weights.T + self.hidden_offsets)
        means = self.means + inputs @ self.weights.T + units @ self.hidden_means.T
        return DiagonalGaussian(means, np.exp(self.log_scales + units @ self.hidden_log_scales.T), self)

    def gradient(self, x: np.ndarray, d_means: np.ndarray, d_log_scales: np.ndarray) -> "Encoder":
        """The chain rule: the gradient in φ from those in m and log s (n, q); 0 for centre and unit."""
        inputs = (x - self.centre) / self.unit
        units = np.tanh(inputs @ self.hidden_weights.T + self.hidden_offsets)
        back = (d_means @ self.hidden_means + d_log_scales @ self.hidden_log_scales) * (1.0 - units * units)
        return Encoder(
            np.zeros_like(self.centre),
            np.zeros_like(self.unit),
            d_means.sum(axis=0),
            d_means.T @ inputs,
            d_log_scales.sum(axis=0),
            back.T @ inputs,
            back.sum(axis=0),
            d_means.T @ units,
            d_log_scales.T @ units,
        )


def new_encoder(x: np.ndarray, n_factors: int, width: int, seed: int) -> Encoder:
    """An encoder that knows nothing yet: it says N(0, I) to every row; its hidden units are drawn."""
    rng = np.random.default_rng(seed)
    d = x.shape[1]
    return Encoder(
        x.mean(axis=0),
        np.sqrt(x.var(axis=0).mean()),
        np.zeros(n_factors),
        np.zeros((n_factors, d)),
        np.zeros(n_factors),
        rng.standard_normal((width, d)) / np.sqrt(d) * 1.5,
        rng.standard_normal(width),
        np.zeros((n_factors, width)),
        np.zeros((n_factors, width)),
    )


class Ascent(NamedTuple):
    """ELBO_β of every row, up to a constant in q, and its gradients."""

    rows: np.ndarray  # (n,)
    d_means: np.ndarray  # (n, q)
    d_log_scales: np.ndarray  # (n, q)


def ascent(
    params: DecoderParams, x: np.ndarray, q: DiagonalGaussian, beta: float, nodes: np.ndarray, weights: np.ndarray
) -> Ascent:
    """The reparametrised objective and gradient at nodes ε (s, q) with weights (s,)."""
    m, s = q.means, q.scales
    z = m[:, None, :] + s[:, None, :] * nodes
    squares, g = pull(params, z, x[:, None, :])
    g = g / params.noise_variance
    rate = 0.5 * (m * m + s * s - 1.0 - 2.0 * np.log(s)).sum(axis=1)
    rows = -0.5 * (squares @ weights) / params.noise_variance - beta * rate
    d_means = np.einsum("nsq,s->nq", g, weights) - beta * m
    d_log_scales = s * np.einsum("nsq,sq->nq", g, weights[:, None] * nodes) + beta * (1.0 - s * s)
    return Ascent(rows, d_means, d_log_scales)


# The largest order of a rule by n_factors: in an encoder's training, where every row pays for it, in a row's own climb,
# and in an M-step. What a climb with too few nodes finds is kept only where more nodes say that it is better.
_TRAINING, _CLIMB, _M_STEP = (0, 96, 16), (0, 6144, 16), (0, 6144, 32)
_AHEAD = 1.5  # by which an M-step may steepen a unit
_NUDGE = 1e-5  # of m and log s, for differences of gradients


@dataclass(frozen=True)
class amortised:
    """An encoder as an E-step: `steps` of L-BFGS on its weights, from where the last E-step left them.

    `width`: its tanh units (0: linear). `draws`: so many random ε, the same in every step (seeded), in place of the
    quadrature rule. The encoder travels in `q.encoder`, so the E-step itself holds no state.
    With beta other than 1, or with draws, the ELBO may fall.
    """

    width: int = 8
    steps: int = 10
    beta: float = 1.0
    draws: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        _check_beta(self.beta)
        if self.width < 0 or self.steps < 1 or (self.draws is not None and self.draws < 1):
            raise ValueError(
                f"width must be at least 0, steps and draws at least 1; not {self.width}, {self.steps} and {self.draws}"
            )

    @property
    def monotone(self) -> bool:
        """Whether the ELBO is promised to rise."""
        return self.beta == 1.0 and self.draws is None

    def __call__(self, model: VAE, params: DecoderParams, x: Any, q_prev: Any) -> DiagonalGaussian:
        """The encoder's Q for every row."""
        _check_model(model, "amortised")
        x = model.check(x)
        encoder = getattr(q_prev, "encoder", None)
        if encoder is None:
            encoder = new_encoder(x, model.n_factors, self.width, self.seed)
        held = encoder.encode(x)
        nodes, weights = self._nodes(model, params, held)

        def loss(vector: np.ndarray) -> tuple[float, np.ndarray]:
            here = from_vector(vector, encoder)
            now = ascent(params, x, here.encode(x), self.beta, nodes, weights)
            slope = to_vector(here.gradient(x, now.d_means, now.d_log_scales))
            return -float(now.rows.sum()) / len(x), -slope / len(x)

        found = from_vector(_descend(loss, to_vector(encoder), self.steps), encoder).encode(x)
        if self.draws is None:  # nodes chosen for the first Q may be too few for the last
            before, after = (objective_rows(model, params, x, q, self.beta).sum() for q in (held, found))
            found = found if after >= before else held
        return _with_orders(model, params, found)

    def _nodes(self, model: VAE, params: DecoderParams, q: DiagonalGaussian) -> tuple[np.ndarray, np.ndarray]:
        if self.draws is None:
            return rule(model.n_factors, min(int(np.max(model.orders(params, q))), _TRAINING[model.n_factors]))
        drawn = np.random.default_rng(self.seed).standard_normal((self.draws, model.n_factors))
        return drawn, np.full(self.draws, 1.0 / self.draws)


@dataclass(frozen=True)
class per_row:
    """The best diagonal Gaussian for each row by itself: `steps` of Newton's ascent from the last one.

    The first starts from the posterior's means and standard deviations. It is what the encoder would say if it had no
    other row to please.
    """

    steps: int = 30
    beta: float = 1.0

    def __post_init__(self) -> None:
        _check_beta(self.beta)
        if self.steps < 1:
            raise ValueError(f"steps must be at least 1, not {self.steps}")

    @property
    def monotone(self) -> bool:
        """Whether the ELBO is promised to rise."""
        return self.beta == 1.0

    def __call__(self, model: VAE, params: DecoderParams, x: Any, q_prev: Any) -> DiagonalGaussian:
        """One Gaussian for every row."""
        _check_model(model, "per_row")
        x = model.check(x)
        start = as_diagonal(model.posterior(params, x) if q_prev is None else q_prev)
        return _with_orders(model, params, climb_rows(model, params, x, start, self.steps, self.beta))


def climb_rows(
    model: VAE, params: DecoderParams, x: np.ndarray, start: DiagonalGaussian, steps: int, beta: float = 1.0
) -> DiagonalGaussian:
    """Every row's own (m, log s) after `steps` of a damped Newton ascent from `start`; no row ever goes down.

    Rows do not touch one another, so each has its own Hessian (differences of the gradient), damping and nodes.
    """
    orders = np.broadcast_to(np.minimum(model.orders(params, start), _CLIMB[model.n_factors]), len(x))
    means, scales = start.means.copy(), start.scales.copy()
    for order in np.unique(orders):
        rows = orders == order
        means[rows], scales[rows] = _climb(params, x[rows], start.rows(rows), steps, beta, int(order))
    return _better(model, params, x, DiagonalGaussian(means, scales), start, beta)


def _climb(
    params: DecoderParams, x: np.ndarray, start: DiagonalGaussian, steps: int, beta: float, order: int
) -> tuple[np.ndarray, np.ndarray]:
    q = start.means.shape[1]
    nodes, weights = rule(q, order)

    def at(place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        now = ascent(params, x, DiagonalGaussian(place[:, :q], np.exp(place[:, q:])), beta, nodes, weights)
        return now.rows, np.concatenate([now.d_means, now.d_log_scales], axis=1)

    place = np.concatenate([start.means, np.log(start.scales)], axis=1)
    value, slope = at(place)
    damping = np.full(len(x), 1e-3)
    for _ in range(steps):
        step = _newton_step(at, place, slope, damping)
        tried, tried_slope = at(place + step)
        better = tried > value
        if not (better & (tried - value > 1e-13 * np.abs(value))).any() and damping.max() > 1.0:
            break
        place = np.where(better[:, None], place + step, place)
        slope = np.where(better[:, None], tried_slope, slope)
        value = np.where(better, tried, value)
        damping = np.where(better, np.maximum(0.2 * damping, 1e-9), 8.0 * damping)
    return place[:, :q], np.exp(place[:, q:])


def _newton_step(at: Any, place: np.ndarray, slope: np.ndarray, damping: np.ndarray) -> np.ndarray:
    """Uphill in every eigen-direction, by its curvature's size; at most one unit long."""
    columns = [(at(place + push)[1] - slope) / _NUDGE for push in _NUDGE * np.eye(place.shape[1])]
    hessian = np.stack(columns, axis=2)
    values, vectors = np.linalg.eigh(0.5 * (hessian + hessian.swapaxes(1, 2)))
    size = np.abs(values) + damping[:, None] * (1.0 + np.abs(values))
    step = np.einsum("npk,nk->np", vectors, np.einsum("npk,np->nk", vectors, slope) / size)
    return step / np.maximum(np.linalg.norm(step, axis=1, keepdims=True), 1.0)


def objective_rows(
    model: VAE, params: DecoderParams, x: np.ndarray, q: DiagonalGaussian, beta: float = 1.0
) -> np.ndarray:
    """ELBO_β of every row (n,), with as many nodes as each needs."""
    return model.expected_log_conditional(params, x, q) - beta * q.kl(model.latent_prior(params, x))


def _better(
    model: VAE, params: DecoderParams, x: np.ndarray, a: DiagonalGaussian, b: DiagonalGaussian, beta: float = 1.0
) -> DiagonalGaussian:
    """Row for row the Q with the larger ELBO_β."""
    rows_a, rows_b = (objective_rows(model, params, x, q, beta) for q in (a, b))
    keep = (rows_a >= rows_b)[:, None]
    return DiagonalGaussian(np.where(keep, a.means, b.means), np.where(keep, a.scales, b.scales))


def _with_orders(model: VAE, params: DecoderParams, q: DiagonalGaussian) -> DiagonalGaussian:
    """q with the nodes that an M-step from these params should take for it."""
    orders = np.minimum(model.orders(params, q, _AHEAD), _M_STEP[model.n_factors])
    return q._replace(orders=np.broadcast_to(orders, len(q.means)))


class GapSplit(NamedTuple):
    """log p(x_i) - ELBO_i = family_i + amortisation_i, in nats (n,), and the best Q that splits it."""

    family: np.ndarray  # log p - ELBO of the best diagonal Gaussian: what the family cannot say
    amortisation: np.ndarray  # that ELBO - ELBO of q: what sharing one encoder costs
    best: DiagonalGaussian


def gap_split(model: VAE, params: DecoderParams, x: Any, q: DiagonalGaussian, steps: int = 50) -> GapSplit:
    """Split the gap of an encoder's q (Cremer, Li & Duvenaud 2018).

    The best Q of every row is the best of two climbs, from q itself and from the posterior's moments, so that the
    amortisation gap is ≥ 0; where the posterior has several modes a better one may exist, and the family gap is an
    upper bound. The family gap is the KL of the best Q to the posterior, computed directly.
    """
    _check_model(model, "gap_split")
    x = model.check(x)
    posterior = model.posterior(params, x)
    one, other = (climb_rows(model, params, x, start, steps) for start in (as_diagonal(q), as_diagonal(posterior)))
    best = _better(model, params, x, one, other)
    own, shared = (objective_rows(model, params, x, each) for each in (best, q))
    return GapSplit(best.kl(posterior), own - shared, best)


def _descend(loss: Any, start: np.ndarray, steps: int) -> np.ndarray:
    from scipy.optimize import minimize

    options = {"maxiter": steps, "maxfun": 3 * steps + 20, "ftol": 0.0, "gtol": 1e-12, "maxcor": 20}
    return minimize(loss, start, jac=True, method="L-BFGS-B", options=options).x


def _check_beta(beta: float) -> None:
    if not 0 < beta < np.inf:
        raise ValueError(f"beta must be above 0, not {beta!r}")


def _check_model(model: Any, what: str) -> None:
    if not isinstance(model, VAE):
        raise TypeError(f"{what} needs a decoder: a VAE model, not {type(model).__name__}")
