"""The digits by many causes at once: factor models of the grey levels, and their rival on the same ground."""

from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from emcore.classroom.digits import TOLERANCE, grey
from emcore.classroom.mixture import Lesson
from emcore.classroom.shared import shared
from emcore.classroom.tables import markdown_table
from emcore.em import fit
from emcore.families.gaussian import Gaussian
from emcore.models.factor_analysis import PPCA, FactorAnalysis
from emcore.models.mixture import Mixture

FACTOR_MODELS = MappingProxyType({"PPCA": PPCA, "factor analysis": FactorAnalysis})
WORDS = (
    "A mixture says that each image has **one** cause. Factor analysis and PPCA say that all causes act at once, each "
    "as strongly as its own $z_j$: the loadings below are added, with any sign, to the mean image (Tipping & Bishop "
    "1999). The factors' posterior is Gaussian and exact, and the half-steps are the same. Their images are not parts "
    "or styles: any rotation of the factors fits as well."
)


class FactorRow(NamedTuple):
    """A model of the grey levels, and what it makes of a row."""

    model: str
    free_parameters: int
    log_likelihood_per_row: float


def inked_pixels() -> tuple[int, ...]:
    """The pixels (61) that vary: three are blank in every image."""
    return tuple(np.flatnonzero(grey().std(axis=0) > 0).tolist())


@shared(24)
def factor_lesson(name: str, n_factors: int) -> Lesson:
    """PPCA or factor analysis of the grey levels of the pixels that vary, half-steps recorded."""
    model = FACTOR_MODELS[name](n_factors, noise_prior=1.0)
    return Lesson(fit(model, grey()[:, inked_pixels()], restarts=1, seed=0, tol=TOLERANCE, max_iter=20, trace=True))


@shared(8)
def round_mixture(n_components: int) -> FactorRow:
    """The mixture's rival to the factors on their own ground: round Gaussian clusters of the same grey levels."""
    found = fit(
        Mixture(Gaussian("spherical"), n_components),
        grey()[:, inked_pixels()],
        restarts=1,
        seed=0,
        tol=1e-6,
        max_iter=30,
    )
    return FactorRow(
        f"{n_components} round Gaussian clusters", found.n_params, round(found.log_likelihood / found.n_rows, 2)
    )


def factor_row(name: str, n_factors: int) -> FactorRow:
    """A factor model as a line of the comparison."""
    found = factor_lesson(name, n_factors).fit
    assert found is not None
    return FactorRow(f"{name}, {n_factors} factors", found.n_params, round(found.log_likelihood / found.n_rows, 2))


def compared(name: str, n_factors: int, n_components: int) -> str:
    """A factor model beside round clusters of the same pixels, as a table in Markdown."""
    rows = (factor_row(name, n_factors), round_mixture(n_components))
    table = markdown_table([{field.replace("_", " "): value for field, value in row._asdict().items()} for row in rows])
    return (
        f"{table}\n\nIn nats per image, of the grey levels of the {len(inked_pixels())} pixels that vary. The "
        "Bernoulli mixture above cannot join in: it gives probabilities of black and white, these give densities of "
        "grey, and the two have different units."
    )
