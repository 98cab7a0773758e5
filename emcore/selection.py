"""How many components? Information criteria, held-out likelihood, and a bootstrap of the likelihood ratio.

All criteria are on the scale of -2 log-likelihood (smaller is better), but for `held_out`, the log-likelihood per
unseen row (larger is better). They answer different questions: BIC the number of densities, ICL that of well
separated clusters, held-out likelihood the best predictions.
References: Schwarz (1978), Ann. Statist. 6, 461-464; Akaike (1974), IEEE Trans. Autom. Control 19, 716-723; Biernacki,
Celeux & Govaert (2000), IEEE Trans. PAMI 22, 719-725; McLachlan (1987), Appl. Statist. 36, 318-324.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np

from emcore.em import fit
from emcore.numerics import log_or_minus_inf, total
from emcore.optima import n_labels
from emcore.posteriors import CategoricalPosterior
from emcore.result import Fit
from emcore.stopping import LOST, Status
from emcore.trace import Problem, pose

CRITERIA = ("bic", "aic", "icl", "held_out")


@dataclass(frozen=True)
class Candidate:
    """One model fitted, and its criteria; NaN for one not asked for or not defined for the model."""

    k: Any  # the number of components, or whatever names the model
    log_likelihood: float
    n_params: int
    bic: float
    aic: float
    icl: float
    held_out: float  # log-likelihood per row outside the rows fitted, mean over folds
    status: Status
    sound: bool  # False: every start ended degenerate, and the numbers mean nothing
    fit: Fit


@dataclass(frozen=True)
class Selection:
    """The candidates in the order given. Index it like a sequence."""

    candidates: tuple[Candidate, ...]

    def __len__(self) -> int:
        return len(self.candidates)

    def __getitem__(self, index: int) -> Candidate:
        return self.candidates[index]

    def __iter__(self) -> Iterator[Candidate]:
        return iter(self.candidates)

    def best(self, criterion: str = "bic") -> Candidate:
        """The best sound candidate; ValueError for an unknown criterion, or where no sound candidate has it."""
        if criterion not in CRITERIA:
            raise ValueError(f"criterion must be one of {', '.join(map(repr, CRITERIA))}, not {criterion!r}")
        able = [row for row in self.candidates if row.sound and not np.isnan(getattr(row, criterion))]
        if not able:
            raise ValueError(f"no sound candidate has {criterion}: it was not asked for, or every fit is degenerate")
        sign = 1.0 if criterion == "held_out" else -1.0
        return max(able, key=lambda row: sign * getattr(row, criterion))

    def to_frame(self) -> Any:
        """A polars frame, one row per candidate, without the fits."""
        import polars as pl

        names = [f.name for f in fields(Candidate) if f.name not in ("status", "fit")]
        columns = {name: [getattr(row, name) for row in self.candidates] for name in names}
        return pl.DataFrame(columns | {"status": [str(row.status) for row in self.candidates]})


def select(
    models: Any,
    x: Any,
    *,
    k: Iterable[Any] | None = None,
    criteria: Iterable[str] = CRITERIA,
    folds: int = 5,
    seed: int = 0,
    weight: Any = None,
    lengths: Any = None,
    **settings: Any,
) -> Selection:
    """Fit several models to the same rows and tabulate the criteria.

    `models`: a function from k to a model together with `k=` (`select(lambda k: em.Mixture(em.Gaussian(), k), x,
    k=range(1, 7))`), a mapping of names to models, or a sequence of models. `settings` go to `fit` (`restarts`, `init`,
    `tol`, …). Folds are drawn from `seed`, the same for all models; whole weights count rows, so that a frequency table
    is cut as its rows would be. ICL needs a finite z per row.

    Raises ValueError for an unknown criterion, or for `held_out` with sequences, whose rows cannot be dealt out.
    """
    wanted = (criteria,) if isinstance(criteria, str) else tuple(criteria)
    unknown = [name for name in wanted if name not in CRITERIA]
    if unknown or not wanted:
        raise ValueError(f"criteria must be among {', '.join(map(repr, CRITERIA))}, not {wanted}")
    rows = []
    if "held_out" in wanted and not (isinstance(folds, int | np.integer) and folds >= 2):
        raise ValueError(f"folds must be between 2 and the number of rows, a whole number, not {folds!r}")
    for name, model in _named(models, k):
        if "held_out" in wanted and hasattr(model, "check_sequences"):
            raise ValueError('held_out deals out rows, and sequences have an order: use criteria=("bic", "aic")')
        found = fit(model, x, seed=seed, weight=weight, lengths=lengths, **settings)
        held_out = _held_out(found.problem, folds, seed, settings) if "held_out" in wanted else np.nan
        rows.append(_candidate(name, found, held_out, wanted))
    return Selection(tuple(rows))


def _named(models: Any, k: Iterable[Any] | None) -> list[tuple[Any, Any]]:
    if callable(models):
        if k is None:
            raise ValueError("a function that makes models needs k=, such as k=range(1, 7)")
        if not np.iterable(k):
            raise TypeError(f"k must name several values, such as k=range(1, 7), not {k!r}")
        return [(value, models(value)) for value in k]
    if k is not None:
        raise ValueError("k= goes with a function that makes models, not with models already made")
    if not np.iterable(models):
        raise TypeError(f"models must be a function of k, a mapping of names to models or a sequence; not {models!r}")
    if isinstance(models, Mapping):
        return list(models.items())
    return [(i if n_labels(model) is None else n_labels(model), model) for i, model in enumerate(models)]


def _candidate(name: Any, found: Fit, held_out: float, wanted: tuple[str, ...]) -> Candidate:
    return Candidate(
        k=name,
        log_likelihood=found.log_likelihood,
        n_params=found.n_params,
        bic=found.bic() if "bic" in wanted else np.nan,
        aic=found.aic() if "aic" in wanted else np.nan,
        icl=icl(found) if "icl" in wanted else np.nan,
        held_out=held_out,
        status=found.status,
        sound=found.status not in LOST,
        fit=found,
    )


def icl(found: Fit) -> float:
    """BIC - 2 Σ_i log max_k p(z = k | x_i): BIC of the data completed with their most probable z.

    Biernacki, Celeux & Govaert (2000). NaN for a model whose z is not one component per row.
    """
    model, x, weight = found.problem
    q = model.posterior(found.params, x)
    q = getattr(q, "labels", q)  # missing cells may be latent beside z
    if not isinstance(q, CategoricalPosterior):
        return np.nan
    return found.bic() - 2.0 * total(log_or_minus_inf(q.probs.max(axis=1)), weight)


def _held_out(problem: Problem, folds: int, seed: int, settings: dict[str, Any]) -> float:
    """Mean log p(x_i) of rows outside the rows fitted; NaN where a fold's fit is degenerate.

    The model stays resolved on all rows, so that a level or scale found in one fold alone is known to all.
    """
    model, x, weight = problem
    weights = np.ones(len(x)) if weight is None else weight
    value = 0.0
    for out in deal(weights, folds, np.random.default_rng(seed)):
        kept = weights - out
        rows, unseen = kept > 0, out > 0
        found = fit(model, x[rows], weight=kept[rows], seed=seed, **settings)
        if found.status in LOST:
            return np.nan
        value += total(model.log_likelihood(found.params, x[unseen]), out[unseen])
    return value / float(weights.sum())


def deal(weights: np.ndarray, folds: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Weights (n,) of each fold: they add up to `weights`, and their sums are as equal as can be.

    Whole weights are dealt row by row as if every row were written out; others keep their rows together.
    """
    whole = bool((weights == np.floor(weights)).all())
    units = weights.astype(np.int64) if whole else np.ones(len(weights), dtype=np.int64)
    if not 2 <= folds <= units.sum():
        raise ValueError(f"folds must be between 2 and the number of rows, {units.sum()}, not {folds}")
    owner = rng.permutation(np.repeat(np.arange(len(units)), units))
    counts = [np.bincount(part, minlength=len(units)) for part in np.array_split(owner, folds)]
    return [count.astype(float) if whole else count * weights for count in counts]


