"""Every path of a short chain, one by one: what forward and backward passes must agree with.

k states in t steps have kᵗ paths; the passes do with k²t products. Reference: Rabiner (1989), Proc. IEEE 77, 257-286,
section III.A.
"""

from itertools import product
from typing import Any, NamedTuple

import numpy as np
from scipy.special import entr

from emcore.numerics import log_or_minus_inf, normalize_log_rows

_MOST = 20_000  # paths


class Enumeration(NamedTuple):
    """All paths of one sequence with log p(x, z) and p(z | x) of each."""

    paths: np.ndarray  # (m, t)
    log_joint: np.ndarray  # (m,)
    posterior: np.ndarray  # (m,)
    log_likelihood: float

    @property
    def entropy(self) -> float:
        """H of the posterior over paths, in nats."""
        return float(entr(self.posterior).sum())

    def marginals(self, n_states: int) -> np.ndarray:
        """p(z_s = k | x) (t, k): the paths through each state, added up."""
        through = self.paths[:, :, None] == np.arange(n_states)
        return np.einsum("m,mtk->tk", self.posterior, through)

    def pairs(self, n_states: int) -> np.ndarray:
        """Expected number of moves from each state to each (k, k)."""
        counts = np.zeros((n_states, n_states))
        for before, after in zip(self.paths[:, :-1].T, self.paths[:, 1:].T, strict=True):
            np.add.at(counts, (before, after), self.posterior)
        return counts


def path_log_joint(
    start: np.ndarray, transitions: np.ndarray, log_emissions: np.ndarray, paths: np.ndarray
) -> np.ndarray:
    """Log start + Σ log transitions + Σ log emissions (t, k) along each of paths (m, t); (m,)."""
    moves = log_or_minus_inf(transitions)[paths[:, :-1], paths[:, 1:]].sum(axis=1)
    seen = log_emissions[np.arange(len(log_emissions)), paths].sum(axis=1)
    return log_or_minus_inf(start)[paths[:, 0]] + moves + seen


def enumerate_paths(model: Any, params: Any, x: np.ndarray) -> Enumeration:
    """All paths of a hidden Markov model over one sequence x (t, d). ValueError for more than 20,000 paths."""
    count = model.n_states ** len(x)
    if count > _MOST:
        raise ValueError(f"{model.n_states} states in {len(x)} steps have {count:,} paths: show at most {_MOST:,}")
    paths = np.array(list(product(range(model.n_states), repeat=len(x))))
    log_emissions = model.family.log_prob(params, x)
    log_joint = path_log_joint(model.start_of(params), params.transitions, log_emissions, paths)
    posterior, log_likelihood = normalize_log_rows(log_joint[None])
    return Enumeration(paths, log_joint, posterior[0], float(log_likelihood[0]))


def path_table(every: Enumeration, most: int = 32) -> list[dict[str, Any]]:
    """The most probable paths first, `most` of them: the states in order, log p(x, z) and p(z | x)."""
    order = np.argsort(-every.posterior, kind="stable")[:most]
    return [
        {
            "path": " ".join(map(str, every.paths[m])),
            "log p(x, z)": float(every.log_joint[m]) if every.posterior[m] > 0 else None,
            "p(z | x)": float(every.posterior[m]),
        }
        for m in order
    ]


def agreement(model: Any, params: Any, x: np.ndarray) -> list[dict[str, Any]]:
    """Log p(x), H, every marginal and every expected move, by all paths and by forward and backward passes."""
    every = enumerate_paths(model, params, x)
    q, log_likelihood = model.infer(params, x)
    rows = [
        _row("log p(x)", every.log_likelihood, float(log_likelihood[0])),
        _row("entropy of p(z | x)", every.entropy, float(q.entropy()[0])),
    ]
    marginals, pairs = every.marginals(model.n_states), every.pairs(model.n_states)
    rows += [_row(f"p(z = {k} at step {s} | x)", value, q.probs[s, k]) for (s, k), value in np.ndenumerate(marginals)]
    counts = q.transition_counts()
    rows += [_row(f"expected moves {i} → {j}", value, counts[i, j]) for (i, j), value in np.ndenumerate(pairs)]
    return rows


def worst_difference(rows: list[dict[str, Any]]) -> float:
    """The largest absolute difference in a table of `agreement`."""
    return max(abs(row["difference"]) for row in rows)


def _row(quantity: str, by_paths: float, by_passes: float) -> dict[str, Any]:
    by_paths, by_passes = float(by_paths), float(by_passes)
    return {
        "quantity": quantity,
        "all paths added up": by_paths,
        "forward and backward": by_passes,
        "difference": by_paths - by_passes,
    }
