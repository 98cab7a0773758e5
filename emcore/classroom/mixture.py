"""What an app asks for: settings in, a recorded run and a sentence out; never an exception for bad settings.

Pure functions of their arguments. Runs are remembered by settings, so that thirty students who move a slider to the
same place share one fit.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from emcore.datasets import load
from emcore.em import Fit, fit
from emcore.esteps import exact, hard
from emcore.families.gaussian import FraleyRaftery, Gaussian
from emcore.models.mixture import Mixture
from emcore.stopping import Status
from emcore.trace import Problem, Trace, pose, start_params

BY_HAND = "by hand"
TOLERANCE = 1e-10  # nats per row: enough for the eye


@dataclass(frozen=True)
class MixtureSettings:
    """The controls of the Gaussian-mixture app; hashable, so runs can be remembered by them."""

    dataset: str
    columns: tuple[str, str]
    n_components: int
    covariance: str = "full"
    init: str = "k-means++"
    seed: int = 0
    means: tuple[tuple[float, float], ...] = ()  # used when init is "by hand"
    prior_strength: float = 0.0
    hard: bool = False
    max_iter: int = 30


@dataclass(frozen=True)
class Lesson:
    """A recorded run, or the reason why there is none and what to try."""

    fit: Fit | None
    trouble: str = ""

    @property
    def trace(self) -> Trace:
        """The half-steps; ValueError where the settings allow none."""
        if self.fit is None:
            raise ValueError(self.trouble)
        return self.fit.trace

    @property
    def kind(self) -> str:
        """How loudly the message should be said: "success", "info", "warn" or "danger"."""
        if self.fit is None:
            return "danger"
        loud = {Status.CONVERGED: "success", Status.MAX_ITER: "info"}
        return loud.get(self.fit.status, "warn")

    @property
    def message(self) -> str:
        """A sentence on how the run ended."""
        return self.trouble if self.fit is None else f"{self.fit.status}: {self.fit.message}"

    @property
    def worst_identity_error(self) -> float:
        """The largest |log p(x) - ELBO - KL| over the half-steps, in nats."""
        return max(abs(half.log_likelihood - half.elbo - half.kl) for half in self.trace)


def table(dataset: str, columns: tuple[str, ...]) -> Any:
    """The complete rows of some columns of a data set, as a polars frame."""
    return load(dataset).select(columns).drop_nulls()


def numeric_columns(dataset: str) -> list[str]:
    """The columns that a mixture can be fitted to: measurements, not identifiers."""
    frame = load(dataset)
    return [name for name, kind in frame.schema.items() if kind.is_float() or (kind.is_integer() and name != "year")]


def seeded_means(settings: MixtureSettings) -> tuple[tuple[float, float], ...]:
    """Where the settings' start puts the means: the places of the handles before anyone moves them; () if it cannot."""
    method = "k-means++" if settings.init == BY_HAND else settings.init
    try:
        params = _start(_posed(settings), replace(settings, init=method))
    except ValueError:
        return ()
    return tuple((float(a), float(b)) for a, b in params.means)


@lru_cache(maxsize=256)
def mixture_lesson(settings: MixtureSettings) -> Lesson:
    """Run EM on the settings, half-steps recorded; bad settings come back as a sentence in `trouble`."""
    try:
        problem = _posed(settings)
        return Lesson(
            fit(
                problem.model,
                problem.x,
                init=_start(problem, settings),
                tol=TOLERANCE,
                max_iter=settings.max_iter,
                e_step=hard if settings.hard else exact,
                trace=True,
            )
        )
    except ValueError as error:
        return Lesson(None, str(error))


def _posed(settings: MixtureSettings) -> Problem:
    prior = FraleyRaftery(settings.prior_strength) if settings.prior_strength > 0 else None
    model = Mixture(Gaussian(settings.covariance, prior=prior), settings.n_components)
    return pose(model, table(settings.dataset, settings.columns))


def _start(problem: Problem, settings: MixtureSettings) -> Any:
    """The start that `fit` would draw for a named method and seed, or one with the means placed by hand."""
    if settings.init != BY_HAND:
        return start_params(problem, settings.init, np.random.default_rng(settings.seed).spawn(1)[0])
    means = np.asarray(settings.means, dtype=float)
    if means.shape != (settings.n_components, problem.x.shape[1]):
        raise ValueError(f"{settings.n_components} components need as many means, but {len(means)} are placed")
    return problem.model.params_at_means(problem.x, means)