class BootstrapLRT(NamedTuple):
    """A likelihood-ratio test whose null distribution is simulated."""

    statistic: float  # 2 (log-likelihood of the larger - of the smaller model)
    p_value: float  # (1 + simulated ≥ observed) / (1 + simulated)
    simulated: np.ndarray  # statistics of the samples from the smaller model whose fits were sound
    set_aside: int  # samples in which one of the two fits was degenerate
    smaller: Fit
    larger: Fit


def bootstrap_lrt(
    smaller: Any,
    larger: Any,
    x: Any,
    *,
    n_bootstrap: int = 99,
    seed: int = 0,
    weight: Any = None,
    tol: float = 1e-7,
    max_iter: int = 500,
    **settings: Any,
) -> BootstrapLRT:
    """Test `smaller` (say k components) against `larger` (k + 1) by parametric bootstrap (McLachlan 1987).

    The chi-squared approximation fails here: the smaller model lies on the boundary of the larger. Samples of the same
    size are drawn from the smaller model's fit, and both are fitted to each as they were to x (with hyper-parameters as
    x scaled them); `settings` go to `fit`. A needless component converges very slowly and gains nothing worth the wait,
    hence `tol` and `max_iter`. Too few `restarts` make the statistics too low. `weight` must be whole.

    Raises ValueError where one of the fits to x is degenerate, TypeError for a model that cannot `sample`.
    """
    if not (isinstance(n_bootstrap, int | np.integer) and n_bootstrap >= 1):
        raise ValueError(f"n_bootstrap must be a whole number of at least 1, not {n_bootstrap!r}")
    if not hasattr(smaller, "sample"):
        raise TypeError(f"{type(smaller).__name__} cannot be simulated: it has no sample(params, n, rng)")
    settings |= {"tol": tol, "max_iter": max_iter}
    weight = pose(smaller, x, weight).weight
    if weight is not None and (weight != np.floor(weight)).any():
        raise ValueError("weight must be whole numbers here, counts of rows: a sample has that many rows")
    null, rival = (fit(model, x, seed=seed, weight=weight, **settings) for model in (smaller, larger))
    for found in (null, rival):
        if found.status in LOST:
            raise ValueError(f"the fit of {found.model} to x is {found.status}: {found.message}")
    if null.n_params >= rival.n_params:
        raise ValueError(f"smaller has {null.n_params} parameters, but larger only {rival.n_params}: swap them")
    draws = [_ratio(null, rival, rng, settings) for rng in np.random.default_rng(seed).spawn(n_bootstrap)]
    simulated = np.array([value for value in draws if np.isfinite(value)])
    statistic = 2.0 * (rival.log_likelihood - null.log_likelihood)
    beyond = int((simulated >= statistic).sum())
    return BootstrapLRT(
        statistic, (1 + beyond) / (1 + len(simulated)), simulated, n_bootstrap - len(simulated), null, rival
    )


def _ratio(null: Fit, rival: Fit, rng: np.random.Generator, settings: dict[str, Any]) -> float:
    """The statistic of one sample from the null fit; NaN where a fit of it is degenerate."""
    x, _ = null.model.sample(null.params, round(null.n_rows), rng)
    seed = int(rng.integers(2**31))
    pair = [fit(found.problem.model, x, seed=seed, **settings) for found in (null, rival)]
    if any(found.status in LOST for found in pair):
        return np.nan
    return 2.0 * (pair[1].log_likelihood - pair[0].log_likelihood)
