"""Ratings by fallible annotators of items whose true class is hidden.

z_i                      ~  Categorical(weights), the true class of item i
label of i by a | z = k  ~  Categorical(error_rates_ak), ratings independent given the class
log p(item i)            =  log Σ_k weights_k Π_{ratings (a, l) of i} error_rates_akl   (no multinomial coefficients)
prior                    ~  pseudo-ratings: `prior[0]` right ones and `prior[1]` of each wrong label for every (a, k);
                            `weight_prior` pseudo-items in every class
Reference: Dawid & Skene (1979), Applied Statistics 28, 20-28.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.special import xlogy

from emcore.data import as_matrix, check_counts
from emcore.families.binomial import check_pseudo
from emcore.initialise import as_responsibilities, soften
from emcore.model import AbstractDiscreteLatent
from emcore.models.checks import check_method, named_fields, simplex_field
from emcore.numerics import DegenerateError, log_for_counts, log_or_minus_inf, restore_log_zero
from emcore.parameters import Constraint, Simplex
from emcore.posteriors import CategoricalPosterior


class DawidSkeneParams(NamedTuple):
    """Prevalence of the classes and every annotator's confusion matrix."""

    weights: np.ndarray  # (k,)
    error_rates: np.ndarray  # (annotators, k, k): [a, true class, label], rows sum to one


class DawidSkeneStats(NamedTuple):
    """Expected items of each class, and labels given to them."""

    items: np.ndarray  # (k,)
    labels: np.ndarray  # (annotators, k, k)


@dataclass(frozen=True, eq=False)
class Ratings:
    """A long table of ratings, read and checked. Its length is the number of items."""

    item: np.ndarray  # (r,) 0, 1, … in the order of the items' codes
    annotator: np.ndarray  # (r,)
    label: np.ndarray  # (r,)
    codes: np.ndarray  # (n,) the code of every item

    def __len__(self) -> int:
        return len(self.codes)

    def shares(self, n_classes: int) -> np.ndarray:
        """The share of every label among an item's ratings (n, k)."""
        counts = np.zeros((len(self), n_classes))
        np.add.at(counts, (self.item, self.label), 1.0)
        return counts / counts.sum(axis=1, keepdims=True)


