"""What is raced: the same model from the same start for the same iterations, ours and a peer's.

Peers: scikit-learn (Gaussian mixtures), hmmlearn (hidden Markov models), StepMix (latent classes).
"""

import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from hmmlearn.hmm import GaussianHMM
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from stepmix.stepmix import StepMix

import emcore as em
from tests.benchmarks.timing import Work

GAUSSIAN_SHAPES = ((2_000, 2, 3), (100_000, 2, 3), (100_000, 8, 8), (1_000_000, 2, 5), (200_000, 32, 16))
COVARIANCES = ("full", "tied", "diag", "spherical")
ROWS_FOR_GROWTH = (10_000, 100_000, 1_000_000, 10_000_000)


class Contest(NamedTuple):
    """One race. `ours` is raced against the fastest of the others."""

    name: str
    contestants: Mapping[str, Work]
    iterations: tuple[int, int]  # (few, many) for a slope; (0, 1) times the whole
    goal: float | None = None  # how many times faster than the fastest peer
    memory: bool = False


def quiet(work: Callable[[int], Any]) -> Work:
    """The same without the peers' warnings that so few iterations have not converged."""

    def silent(iterations: int) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return work(iterations)

    return silent


def blobs(n: int, d: int, k: int, seed: int = 0) -> np.ndarray:
    """Rows (n, d) of k overlapping clusters."""
    rng = np.random.default_rng(seed)
    centres = 3.0 * rng.standard_normal((k, d))
    x = rng.standard_normal((n, d))
    x += centres[rng.integers(k, size=n)]
    return x


