"""Multinomial counts whose cells merge finer, hidden cells: gene counting, linkage, partly classified tables.

An individual     ~  hidden cell h with probability  p_h = c_h Π_j θ_j^{e_hj},  θ made of simplices
observed count    =  individuals in the hidden cells that the observed cell merges:  P_c = Σ_{h in c} p_h
log p(x_i)        =  log n!/Π_c x_ic! + Σ_c x_ic log P_c     (the multinomial coefficient is included)
latent            =  the hidden cell of every individual, given the observed one: shares p_h / P_c
prior             ~  `prior` pseudo-draws of every θ_j:  prior · Σ_j log θ_j, Dirichlet(1 + prior) up to a constant
Reference: Dempster, Laird & Rubin (1977), J. R. Statist. Soc. B 39, sections 1 and 4.1; Smith (1957), Ann. Hum.
Genet. 21, 254-276 (gene counting); Little & Rubin (2002), section 13.2 (partly classified tables).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import numpy as np
from scipy.special import entr, gammaln, xlogy

from emcore.data import as_matrix, check_counts
from emcore.divergence import kl_rows
from emcore.families.base import as_field, check_range
from emcore.families.binomial import check_pseudo
from emcore.models.checks import check_method, named_fields, simplex_field
from emcore.models.polynomials import monomials
from emcore.numerics import log_for_counts, restore_log_zero, total
from emcore.parameters import Constraint, Simplex, UnitInterval
from emcore.trees import joined


class HiddenCells(NamedTuple):
    """The formulas, read: p_h = exp(log_constant_h) Π_j θ_j^exponents_hj, merged into observed cell `cell`_h."""

    cell: np.ndarray  # (H,)
    log_constant: np.ndarray  # (H,)
    exponents: np.ndarray  # (H, P)


class SplitPosterior(NamedTuple):
    """How each observed count splits over its hidden cells.

    Every individual is labelled, and independently so: the entropy of a count is count times the entropy of one
    label. (The split as unordered counts has another entropy; with labels the multinomial coefficient is a constant
    of the data, and ELBO + KL = log p(x) holds in closed form.)
    """

    shares: np.ndarray  # (n, H) of the observed cell that h belongs to; they sum to one within every observed cell
    counts: np.ndarray  # (n, H) the count of that observed cell
    outside: np.ndarray | None = None  # (n,) individuals that p(z) puts outside their observed cell; None for none

    def entropy(self) -> np.ndarray:
        """H(Q_i) (n,) of the labels of all individuals of a row."""
        return (self.counts * entr(self.shares)).sum(axis=1)

    def kl(self, other: "SplitPosterior") -> np.ndarray:
        """KL(Q_i ‖ other_i) (n,)."""
        divergence = kl_rows(self.counts * self.shares, self.counts * other.shares)
        return divergence if other.outside is None else divergence + other.outside

    def rows(self, index: slice | np.ndarray) -> "SplitPosterior":
        """The posterior of some of the rows."""
        outside = None if self.outside is None else self.outside[index]
        return SplitPosterior(self.shares[index], self.counts[index], outside)


class MergedStats(NamedTuple):
    """Expected number of times that every θ_j was drawn."""

    draws: np.ndarray  # (P,)


class _NoFields(NamedTuple):
    """All fields of the params are named by the user."""


@dataclass(frozen=True)
class MergedMultinomial:
    """Counts of observed cells, one row per table; rows are independent tables with the same θ.

    `groups` names the parameters: {"probs": "A B O"} is a field `probs` (3,) that sums to one, and {"theta": "t"} one
    probability `theta` (), with (1 - t) for its complement. `cells` has a formula for each observed cell, a sum of
    products of numbers and names; every term is a hidden cell. `tables` says how many cells each of several
    independent multinomials in one row has (all cells form one, unless given); each must sum to 1 for every θ.
    The second form of the bound is degenerate: z determines x, so E_q log p(x | z) is the coefficient alone.

    Raises ValueError for a formula that cannot be read and for cells that do not sum to 1.

    >>> import numpy as np, emcore as em
    >>> model = em.MergedMultinomial({"theta": "t"}, ("1/2 + t/4", "(1 - t)/4", "(1 - t)/4", "t/4"))
    >>> fit = em.fit(model, np.array([[125, 18, 20, 34]]), init={"theta": 0.5})
    >>> round(float(fit.params.theta), 6)
    0.626821
    """

    groups: Any  # mapping of field to names, kept as a tuple of pairs
    cells: tuple[str, ...]
    tables: tuple[int, ...] = ()
    prior: float = 0.0
    hidden: HiddenCells = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_pseudo((self.prior,), 1)
        pairs = self.groups.items() if isinstance(self.groups, Mapping) else self.groups
        groups = tuple((name, tuple(s.split() if isinstance(s, str) else s)) for name, s in pairs)
        object.__setattr__(self, "groups", groups)
        object.__setattr__(self, "cells", tuple(self.cells))
        object.__setattr__(self, "tables", tuple(self.tables) or (len(self.cells),))
        self._check_names()
        object.__setattr__(self, "hidden", self._read_formulas())
        self._check_sums()

    def _check_names(self) -> None:
        names = [symbol for _, symbols in self.groups for symbol in symbols]
        wrong = [n for n in names + [name for name, _ in self.groups] if not n.isidentifier()]
        empty = not names or not all(symbols for _, symbols in self.groups)
        if wrong or len(set(names)) < len(names) or empty:
            raise ValueError(f"groups must name each probability once, by an identifier, not {self.groups!r}")
        if sum(self.tables) != len(self.cells) or min(self.tables) < 1:
            raise ValueError(f"tables={self.tables} must be cells per table, {len(self.cells)} in all")

    def _symbols(self) -> tuple[str, ...]:
        return tuple(s for _, symbols in self.groups for s in _with_complement(symbols))

    def _read_formulas(self) -> HiddenCells:
        read = [monomials(formula, self._symbols()) for formula in self.cells]
        cell = np.repeat(np.arange(len(read)), [len(terms) for terms in read])
        constants = np.array([constant for terms in read for constant in terms.values()])
        return HiddenCells(cell, np.log(constants), np.array([p for terms in read for p in terms], dtype=float))

    def _check_sums(self) -> None:
        """Polynomials that sum to 1 at random points sum to 1 everywhere."""
        rng = np.random.default_rng(0)
        for _ in range(3):
            log_cells = self._log_cells(self._log_hidden(self._random_params(rng)))
            sums = np.add.reduceat(np.exp(log_cells), self._table_starts())
            if np.abs(sums - 1.0).max() > 1e-9:
                table = int(np.argmax(np.abs(sums - 1.0)))
                raise ValueError(
                    f"the cells of table {table} sum to {sums[table]:.6g}, not to 1, at some parameters: "
                    f"a formula of {self.cells} is wrong or missing"
                )

    def _table_starts(self) -> np.ndarray:
        return np.concatenate([[0], np.cumsum(self.tables)[:-1]]).astype(np.intp)

    @property
    def Params(self) -> Any:
        """The NamedTuple type of the params: one field per group."""
        return joined("MergedParams", tuple(name for name, _ in self.groups), _NoFields)

    def check(self, x: Any) -> np.ndarray:
        """x (n, cells) of whole counts, one table (or set of tables) a row."""
        if isinstance(x, np.ndarray | list | tuple) and np.ndim(x) == 1:
            raise ValueError("x has one axis; a table is one row of counts: use x[None, :]")
        x = as_matrix(x)
        if x.shape[1] != len(self.cells):
            raise ValueError(f"x has {x.shape[1]} columns, but there are {len(self.cells)} cells: {self.cells}")
        check_counts(x, "MergedMultinomial")
        return x

    def resolve(self, x: np.ndarray) -> Self:
        """Itself; ValueError where nothing was counted."""
        if not x.any():
            raise ValueError("every count is zero: there is nothing to learn from")
        return self

    def _log_theta(self, params: Any) -> np.ndarray:
        """log of every named probability and complement (P,), log 0 as `log_for_counts` has it."""
        parts = [np.array([v, 1.0 - v]) if np.ndim(v) == 0 else v for v in params]
        return log_for_counts(np.concatenate(parts))

    def _log_hidden(self, params: Any) -> np.ndarray:
        """log p_h (H,)."""
        return restore_log_zero(self.hidden.log_constant + self.hidden.exponents @ self._log_theta(params))

    def _log_cells(self, log_hidden: np.ndarray) -> np.ndarray:
        """log P_c (C,)."""
        starts = np.searchsorted(self.hidden.cell, np.arange(len(self.cells)))
        return np.logaddexp.reduceat(log_hidden, starts)

    def _log_coefficient(self, x: np.ndarray) -> np.ndarray:
        totals = np.add.reduceat(x, self._table_starts(), axis=1)
        return gammaln(totals + 1.0).sum(axis=1) - gammaln(x + 1.0).sum(axis=1)

    def log_likelihood(self, params: Any, x: Any) -> np.ndarray:
        """log p(x_i) (n,), the multinomial coefficients included."""
        x = self.check(x)
        log_cells = self._log_cells(self._log_hidden(params))
        return self._log_coefficient(x) + np.multiply(x, log_cells, out=np.zeros(x.shape), where=x > 0).sum(axis=1)

    def posterior(self, params: Any, x: Any) -> SplitPosterior:
        """The shares p_h / P_c; ValueError where a cell of probability 0 was observed."""
        x = self.check(x)
        log_hidden = self._log_hidden(params)
        log_cells = self._log_cells(log_hidden)
        impossible = np.isneginf(log_cells)
        if (x[:, impossible] > 0).any():
            bad = int(np.flatnonzero(impossible & (x > 0).any(axis=0))[0])
            raise ValueError(f"cell {bad} ({self.cells[bad]}) has probability 0 at these params, yet a count above 0")
        cell = self.hidden.cell
        size = np.bincount(cell)[cell]
        safe = np.where(impossible, 0.0, log_cells)[cell]
        shares = np.where(impossible[cell], 1.0 / size, np.exp(log_hidden - safe))
        return SplitPosterior(np.broadcast_to(shares, (len(x), len(cell))), x[:, cell])

    def infer(self, params: Any, x: Any) -> tuple[SplitPosterior, np.ndarray]:
        """The posterior and log p(x_i) (n,)."""
        return self.posterior(params, x), self.log_likelihood(params, x)

    def expected_log_joint(self, params: Any, x: Any, q: SplitPosterior) -> np.ndarray:
        """log n!/Π x! + Σ_h E[n_h] log p_h (n,)."""
        n_hidden = q.counts * q.shares
        each = np.multiply(n_hidden, self._log_hidden(params), out=np.zeros(n_hidden.shape), where=n_hidden > 0)
        return self._log_coefficient(self.check(x)) + each.sum(axis=1)

    def latent_prior(self, params: Any, x: Any) -> SplitPosterior:
        """p(z): every individual in any hidden cell of its table, with probability p_h."""
        x = self.check(x)
        p_hidden = np.exp(self._log_hidden(params))
        outside = x @ (1.0 - np.bincount(self.hidden.cell, p_hidden))
        return SplitPosterior(np.broadcast_to(p_hidden, (len(x), len(p_hidden))), x[:, self.hidden.cell], outside)

    def expected_log_conditional(self, params: Any, x: Any, q: SplitPosterior) -> np.ndarray:
        """log n!/Π x! (n,): the hidden cells determine the observed ones, only their order is left."""
        return self._log_coefficient(self.check(x))

    def suff_stats(self, x: Any, q: SplitPosterior, weight: np.ndarray | None = None) -> MergedStats:
        """Draws of every θ_j (P,): expected hidden counts times exponents."""
        n_hidden = q.counts * q.shares
        rows = n_hidden.sum(axis=0) if weight is None else weight @ n_hidden
        return MergedStats(rows @ self.hidden.exponents)

    def m_step(self, stats: MergedStats, params: Any) -> Any:
        """θ_j = (draws_j + prior) / Σ over its group; a group never drawn keeps its value."""
        cuts = np.cumsum([len(_with_complement(symbols)) for _, symbols in self.groups])[:-1]
        values = []
        for i, draws in enumerate(np.split(stats.draws + self.prior, cuts)):
            single = len(self.groups[i][1]) == 1
            if draws.sum() > 0:
                share = draws / draws.sum()
                values.append(np.array(share[0]) if single else share)
            elif params is not None:
                values.append(params[i])
            else:
                values.append(np.array(0.5) if single else np.full(len(draws), 1.0 / len(draws)))
        return self.Params(*values)

    def log_prior(self, params: Any) -> float:
        """prior · Σ_j log θ_j, complements included."""
        return float(sum(xlogy(self.prior, [v, 1.0 - v] if np.ndim(v) == 0 else v).sum() for v in params))

    def initial_params(self, x: np.ndarray, method: str, rng: np.random.Generator, weight: Any = None) -> Any:
        """ "uniform": all names of a group alike; the methods that seed rows elsewhere: a flat Dirichlet draw."""
        check_method(method, ("uniform",))
        if method == "uniform":
            return self.m_step(MergedStats(np.ones(len(self._symbols()))), None)
        return self._random_params(rng)

    def _random_params(self, rng: np.random.Generator) -> Any:
        draws = [rng.dirichlet(np.ones(len(_with_complement(symbols)))) for _, symbols in self.groups]
        return self.m_step(MergedStats(np.concatenate(draws)), None)

    def params_from_responsibilities(self, x: np.ndarray, responsibilities: np.ndarray, weight: Any = None) -> Any:
        """One M-step from shares (n, H), which sum to one within every observed cell."""
        shape = (len(x), len(self.hidden.cell))
        sums = np.zeros((len(x), len(self.cells)))
        if responsibilities.shape == shape:
            np.add.at(sums.T, self.hidden.cell, responsibilities.T)
        if responsibilities.shape != shape or not np.allclose(sums, 1.0, rtol=0.0, atol=1e-8):
            raise ValueError(f"init must be params, or shares {shape} that sum to one within every observed cell")
        return self.m_step(self.suff_stats(x, SplitPosterior(responsibilities, x[:, self.hidden.cell]), weight), None)

    def check_params(self, params: Any, x: Any) -> Any:
        """One probability, or a simplex, for every group."""
        fields = named_fields(params, self.Params._fields, "this MergedMultinomial")
        return self.Params(*(self._check_group(fields, name, len(symbols)) for name, symbols in self.groups))

    def _check_group(self, fields: Mapping[str, Any], name: str, size: int) -> np.ndarray:
        if np.size(fields.get(name, ())) == size:  # any shape will do: a two-way table, a number in brackets
            fields = {name: np.reshape(np.asarray(fields[name], dtype=float), () if size == 1 else (size,))}
        if size > 1:
            return simplex_field(fields, name, (size,))
        value = as_field(fields, name, ())
        check_range(name, value, 0.0, 1.0)
        return value

    def constraints(self, params: Any) -> Mapping[str, Constraint]:
        """An interval for a single probability, else a simplex."""
        return {name: UnitInterval() if len(symbols) == 1 else Simplex() for name, symbols in self.groups}

    def n_observations(self, x: Any, weight: np.ndarray | None = None) -> float:
        """Individuals counted: n of the BIC, not the number of tables."""
        return total(self.check(x).sum(axis=1), weight)

    def n_params(self, params: Any) -> int:
        """Names less one for every group; 1 for a single probability."""
        return sum(max(len(symbols) - 1, 1) for _, symbols in self.groups)

    def sample(self, params: Any, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """n rows x (n, cells) with one individual per table, and the hidden cells z (n, tables) that they came from."""
        p_hidden = np.exp(self._log_hidden(params))
        table = np.repeat(np.arange(len(self.tables)), self.tables)[self.hidden.cell]
        z = []
        for t in range(len(self.tables)):
            own = np.flatnonzero(table == t)
            z.append(own[rng.choice(len(own), size=n, p=p_hidden[own] / p_hidden[own].sum())])
        cells = self.hidden.cell[np.column_stack(z)]
        return np.eye(len(self.cells))[cells].sum(axis=1), np.column_stack(z)


def _with_complement(symbols: tuple[str, ...]) -> tuple[str, ...]:
    return symbols if len(symbols) > 1 else (symbols[0], f"1 - {symbols[0]}")
