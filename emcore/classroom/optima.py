"""Where do many starts end? The optima of a mixture, with what tells a sound fit from a broken one.

References: Day (1969), Biometrika 56, 463-474; McLachlan & Peel (2000), Finite Mixture Models, sections 3.8-3.10;
Fraley & Raftery (2007), J. Classification 24, 155-181 for the prior.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from emcore.classroom.shared import shared
from emcore.datasets import load
from emcore.families.gaussian import FraleyRaftery, Gaussian
from emcore.models.mixture import Mixture
from emcore.optima import Multistart, Optimum, multistart
from emcore.tables import gaussians
from emcore.trace import Problem

TOLERANCE, MOST_ITERATIONS = 1e-9, 1000
COLUMNS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"iris": ("sepal_length", "sepal_width", "petal_length", "petal_width"), "galaxies": ("velocity",)}
)
UNITS: Mapping[str, float] = MappingProxyType({"iris": 1.0, "galaxies": 1000.0})  # cm; thousands of km/s


@dataclass(frozen=True)
class ManySettings:
    """The controls of many starts; hashable, so that runs can be remembered by them."""

    dataset: str = "iris"
    n_components: int = 3
    prior_strength: float = 0.0
    restarts: int = 60
    seed: int = 0


class Ends(NamedTuple):
    """All optima, best sound one first; or the reason why there are none."""

    found: Multistart | None
    thinnest: tuple[float, ...] = ()  # per optimum: the smallest sd of a component in any direction, of the data's
    fewest: tuple[float, ...] = ()  # per optimum: rows that the smallest component holds
    trouble: str = ""

    @property
    def message(self) -> str:
        """What was found, in a sentence or two."""
        if self.found is None:
            return self.trouble
        starts, lost = len(self.found.fit.restarts), sum(o.starts for o in self.found if not o.sound)
        words = f"{starts} starts ended at {len(self.found)} different places, {lost} of the starts in a collapse."
        sound = [optimum for optimum in self.found if optimum.sound]
        if not sound:
            return words + " None is sound: fewer components, or a prior, would help."
        words += f" The highest sound one, {sound[0].objective:,.3f}, was reached {_times(sound[0].starts)}."
        if sound[0].starts < 3:
            thin = self.thinnest[0]
            words += f" Rarely: is it a spike? Its thinnest direction has {thin:.2g} of the data's standard deviation."
        return words

    @property
    def kind(self) -> str:
        """How loudly the message should be said."""
        if self.found is None or not self.found[0].sound:
            return "danger"
        return "warn" if self.found[0].starts < 3 or not all(o.sound for o in self.found) else "info"

    def rows(self) -> list[dict[str, object]]:
        """One row per optimum, for a table on the page."""
        if self.found is None:
            return []
        return [
            {
                "rank": rank,
                "objective": round(optimum.objective, 3),
                "log p(x)": round(optimum.log_likelihood, 3),
                "starts": optimum.starts,
                "ended": str(optimum.status),
                "thinnest sd ÷ data's": float(f"{thin:.2g}"),
                "rows of the smallest": round(few, 1),
            }
            for rank, (optimum, thin, few) in enumerate(zip(self.found, self.thinnest, self.fewest))
        ]

    def csv(self) -> str:
        """The same table as comma-separated values."""
        rows = self.rows()
        return "\n".join([",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows), ""]) if rows else ""


def _times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number} times")


@shared(32)
def ends(settings: ManySettings) -> Ends:
    """Full-covariance mixtures from many random rows; bad settings come back as words."""
    try:
        x = load(settings.dataset).select(COLUMNS[settings.dataset]).to_numpy() / UNITS[settings.dataset]
        prior = FraleyRaftery(settings.prior_strength) if settings.prior_strength > 0 else None
        found = multistart(
            Mixture(Gaussian("full", prior=prior), settings.n_components),
            x,
            init="random-rows",
            restarts=settings.restarts,
            seed=settings.seed,
            tol=TOLERANCE,
            max_iter=MOST_ITERATIONS,
        )
    except (KeyError, ValueError) as error:
        return Ends(None, trouble=f"These settings allow no run: {error}")
    shapes = [_shape(found.fit.problem, optimum) for optimum in found]
    return Ends(found, tuple(thin for thin, _ in shapes), tuple(few for _, few in shapes))


def _shape(problem: Problem, optimum: Optimum) -> tuple[float, float]:
    """Smallest standard deviation of a component in any direction, in the data's own units; rows of the smallest."""
    _, covariances = gaussians(problem.model, optimum.params)
    scale = problem.x.std(axis=0)
    variances = np.linalg.eigvalsh(covariances / np.outer(scale, scale))
    return float(np.sqrt(max(variances.min(), 0.0))), float(optimum.params.weights.min() * len(problem.x))
