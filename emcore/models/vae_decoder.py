"""The decoder of a variational autoencoder: a line plus a layer of tanh units, and its regression on clouds of z.

f(z) = mean + loadings z + hidden_loadings tanh(hidden_weights z + hidden_offsets)

Given the hidden layer, f is linear in (mean, loadings, hidden_loadings), so the best of these is a weighted least-
squares regression; the hidden layer then moves by L-BFGS on what is left (variable projection, Golub & Pereyra 1973,
SIAM J. Numer. Anal. 10, 413-432).
"""

from typing import Any, NamedTuple

import numpy as np

from emcore.numerics import LOG_2PI, DegenerateError


class DecoderParams(NamedTuple):
    """θ of a VAE. Without hidden units (h = 0) these are the params of probabilistic PCA."""

    mean: np.ndarray  # (d,)
    loadings: np.ndarray  # (d, q)
    noise_variance: np.ndarray  # ()
    hidden_weights: np.ndarray  # (h, q)
    hidden_offsets: np.ndarray  # (h,)
    hidden_loadings: np.ndarray  # (d, h)


class CloudStats(NamedTuple):
    """Where the z are and which x they belong to: all that an M-step needs. Two add by standing side by side."""

    nodes: np.ndarray  # (m, q)
    counts: np.ndarray  # (m,) expected number of rows at each node
    means: np.ndarray  # (m, d) of their x
    within: np.ndarray  # () expected squared distance of x from these means, summed over all rows

    def merge(self, other: "CloudStats") -> "CloudStats":
        """The statistics of both sets of rows."""
        nodes, counts, means = (np.concatenate([a, b]) for a, b in zip(self[:3], other[:3]))
        return CloudStats(nodes, counts, means, self.within + other.within)


def cloud_stats(x: np.ndarray, clouds: Any, row_weight: np.ndarray | None, shared: bool) -> CloudStats:
    """Statistics of rows x (n, d) with the points of `clouds`, each the z of one row; `shared` where many are equal."""
    owner, points, weights = (np.concatenate(part) for part in zip(*clouds))
    counts = weights if row_weight is None else weights * row_weight[owner]
    if not shared:
        return CloudStats(points, counts, x[owner], np.zeros(()))
    _, first, place = np.unique(points @ np.array([1.0, 1j][: points.shape[1]]), return_index=True, return_inverse=True)
    pivot = x.mean(axis=0)  # so that an offset costs no digits
    centred = x - pivot
    at_node = np.bincount(place, counts)
    sums = [np.bincount(place, counts * column[owner]) for column in centred.T]
    means = np.stack(sums, axis=1) / np.maximum(at_node, np.finfo(float).tiny)[:, None]
    left = centred[owner] - means[place]
    return CloudStats(points[first], at_node, means + pivot, counts @ (left * left).sum(axis=1))


def hidden_units(params: DecoderParams, z: np.ndarray) -> np.ndarray:
    """tanh(hidden_weights z + hidden_offsets) (…, h)."""
    return np.tanh(z @ params.hidden_weights.T + params.hidden_offsets)


def decode(params: DecoderParams, z: np.ndarray) -> np.ndarray:
    """f(z) (…, d) for points (…, q)."""
    line = params.mean + z @ params.loadings.T
    return line + hidden_units(params, z) @ params.hidden_loadings.T if len(params.hidden_offsets) else line


def squared_distances(params: DecoderParams, x: np.ndarray, points: np.ndarray) -> np.ndarray:
    """|x_i - f(z_i)|² (m,) for pairs of x (m, d) and z (m, q)."""
    left = decode(params, points)
    left -= x
    return np.einsum("md,md->m", left, left)


def log_joint(params: DecoderParams, x: np.ndarray, points: np.ndarray) -> np.ndarray:
    """log p(x_i, z_i) (m,) for pairs of x (m, d) and z (m, q)."""
    return _log_densities(params, squared_distances(params, x, points), points)


def log_joint_table(params: DecoderParams, x: np.ndarray, points: np.ndarray) -> np.ndarray:
    """log p(x_i, z_j) (n, m) of every x (n, d) at every z (m, q); it may lose digits where x is far from every f."""
    x, made = x - params.mean, decode(params, points) - params.mean
    table = x @ (-2.0 * made.T)
    table += (x * x).sum(axis=1)[:, None]
    table += (made * made).sum(axis=1)
    return _log_densities(params, table, points)


def _log_densities(params: DecoderParams, distances: np.ndarray, points: np.ndarray) -> np.ndarray:
    d, q = params.loadings.shape
    constant = 0.5 * (d * (np.log(params.noise_variance) + LOG_2PI) + q * LOG_2PI)
    distances *= -0.5 / params.noise_variance
    distances -= 0.5 * (points * points).sum(axis=1) + constant
    return distances