def gaussian_start(x: np.ndarray, k: int, covariance: str) -> dict[str, np.ndarray]:
    """Even weights, k rows as means, the covariance of the data for every component."""
    d = x.shape[1]
    common = np.cov(x[:10_000].T).reshape(d, d)
    covariances = {
        "full": np.tile(common, (k, 1, 1)),
        "tied": common,
        "diag": np.tile(np.diagonal(common), (k, 1)),
        "spherical": np.full(k, np.trace(common) / d),
    }[covariance]
    return {"weights": np.full(k, 1.0 / k), "means": x[:: max(1, len(x) // k)][:k].copy(), "covariances": covariances}


def precisions(covariance: str, covariances: np.ndarray) -> np.ndarray:
    """As scikit-learn takes its start."""
    return np.linalg.inv(covariances) if covariance in ("full", "tied") else 1.0 / covariances


def gaussian_mixture(n: int, d: int, k: int, covariance: str, goal: float | None, memory: bool = False) -> Contest:
    """One start, a fixed number of EM iterations."""
    x = blobs(n, d, k)
    start = gaussian_start(x, k, covariance)
    model = em.Mixture(em.Gaussian(covariance), k)

    def ours(iterations: int) -> Any:
        return em.fit(model, x, init=start, tol=0, max_iter=iterations)

    def scikit_learn(iterations: int) -> Any:
        return GaussianMixture(
            k,
            covariance_type=covariance,
            tol=0.0,
            reg_covar=0.0,
            max_iter=iterations,
            weights_init=start["weights"],
            means_init=start["means"],
            precisions_init=precisions(covariance, start["covariances"]),
            init_params="random",
            random_state=0,
        ).fit(x)

    few, many = (20, 220) if n <= 2_000 else (2, 12) if n * k * d <= 8_000_000 else (1, 5)
    contestants = {"ours": ours, "scikit-learn": quiet(scikit_learn)}
    return Contest(f"mixture {covariance} {n:,}×{d}×{k}", contestants, (few, many), goal, memory)


def many_starts(starts: int) -> Contest:
    """Old Faithful, three full components: 50 iterations from every start, seeding included."""
    x = em.datasets.load("old_faithful").to_numpy()
    model = em.Mixture(em.Gaussian("full"), 3)

    def ours(_: int) -> Any:
        return em.fit(model, x, restarts=starts, tol=0, max_iter=50, seed=0)

    def scikit_learn(_: int) -> Any:
        return GaussianMixture(3, n_init=starts, tol=0.0, reg_covar=0.0, max_iter=50, random_state=0).fit(x)

    contestants = {"ours": ours, "scikit-learn": quiet(scikit_learn)}
    return Contest(f"{starts} starts, mixture full 272×2×3", contestants, (0, 1), 40.0)


def latent_classes(n: int, items: int, k: int, starts: int, goal: float | None) -> Contest:
    """Two-level items, random responsibilities, 100 iterations for every start."""
    rng = np.random.default_rng(0)
    probs = rng.uniform(0.1, 0.9, size=(k, items))
    x = (rng.random((n, items)) < probs[rng.integers(k, size=n)]).astype(float)
    model = em.Mixture(em.Bernoulli(), k)

    def ours(_: int) -> Any:
        return em.fit(model, x, init="random-responsibilities", restarts=starts, tol=0, max_iter=100)

    def stepmix(_: int) -> Any:
        peer = StepMix(
            n_components=k,
            measurement="bernoulli",
            n_init=starts,
            max_iter=100,
            abs_tol=0.0,
            rel_tol=0.0,
            init_params="random",
            progress_bar=0,
            random_state=0,
            verbose=0,
        )
        return peer.fit(x)

    return Contest(
        f"latent classes {n:,}×{items}×{k}, {starts} starts", {"ours": ours, "StepMix": quiet(stepmix)}, (0, 1), goal
    )


def hidden_markov(sequences: int, length: int, states: int, goal: float | None) -> Contest:
    """Gaussian emissions in two features, diagonal covariances."""
    rng = np.random.default_rng(0)
    z = (rng.random(sequences * length) < 0.1).cumsum() % states
    x = rng.standard_normal((len(z), 2)) + 3.0 * np.stack([np.cos(z), np.sin(z)], axis=1)
    lengths = [length] * sequences
    start = {
        "start": np.full(states, 1.0 / states),
        "transitions": np.full((states, states), 0.1 / (states - 1)) + (0.9 - 0.1 / (states - 1)) * np.eye(states),
        "means": x[:: len(x) // states][:states].copy(),
        "covariances": np.ones((states, 2)),
    }
    model = em.HMM(em.Gaussian("diag"), states)

    def ours(iterations: int) -> Any:
        return em.fit(model, x, lengths=lengths, init=start, tol=0, max_iter=iterations)

    def hmmlearn(implementation: str) -> Work:
        def work(iterations: int) -> Any:
            settings = {"covariance_type": "diag", "covars_prior": 0.0, "covars_weight": 0.0, "min_covar": 0.0}
            peer = GaussianHMM(
                states, n_iter=iterations, tol=-np.inf, init_params="", implementation=implementation, **settings
            )
            peer.startprob_, peer.transmat_ = start["start"], start["transitions"]
            peer.means_, peer.covars_ = start["means"], start["covariances"]
            return peer.fit(x, lengths)

        return work

    contestants = {"ours": ours, "hmmlearn scaling": hmmlearn("scaling"), "hmmlearn log": hmmlearn("log")}
    return Contest(f"HMM {sequences:,} sequences of {length:,}, {states} states", contestants, (2, 7), goal)


def contests(quick: bool) -> Iterator[Contest]:
    """Every race; the quick ones only, on request."""
    goals = (6.0, 16.0, 10.0, 30.0, 5.0)
    for shape, goal in zip(GAUSSIAN_SHAPES, goals):
        if quick and shape[0] > 100_000:
            continue
        for covariance in COVARIANCES:
            first = covariance == "full"
            yield gaussian_mixture(*shape, covariance, goal if first else 1.0, memory=first and shape[0] == 1_000_000)
    yield many_starts(50)
    yield many_starts(100)
    yield latent_classes(118, 7, 3, starts=30, goal=40.0)
    if not quick:
        yield latent_classes(100_000, 10, 4, starts=1, goal=1.0)
    yield hidden_markov(1_000, 100, 4, goal=8.0)
    yield hidden_markov(1, 100_000, 4, goal=1.2)


def growth() -> Iterator[tuple[int, Work]]:
    """Rows and work of one full mixture (2 features, 5 components) as the rows grow."""
    for n in ROWS_FOR_GROWTH:
        x = blobs(n, 2, 5)
        start, model = gaussian_start(x, 5, "full"), em.Mixture(em.Gaussian("full"), 5)
        yield (
            n,
            lambda iterations, x=x, start=start, model=model: em.fit(model, x, init=start, tol=0, max_iter=iterations),
        )
