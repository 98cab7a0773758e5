"""How many components? Rows in, one fit for every k and its criteria out, or a sentence; never an exception.

The rows come from a data set or are the student's own. What was worked out of them is remembered with them: a class
shares the fits of the project's data sets.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from emcore.classroom import links
from emcore.classroom.selection_rows import DATASETS, LATENT, MOST_LEVELS, OWN, SHAPES, Rows
from emcore.em import fit
from emcore.esteps import exact
from emcore.families.categorical import Categorical
from emcore.families.gaussian import FraleyRaftery, Gaussian
from emcore.models.mixture import Mixture
from emcore.numerics import DegenerateError
from emcore.selection import BootstrapLRT, Candidate, Selection, bootstrap_lrt, icl, select
from emcore.trace import Trace, half_steps

FOLDS = 5
SAMPLES = (9, 19, 39, 99)
_UNFIT = (ValueError, DegenerateError)  # what a fit says of rows that it cannot begin with
IN_SAMPLE: Mapping[str, Any] = MappingProxyType({"restarts": 4, "tol": 1e-6, "max_iter": 300})
FOLD: Mapping[str, Any] = MappingProxyType({"restarts": 2, "tol": 1e-5, "max_iter": 100})
REFITTED: Mapping[str, Any] = MappingProxyType({"tol": 1e-6, "max_iter": 100})  # from where EM ended with fewer rows
TESTED = FOLD  # the rows, and every simulated sample


CONTROLS: Mapping[str, links.Control] = MappingProxyType(
    {
        "data": links.Choice((*DATASETS, *OWN)),
        "model": links.Choice((*SHAPES, LATENT)),
        "largest": links.Number(6, 2, 8),
        "prior": links.Choice((0, 0.1, 0.3, 1, 3, 10)),
        "copies": links.Number(1, 1, 10),
        "split": links.Number(0, 0, 9999),
        "k": links.Number(2, 1, 8),
        "hold": links.Flag(True),
        "samples": links.Choice(SAMPLES, 19),
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
    return rows.remember(_fitted, rows, settings)


def _fitted(rows: Rows, settings: SelectionSettings) -> Selection | str:
    trouble = _unfit(rows, settings)
    if trouble:
        return trouble
    ks = range(1, min(settings.largest, len(rows.x)) + 1)
    try:
        return Selection(tuple(rows.remember(_candidate, rows, make(settings, k)) for k in ks))
    except _UNFIT as error:
        return f"These rows cannot be fitted: {error}."


def _candidate(rows: Rows, model: Mixture) -> Candidate:
    """One k, so that a larger "k up to" adds one fit to those already made."""
    made = select([model], rows.x, criteria=("aic", "bic"), weight=rows.weight, **IN_SAMPLE)[0]
    return replace(made, icl=icl(made.fit)) if made.sound else made


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


def with_copies(rows: Rows | str, settings: SelectionSettings, copies: int) -> Selection | str:
    """The criteria if every row had been seen `copies` times; or why there is no fit.

    Without a prior the best parameters stay where they are, and log p(x) is multiplied; against a prior the rows gain
    weight, and EM goes on from each fit.
    """
    return rows if isinstance(rows, str) else rows.remember(_with_copies, rows, settings, copies)


def _with_copies(rows: Rows, settings: SelectionSettings, copies: int) -> Selection | str:
    once = fitted(rows, settings)
    if isinstance(once, str) or copies == 1:
        return once
    again = _refitted if settings.prior > 0 else _multiplied
    return Selection(tuple(again(candidate, rows, copies) if candidate.sound else candidate for candidate in once))


def _multiplied(candidate: Candidate, rows: Rows, copies: int) -> Candidate:
    deviance = -2.0 * copies * candidate.log_likelihood
    bic = deviance + candidate.n_params * float(np.log(copies * rows.n))
    return replace(
        candidate,
        log_likelihood=copies * candidate.log_likelihood,
        aic=deviance + 2.0 * candidate.n_params,
        bic=bic,
        icl=bic + copies * (candidate.icl - candidate.bic),
    )


def _refitted(candidate: Candidate, rows: Rows, copies: int) -> Candidate:
    problem = candidate.fit.problem
    weight = copies * (np.ones(len(rows.x)) if rows.weight is None else rows.weight)
    start = candidate.fit.params
    try:
        again = fit(problem.model, problem.x, init=start, weight=weight, **REFITTED)
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


def arrived(rows: Rows, settings: SelectionSettings, k: int) -> Trace | None:
    """Where EM ended with k components: the next E-step and nothing before it; None where nothing was fitted."""
    found = fitted(rows, settings)
    if isinstance(found, str) or k > len(found):
        return None
    return rows.remember(_arrived, rows, make(settings, k))


def _arrived(rows: Rows, model: Mixture) -> Trace:
    found = rows.remember(_candidate, rows, model).fit
    half = next(half_steps(found.problem, found.params, exact))
    model, x, weight = found.problem
    return Trace(model, x, weight, (half._replace(iteration=found.n_iter + 1),))


def run_of(rows: Rows, settings: SelectionSettings, k: int) -> Trace:
    """How EM got there: every half-step of the best start, of which the last few asked for are kept."""
    return rows.keep_few(_run_of, rows, make(settings, k))


def _run_of(rows: Rows, model: Mixture) -> Trace:
    return replace(rows.remember(_candidate, rows, model).fit).trace  # a fit of its own, not the one remembered


def held_out(rows: Rows, settings: SelectionSettings, k: int, copies: int = 1, seed: int = 0) -> float:
    """Log p of a row outside the four fifths fitted, mean over all rows; NaN where some fold has no sound fit.

    Copies of a row are dealt out like any other rows, so that they may end on both sides of the split.
    """
    return rows.remember(_held_out, rows, make(settings, k), copies, seed)


def _held_out(rows: Rows, model: Mixture, copies: int, seed: int) -> float:
    weight = np.ones(len(rows.x)) if rows.weight is None else rows.weight
    try:
        found = select(
            [model],
            rows.x,
            criteria=("held_out",),
            folds=FOLDS,
            seed=seed,
            weight=copies * weight,
            **FOLD,
        )
    except _UNFIT:  # a fold has fewer rows than components, or a constant column
        return float("nan")
    return found[0].held_out


def bootstrap(rows: Rows, settings: SelectionSettings, k: int, n_samples: int) -> BootstrapLRT | str:
    """Test k components against k + 1 by simulating from the fit with k; or why that cannot be done here."""
    return rows.remember(_bootstrap, rows, settings, k, n_samples)


def _bootstrap(rows: Rows, settings: SelectionSettings, k: int, n_samples: int) -> BootstrapLRT | str:
    if np.isnan(rows.x).any():
        return "The bootstrap simulates complete rows, but some cells are missing here: its answer would not be fair."
    try:
        return bootstrap_lrt(
            make(settings, k),
            make(settings, k + 1),
            rows.x,
            weight=rows.weight,
            n_bootstrap=n_samples,
            **TESTED,
        )
    except _UNFIT as error:
        return f"No test: {error}."


def choices(found: Selection) -> dict[str, int | None]:
    """The k that each criterion chooses, and the one of highest likelihood; None where no fit is sound."""
    sound = [candidate for candidate in found if candidate.sound]
    if not sound:
        return dict.fromkeys(("log-likelihood", "AIC", "BIC", "ICL"))
    return {
        "log-likelihood": max(sound, key=lambda candidate: candidate.log_likelihood).k,
        **{name.upper(): found.best(name).k for name in ("aic", "bic", "icl")},
    }


def numbers(found: Selection) -> Any:
    """The table of all candidates to read, as a polars frame: two decimals, and without what is not asked for there."""
    import polars.selectors as cs

    return found.to_frame().drop("held_out").with_columns(cs.float().round(2))


def as_link(settings: SelectionSettings, **others: Any) -> dict[str, Any]:
    """What a link must hold to restore the settings and the other controls."""
    return {"model": settings.model, "largest": settings.largest, "prior": settings.prior} | others
