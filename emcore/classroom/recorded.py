"""What lessons that show a run have in common: its half-steps, or the reason why there are none."""

from abc import ABC, abstractmethod
from typing import Any

from emcore.classroom.script import OneRun
from emcore.em import fit
from emcore.result import Fit
from emcore.trace import Trace


class ShowsTrace(ABC):
    """A lesson with half-steps to show."""

    @property
    @abstractmethod
    def trace(self) -> Trace:
        """The half-steps; ValueError where the settings allow none."""

    @property
    def worst_identity_error(self) -> float:
        """The largest |log p(x) - ELBO - KL| over the half-steps, in nats."""
        return max(abs(half.log_likelihood - half.elbo - half.kl) for half in self.trace)


class Recorded(ShowsTrace):
    """A lesson that holds the half-steps themselves."""

    run: Trace | None
    trouble: str

    @property
    def trace(self) -> Trace:
        """The half-steps; ValueError where the settings allow none."""
        if self.run is None:
            raise ValueError(self.trouble)
        return self.run


class Fitted(ShowsTrace):
    """A lesson that holds a fit."""

    fit: Fit | None
    trouble: str

    @property
    def trace(self) -> Trace:
        """The half-steps; ValueError where the settings allow none."""
        if self.fit is None:
            raise ValueError(self.trouble)
        return self.fit.trace


def one_run(model: Any, x: Any, settings: OneRun, tol: float) -> Fit:
    """The run of these settings from the start that they draw, half-steps recorded: `script.one_run` is its code."""
    return fit(
        model,
        x,
        init=settings.init,
        restarts=1,
        seed=settings.seed,
        tol=tol,
        max_iter=settings.max_iter,
        trace=True,
    )