@dataclass(frozen=True)
class DawidSkene(AbstractDiscreteLatent):
    """Items with `n_classes` hidden classes; x is a long table of whole numbers (item, annotator, label), one row per
    rating. Params have `weights` (k,) and `error_rates` (annotators, k, k).

    Annotators and labels are numbered from 0. Items may have any codes ≥ 0: everything that comes back per item is in
    the order of the codes. An item may have any number of ratings, also several by one annotator. `weight=` is one
    per item. Renaming the classes changes nothing in the likelihood; what ties classes to labels is the start, the
    share of each label among an item's ratings ("majority", and what fit does by default). An annotator who, by the
    responsibilities, never met a class keeps the present error rates for it (alike for all labels at a start).

    >>> import emcore as em
    >>> ratings = [[0, 0, 1], [0, 1, 1], [0, 2, 0], [1, 0, 0], [1, 1, 0], [1, 2, 0], [2, 0, 1], [2, 1, 1], [2, 2, 1]]
    >>> fit = em.fit(em.DawidSkene(2), ratings, init="majority", restarts=1)
    >>> fit.predict(ratings)
    array([1, 0, 1])
    >>> fit.params.error_rates[2].round(3)
    array([[1. , 0. ],
           [0.5, 0.5]])
    """

    n_classes: int
    prior: tuple[float, float] = (0.0, 0.0)
    weight_prior: float = 0.0

    def __post_init__(self) -> None:
        if isinstance(self.n_classes, bool) or not isinstance(self.n_classes, int | np.integer) or self.n_classes < 1:
            raise ValueError(f"n_classes must be a whole number of at least 1, not {self.n_classes!r}")
        check_pseudo(self.prior, 2)
        check_pseudo((self.weight_prior,), 1)

    def check(self, x: Any) -> Any:
        """The ratings; TypeError or ValueError where x is no long table (item, annotator, label)."""
        if isinstance(x, Ratings):
            return x
        x = as_matrix(x)
        if x.shape[1] != 3:
            raise ValueError(f"x must have three columns (item, annotator, label), but it has {x.shape[1]}")
        check_counts(x, "DawidSkene", np.array([np.inf, np.inf, self.n_classes - 1.0]))
        codes, item = np.unique(x[:, 0], return_inverse=True)
        annotator, label = x[:, 1:].astype(np.intp).T
        return Ratings(item.ravel(), annotator, label, codes.astype(np.intp))

    def resolve(self, x: Any) -> "DawidSkene":
        """Itself; ValueError where an annotator has no rating."""
        absent = np.flatnonzero(np.bincount(x.annotator) == 0)
        if len(absent):
            raise ValueError(f"annotator {absent[0]} has no rating: number the annotators 0, 1, … without gaps")
        return self

    def log_joint(self, params: Any, x: Any) -> np.ndarray:
        """log weights_k + Σ log error rates of the item's ratings (n, k)."""
        x = self.check(x)
        n_annotators = len(params.error_rates)
        if (x.annotator >= n_annotators).any():
            raise ValueError(f"x has annotator {x.annotator.max()}, but the parameters know 0 to {n_annotators - 1}")
        logs = log_for_counts(params.error_rates)[x.annotator, :, x.label]  # (r, k)
        per_item = [np.bincount(x.item, logs[:, k], len(x)) for k in range(self.n_classes)]
        return log_or_minus_inf(params.weights) + restore_log_zero(np.column_stack(per_item))

    def latent_prior(self, params: Any, x: Any) -> CategoricalPosterior:
        """p(z) for every item: the weights (n, k)."""
        return CategoricalPosterior(np.broadcast_to(params.weights, (len(self.check(x)), self.n_classes)))

    def expected_log_conditional(self, params: Any, x: Any, q: CategoricalPosterior) -> np.ndarray:
        """E_q of the log-probability of an item's ratings (n,)."""
        alone = params._replace(weights=np.ones(self.n_classes))
        log_prob = self.log_joint(alone, x)
        return np.multiply(q.probs, log_prob, out=np.zeros(log_prob.shape), where=q.probs > 0).sum(axis=1)

    def suff_stats(self, x: Any, q: CategoricalPosterior, weight: np.ndarray | None = None) -> DawidSkeneStats:
        """Items of each class (k,) and labels (annotators, k, k) under q."""
        x = self.check(x)
        responsibilities = q.probs if weight is None else q.probs * weight[:, None]
        labels = np.zeros((x.annotator.max() + 1, self.n_classes, self.n_classes))  # [annotator, label, class]
        np.add.at(labels, (x.annotator, x.label), responsibilities[x.item])
        return DawidSkeneStats(responsibilities.sum(axis=0), np.swapaxes(labels, 1, 2))

    def m_step(self, stats: DawidSkeneStats, params: Any) -> DawidSkeneParams:
        """Shares of classes and of labels, pseudo-counts added."""
        items = stats.items + self.weight_prior
        if not items.sum() > 0:
            raise DegenerateError("no items are left: every responsibility or weight is zero")
        labels = stats.labels + self._pseudo_labels()
        total = labels.sum(axis=2, keepdims=True)
        previous = np.full(labels.shape, 1.0 / self.n_classes) if params is None else params.error_rates
        rates = np.where(total > 0, labels / np.where(total > 0, total, 1.0), previous)
        return DawidSkeneParams(items / items.sum(), rates)

    def _pseudo_labels(self) -> np.ndarray:
        right, wrong = self.prior
        return wrong + (right - wrong) * np.eye(self.n_classes)

    def log_prior(self, params: Any) -> float:
        """Σ pseudo-counts times log weights and log error rates."""
        rates = xlogy(self._pseudo_labels(), params.error_rates).sum()
        return float(rates + xlogy(self.weight_prior, params.weights).sum())

    def initial_params(self, x: Any, method: str, rng: np.random.Generator, weight: Any = None) -> DawidSkeneParams:
        """One M-step from responsibilities: "majority" and "k-means++" the shares of an item's labels, which does not
        depend on the seed; "random-rows" one of its ratings drawn evenly, softened; "random-responsibilities" a flat
        Dirichlet draw, which ties the classes to no labels."""
        check_method(method, ("majority",))
        if method == "random-responsibilities":
            responsibilities = rng.dirichlet(np.ones(self.n_classes), size=len(x))
        elif method == "random-rows":
            responsibilities = soften(self._one_label_each(x, rng), self.n_classes)
        else:
            responsibilities = x.shares(self.n_classes)
        return self.params_from_responsibilities(x, responsibilities, weight)

    def _one_label_each(self, x: Ratings, rng: np.random.Generator) -> np.ndarray:
        order = rng.permutation(len(x.item))
        _, first = np.unique(x.item[order], return_index=True)
        return x.label[order[first]]

    def params_from_responsibilities(self, x: Any, responsibilities: np.ndarray, weight: Any = None) -> Any:
        """One M-step from labels (n,) or responsibilities (n, k) of the items."""
        q = CategoricalPosterior(as_responsibilities(responsibilities, len(x), self.n_classes))
        return self.m_step(self.suff_stats(x, q, weight), None)

    def check_params(self, params: Any, x: Any) -> DawidSkeneParams:
        """weights (k,) and error_rates (annotators, k, k), rows summing to one."""
        fields = named_fields(params, DawidSkeneParams._fields, type(self).__name__)
        weights = simplex_field(fields, "weights", (self.n_classes,))
        shape = (int(x.annotator.max()) + 1, self.n_classes, self.n_classes)
        return DawidSkeneParams(weights, simplex_field(fields, "error_rates", shape))

    def constraints(self, params: Any) -> Mapping[str, Constraint]:
        """Simplices."""
        return {"weights": Simplex(), "error_rates": Simplex()}

    def n_params(self, params: Any) -> int:
        """k - 1 weights and k (k - 1) error rates of every annotator."""
        return (self.n_classes - 1) * (1 + len(params.error_rates) * self.n_classes)

    def sample(self, params: Any, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """n items rated once by every annotator, x (n · annotators, 3), and their classes z (n,)."""
        z = rng.choice(self.n_classes, size=n, p=params.weights)
        cumulative = params.error_rates[:, z].cumsum(axis=2)  # (annotators, n, k)
        u = rng.random(cumulative.shape[:2])[:, :, None] * cumulative[:, :, -1:]
        labels = (u >= cumulative).sum(axis=2)
        annotator, item = np.indices(labels.shape)
        return np.column_stack([item.ravel(), annotator.ravel(), labels.ravel()]).astype(float), z

    def relabel(self, params: Any, order: Any) -> DawidSkeneParams:
        """The same model with its classes in another order; labels keep theirs."""
        return DawidSkeneParams(params.weights[order], params.error_rates[:, order])