def pull(params: DecoderParams, z: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """|x - f(z)|² (…) and half its negative gradient in z, (x - f)ᵀ ∂f/∂z (…, q)."""
    units = hidden_units(params, z)
    left = x - params.mean - z @ params.loadings.T - units @ params.hidden_loadings.T
    inner = (left @ params.hidden_loadings) * (1.0 - units * units)
    return (left * left).sum(axis=-1), left @ params.loadings + inner @ params.hidden_weights


def slopes(params: DecoderParams, z: np.ndarray) -> np.ndarray:
    """|∂f/∂z_j| at points (m, q): how far x moves per unit of each latent (m, q)."""
    bend = (1.0 - hidden_units(params, z) ** 2)[:, None, :] * params.hidden_loadings  # (m, d, h)
    return np.sqrt(((params.loadings + bend @ params.hidden_weights) ** 2).sum(axis=1))


class Penalty(NamedTuple):
    """½ Σ (hidden_loadings²·outer + (hidden_weights² + hidden_offsets²)·inner), minus a Gaussian log prior."""

    outer: float
    inner: float

    def of(self, params: DecoderParams) -> float:
        """The penalty in nats."""
        inner = (params.hidden_weights**2).sum() + (params.hidden_offsets**2).sum()
        return 0.5 * float(self.outer * (params.hidden_loadings**2).sum() + self.inner * inner)


class _Task(NamedTuple):
    """What an M-step minimises in f: E|x - f|²/(2 noise) + penalty, with the mean of x at each node for x."""

    nodes: np.ndarray  # (m, q)
    counts: np.ndarray  # (m,)
    means: np.ndarray  # (m, d)
    noise: float
    penalty: Penalty

    def loss(self, params: DecoderParams, errors: np.ndarray) -> float:
        """The part that f can change, in nats."""
        return 0.5 * float(self.counts @ (errors * errors).sum(axis=1)) / self.noise + self.penalty.of(params)

    def project(self, params: DecoderParams) -> tuple[DecoderParams, np.ndarray]:
        """The linear layer at its best for given hidden units, and the errors f - mean of x (m, d)."""
        units = hidden_units(params, self.nodes)
        design = np.concatenate([np.ones((len(units), 1)), self.nodes, units], axis=1)
        weighted = design * self.counts[:, None]
        gram, q = weighted.T @ design, self.nodes.shape[1]
        diagonal = gram.ravel()[:: len(gram) + 1]
        diagonal *= 1.0 + 1e-10  # rounding: it only decides between units that have become one
        diagonal[1 + q :] += self.penalty.outer * self.noise
        table = np.linalg.lstsq(gram, weighted.T @ self.means, rcond=1e-14)[0].T  # (d, 1 + q + h)
        new = params._replace(mean=table[:, 0], loadings=table[:, 1 : 1 + q], hidden_loadings=table[:, 1 + q :])
        return new, design @ table.T - self.means

    def climb_hidden(self, params: DecoderParams, steps: int) -> DecoderParams:
        """`steps` of L-BFGS on the hidden layer, the linear one at its best throughout."""
        from scipy.optimize import minimize

        size, shape = params.hidden_weights.size, params.hidden_weights.shape

        def at(vector: np.ndarray) -> DecoderParams:
            return params._replace(hidden_weights=vector[:size].reshape(shape), hidden_offsets=vector[size:])

        def loss(vector: np.ndarray) -> tuple[float, np.ndarray]:
            here, errors = self.project(at(vector))
            units = hidden_units(here, self.nodes)
            push = (self.counts / self.noise)[:, None] * (errors @ here.hidden_loadings) * (1.0 - units * units)
            slope = np.concatenate([(push.T @ self.nodes).ravel(), push.sum(axis=0)])
            return self.loss(here, errors), slope + self.penalty.inner * vector

        start = np.concatenate([params.hidden_weights.ravel(), params.hidden_offsets])
        options = {"maxiter": steps, "ftol": 0.0, "gtol": 1e-12}
        return self.project(at(minimize(loss, start, jac=True, method="L-BFGS-B", options=options).x))[0]


def regress(params: DecoderParams, stats: CloudStats, steps: int, penalty: Penalty) -> tuple[DecoderParams, float]:
    """The decoder after one regression and `steps` of L-BFGS on its hidden layer, and its E|x - f|² over all rows.

    Never worse than `params` at their noise variance; without hidden units it is the minimum.
    """
    pivot = stats.counts @ stats.means / stats.counts.sum()  # so that an offset costs no digits
    means, start = stats.means - pivot, params._replace(mean=params.mean - pivot)
    task = _Task(stats.nodes, stats.counts, means, float(params.noise_variance), penalty)
    tried = [start, task.project(start)[0]]
    if len(params.hidden_offsets) and steps:
        tried.append(task.climb_hidden(tried[1], steps))
    errors = [decode(one, stats.nodes) - means for one in tried]
    losses = [task.loss(one, error) for one, error in zip(tried, errors)]
    best = int(np.argmin(losses))
    distance = float(stats.within) + float(stats.counts @ (errors[best] ** 2).sum(axis=1))
    return tried[best]._replace(mean=tried[best].mean + pivot), distance


def refuse_no_noise(noise: float, spread: float) -> None:
    """DegenerateError for a noise variance that has fallen to rounding beside the columns' mean variance."""
    if not noise > 1e-13 * spread:
        raise DegenerateError(
            "the noise variance has fallen to 0: the decoder passes through the rows, and the likelihood grows without "
            "bound; hold it with noise_variance=, or use fewer hidden units"
        )
