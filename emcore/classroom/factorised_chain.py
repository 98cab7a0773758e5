"""A short hidden Markov chain under a Q whose steps are independent, against its exact posterior.

z_1 ~ start,  z_s | z_s-1 ~ transitions,  x_s | z_s ~ emissions;   Q(z) = Π q_s(z_s)
q_s(j) ∝ p(x_s | j) exp(Σ_i q_s-1(i) log A_ij + Σ_i q_s+1(i) log A_ji)   the best q_s given its neighbours
Reference: Ghahramani & Jordan (1997), Machine Learning 29, 245-273, section 3.3; Turner & Sahani (2011), in Bayesian
Time Series Models, 104-124.
"""

from typing import Any, NamedTuple

import numpy as np
from scipy.special import entr, softmax

from emcore.classroom.paths import enumerate_paths
from emcore.classroom.shared import shared
from emcore.divergence import kl_rows
from emcore.families.binomial import Bernoulli
from emcore.models.hmm import HMM
from emcore.numerics import log_or_minus_inf

TITLE = "A hidden chain"
SEEN = (0, 0, 1, 0, 1, 1, 1, 0)  # x
ACCURACY = 0.7  # how often x tells the state
STAYS = tuple(round(0.5 + 0.02 * step, 2) for step in range(25))  # 0.5 to 0.98
SWEEPS = 12


class Factors(NamedTuple):
    """What log p(x, z) of one sequence is a sum of, all finite."""

    log_start: np.ndarray  # (k,)
    log_transitions: np.ndarray  # (k, k), from row to column
    log_emissions: np.ndarray  # (t, k)


class FactorisedRun(NamedTuple):
    """Coordinate ascent over Q: at the start, and after each update of one step."""

    probs: np.ndarray  # (u + 1, t, k)
    elbo: np.ndarray  # (u + 1,) nats


class ChainComparison(NamedTuple):
    """A factorised Q of the lesson's chain, and the posterior by forward and backward passes."""

    stay: float
    run: FactorisedRun
    posterior: np.ndarray  # (t, k) marginals
    log_likelihood: float
    gap: np.ndarray  # (u + 1,) KL(Q ‖ posterior) over whole paths, each path by itself; nats
    correlation: float  # of neighbours in the posterior, on average

    @property
    def marginals(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[int, ...]]:
        """p(z_s = 1 | x) (t,), q_s(1) (u + 1, t), the gap (u + 1,), and x."""
        return self.posterior[:, 1], self.run.probs[:, :, 1], self.gap, SEEN

    @property
    def climb(self) -> tuple[np.ndarray, float, int]:
        """The ELBO (u + 1,), log p(x), and how many updates make a sweep."""
        return self.run.elbo, self.log_likelihood, len(SEEN)

    @property
    def coupling(self) -> tuple[tuple[tuple[float, float], ...], float]:
        """(stay, gap) for every chain, and the `stay` of this one."""
        return gap_by_stay(), self.stay


def ascend(factors: Factors, probs: np.ndarray, sweeps: int) -> FactorisedRun:
    """Each q_s in turn set to the best given the others, `sweeps` times from first to last; the ELBO never falls.

    From probs (t, k) > 0. ValueError where a factor is not finite: a forbidden move leaves no product of free steps.
    """
    if not all(np.isfinite(part).all() for part in factors):
        raise ValueError("log start, log transitions and log emissions must be finite: no probability may be 0")
    q, before = np.array(probs, dtype=float), factors.log_transitions
    seen = [q.copy()]
    for step in np.tile(np.arange(len(q)), sweeps):
        logits = factors.log_emissions[step] + (q[step - 1] @ before if step else factors.log_start)
        if step + 1 < len(q):
            logits = logits + before @ q[step + 1]
        q[step] = softmax(logits)
        seen.append(q.copy())
    every = np.array(seen)
    return FactorisedRun(every, factorised_elbo(factors, every))


def factorised_elbo(factors: Factors, probs: np.ndarray) -> np.ndarray:
    """E_Q log p(x, z) + H(Q) for products with marginals probs (..., t, k), in nats; (...)."""
    moves = np.einsum("...ti,ij,...tj->...", probs[..., :-1, :], factors.log_transitions, probs[..., 1:, :])
    states = (probs * factors.log_emissions + entr(probs)).sum(axis=(-2, -1))
    return states + moves + probs[..., 0, :] @ factors.log_start


@shared(len(STAYS))
def compare(stay: float) -> ChainComparison:
    """Naive mean field and forward-backward on the lesson's chain, which keeps its state with probability `stay`."""
    model, params, x = _chain(stay)
    emissions = model.family.log_prob(params, x)
    factors = Factors(log_or_minus_inf(params.start), log_or_minus_inf(params.transitions), emissions)
    run = ascend(factors, softmax(emissions, axis=1), SWEEPS)
    exact, log_likelihood = model.infer(params, x)
    every = enumerate_paths(model, params, x)
    by_path = run.probs[:, np.arange(len(x)), every.paths].prod(axis=2)
    gap = kl_rows(by_path, np.broadcast_to(every.posterior, by_path.shape))
    correlation = _neighbours(every.paths, every.posterior)
    return ChainComparison(stay, run, exact.probs, float(log_likelihood[0]), gap, correlation)


@shared(1)
def gap_by_stay() -> tuple[tuple[float, float], ...]:
    """The gap that naive mean field is left with, for each probability of staying."""
    return tuple((stay, float(compare(stay).gap[-1])) for stay in STAYS)


def said(found: ChainComparison) -> str:
    """What independence costs, in numbers."""
    q, p = found.run.probs[-1, :, 1], found.posterior[:, 1]
    worst = int(np.abs(q - p).argmax())
    one_sided = q.max() < 0.05 or q.min() > 0.95
    side = " All of Q is on one state: it leaves out the paths through the other." if one_sided else ""
    return (
        f"In the posterior neighbours have correlation {found.correlation:.2f}; Q has none, and its gap stays at "
        f"{found.gap[-1]:.3f} nats. Its marginals are off by most at step {worst}: {q[worst]:.3f} for {p[worst]:.3f}."
        f"{side}"
    )


def _chain(stay: float) -> tuple[Any, Any, np.ndarray]:
    model, x = HMM(Bernoulli(), 2), np.array(SEEN, dtype=float)[:, None]
    start = {
        "start": [0.5, 0.5],
        "transitions": [[stay, 1 - stay], [1 - stay, stay]],
        "probs": [[1 - ACCURACY], [ACCURACY]],
    }
    return model, model.check_params(start, model.check(x)), x


def _neighbours(paths: np.ndarray, weight: np.ndarray) -> float:
    """The mean correlation of z_s-1 and z_s under weights of whole paths."""
    centred = paths - weight @ paths
    covariance = np.einsum("m,ms,mt->st", weight, centred, centred)
    scale = np.sqrt(np.diag(covariance))
    return float(np.mean(np.diag(covariance, 1) / (scale[:-1] * scale[1:])))
