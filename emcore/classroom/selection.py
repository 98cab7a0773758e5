"""How many components? Rows in, one fit for every k and its criteria out, or a sentence; never an exception.

The rows come from a data set or are the student's own. Fits of the project's data sets are remembered, so that a class
shares them; what a student brought is not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np

from emcore.classroom import links
from emcore.classroom.selection_rows import DATASETS, LATENT, MOST_LEVELS, OWN, SHAPES, Rows
from emcore.em import fit
from emcore.families.categorical import Categorical
from emcore.families.gaussian import FraleyRaftery, Gaussian
from emcore.models.mixture import Mixture
from emcore.numerics import DegenerateError
from emcore.selection import BootstrapLRT, Selection, bootstrap_lrt, icl, select

FOLDS = 5
_UNFIT = (ValueError, DegenerateError)  # what a fit says of rows that it cannot begin with
_TRY = "Try fewer components, a simpler covariance or a prior strength above 0."
_IN_SAMPLE: Mapping[str, Any] = MappingProxyType({"restarts": 4, "tol": 1e-6, "max_iter": 300})
_FOLD: Mapping[str, Any] = MappingProxyType({"restarts": 2, "tol": 1e-5, "max_iter": 100})


CONTROLS: Mapping[str, links.Control] = MappingProxyType(
    {
        "data": links.Choice((*DATASETS, *OWN)),
        "model": links.Choice((*SHAPES, LATENT)),
        "largest": links.Number(6, 2, 8),
        "prior": links.Choice((0, 0.1, 0.3, 1, 3, 10)),
        "copies": links.Number(1, 1, 10),
        "split": links.Number(0, 0, 9999),
        "k": links.Number(2, 1, 8),
    }
)
PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "Iris: two or three?": {},
        "Iris, one shape for all": {"model": "tied", "k": 4},
        "BIC changes its mind": {"copies": 5},
        "Old Faithful: density or clusters?": {"data": "Old Faithful", "k": 3},
        "Galaxies": {"data": "Galaxies", "largest": 8, "k": 3},
        "Latent classes": {"data": "Carcinoma: seven pathologists", "model": LATENT, "largest": 5, "k": 3},
    }
)


@dataclass(frozen=True)
class SelectionSettings:
    """The controls that a fit depends on."""

    model: str = "full"  # one of SHAPES, or LATENT
    largest: int = 6
    prior: float = 0.0  # strength of the Gaussians' prior; pseudo-counts of every level of a latent class


def make(settings: SelectionSettings, k: int) -> Mixture:
    """The model with k components."""
    if settings.model == LATENT:
        return Mixture(Categorical(prior=settings.prior), k)
    prior = FraleyRaftery(settings.prior) if settings.prior > 0 else None
    return Mixture(Gaussian(settings.model, prior=prior), k)


def fitted(rows: Rows, settings: SelectionSettings) -> Selection | str:
    """A fit for every k from 1 to the largest, with log-likelihood, AIC, BIC and ICL; or why there is none."""
    return _remembered(rows, settings) if rows.shared else _fitted(rows, settings)


def _fitted(rows: Rows, settings: SelectionSettings) -> Selection | str:
    trouble = _unfit(rows, settings)
    if trouble:
        return trouble
    largest = min(settings.largest, len(rows.x))
    try:
        return select(
            lambda k: make(settings, k),
            rows.x,
            k=range(1, largest + 1),
            criteria=("aic", "bic", "icl"),
            weight=rows.weight,
            **_IN_SAMPLE,
        )
    except _UNFIT as error:
        return f"These rows cannot be fitted: {error}."


_remembered = lru_cache(maxsize=256)(_fitted)


def _unfit(rows: Rows, settings: SelectionSettings) -> str:
    """What can be said before anything is fitted."""
    if len(rows.x) < 2:
        return "One row is not enough: give at least two."
    if settings.model == LATENT and np.nanmax(rows.x) >= MOST_LEVELS:
        return f"Latent classes need codes 0, 1, … of at most {MOST_LEVELS} levels: these columns hold measurements."
    for name, column in zip(rows.names, rows.x.T, strict=True):
        seen = column[~np.isnan(column)]
        if not len(seen) or (settings.model != LATENT and seen.min() == seen.max()):
            return f"The column “{name}” holds one number only in the rows used: leave it out."
    return ""


def with_copies(found: Selection, copies: int) -> Selection:
    """The criteria if every row had been seen `copies` times: EM goes on from each fit, the weights multiplied."""
    if copies == 1:
        return found
    return Selection(tuple(_copied(candidate, copies) for candidate in found))


def _copied(candidate: Any, copies: int) -> Any:
    if not candidate.sound:
        return candidate
    problem = candidate.fit.problem
    weight = np.full(len(problem.x), float(copies)) if problem.weight is None else copies * problem.weight
    start = candidate.fit.params
    try:
        again = fit(problem.model, problem.x, init=start, weight=weight, tol=_IN_SAMPLE["tol"], max_iter=100)
    except _UNFIT:  # the fit is so near a collapse that it is no start
        return replace(candidate, sound=False)
    return replace(
        candidate,
        log_likelihood=again.log_likelihood,
        aic=again.aic(),
        bic=again.bic(),
        icl=icl(again),
        status=again.status,
        fit=again,
    )


def held_out(rows: Rows, settings: SelectionSettings, k: int, copies: int = 1, seed: int = 0) -> float:
    """Log p of a row outside the four fifths fitted, mean over all rows; NaN where some fold has no sound fit.

    Copies of a row are dealt out like any other rows, so that they may end on both sides of the split.
    """
    ask = _remembered_held_out if rows.shared else _held_out
    return ask(rows, settings, k, copies, seed)


def _held_out(rows: Rows, settings: SelectionSettings, k: int, copies: int, seed: int) -> float:
    weight = np.ones(len(rows.x)) if rows.weight is None else rows.weight
    try:
        found = select(
            [make(settings, k)],
            rows.x,
            criteria=("held_out",),
            folds=FOLDS,
            seed=seed,
            weight=copies * weight,
            **_FOLD,
        )
    except _UNFIT:  # a fold has fewer rows than components, or a constant column
        return float("nan")
    return found[0].held_out


_remembered_held_out = lru_cache(maxsize=2048)(_held_out)


def bootstrap(rows: Rows, settings: SelectionSettings, k: int, n_samples: int) -> BootstrapLRT | str:
    """Test k components against k + 1 by simulating from the fit with k; or why that cannot be done here."""
    if np.isnan(rows.x).any():
        return "The bootstrap simulates complete rows, but some cells are missing here: its answer would not be fair."
    try:
        return bootstrap_lrt(
            make(settings, k),
            make(settings, k + 1),
            rows.x,
            weight=rows.weight,
            n_bootstrap=n_samples,
            restarts=2,
            tol=1e-5,
            max_iter=100,
        )
    except _UNFIT as error:
        return f"No test: {error}."


def verdict(test: BootstrapLRT | str, k: int) -> str:
    """What the simulated likelihood ratio says, in one or two sentences; or why there is none."""
    if isinstance(test, str):
        return test
    n = len(test.simulated)
    beyond = int((test.simulated >= test.statistic).sum())
    said = (
        f"2 × the gain in log-likelihood from k = {k} to {k + 1} is {test.statistic:,.2f}; {beyond} of {n} samples "
        f"without component {k} reach it: p = (1 + {beyond})/(1 + {n}) = {test.p_value:.3f}."
    )
    aside = f" {test.set_aside} samples were set aside: a component collapsed." if test.set_aside else ""
    return said + aside


def choices(found: Selection) -> dict[str, int | None]:
    """The k that each criterion chooses, and the one of highest likelihood; None where no fit is sound."""
    sound = [candidate for candidate in found if candidate.sound]
    if not sound:
        return dict.fromkeys(("log-likelihood", "AIC", "BIC", "ICL"))
    return {
        "log-likelihood": max(sound, key=lambda candidate: candidate.log_likelihood).k,
        "AIC": found.best("aic").k,
        "BIC": found.best("bic").k,
        "ICL": found.best("icl").k,
    }


def numbers(found: Selection) -> Any:
    """The table of all candidates to read, as a polars frame: two decimals, and without what is not asked for there."""
    import polars.selectors as cs

    return found.to_frame().drop("held_out").with_columns(cs.float().round(2))


def lost(found: Selection) -> str:
    """Which k have no sound fit, and what to try; "" where all have."""
    broken = [str(candidate.k) for candidate in found if not candidate.sound]
    if not broken:
        return ""
    return (
        f"No value for k = {', '.join(broken)}: a component collapsed from every start, and the likelihood there has "
        f"no maximum. {_TRY}"
    )


def lost_folds(found: Selection, scores: Sequence[float]) -> str:
    """Which sound k could not be held out, and what to try; "" where all could."""
    broken = [str(row.k) for row, score in zip(found, scores, strict=True) if row.sound and not np.isfinite(score)]
    if not broken:
        return ""
    return (
        f"No rows could be held out for k = {', '.join(broken)}: with a fifth of the rows away, some component "
        f"collapses, or a row held out has probability 0. {_TRY}"
    )
