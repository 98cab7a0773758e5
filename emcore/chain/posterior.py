"""Distributions over the hidden path of a Markov chain: what the E-step of a hidden Markov model returns."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from emcore.chain.layout import Layout
from emcore.chain.path import most_probable_path
from emcore.chain.smooth import Fill, refuse_impossible, smooth, smooth_in_logs
from emcore.chain.tables import Packed, RowTables
from emcore.divergence import entropy_rows, kl_rows
from emcore.numerics import log_or_minus_inf, row_blocks

_BLOCK = 4096  # rows whose kernels (k, k) are made at once
_DUST = 1e-290  # probability that counts as none: under it scaled numbers have lost their digits to underflow

_FUTURELESS = 1e-250  # likewise for all that follows a state


@dataclass(frozen=True, eq=False)
class ChainPosterior:
    """Q(z) ∝ start(z_1) Π transitions(z_s-1, z_s) Π exp(log_emissions_s(z_s)) for every sequence.

    The conditional Q(z_s = j | z_s-1 = i) is transitions_ij g_sj / Σ_j transitions_ij g_sj with tilts g, so that no
    table (t, k, k) is kept. Make one with `chain_posterior` or `independent_chain`.
    """

    tables: Packed | RowTables
    start: np.ndarray  # (k,) ≥ 0, of any sum
    transitions: np.ndarray  # (k, k) ≥ 0, of any sum
    layout: Layout
    log_tilts: np.ndarray | None = None  # (t, k), where the tilts do not hold their range

    @property
    def probs(self) -> np.ndarray:
        """Marginals of every row (t, k)."""
        return self.tables.probs

    @property
    def tilts(self) -> np.ndarray:
        """The tilts (t, k), each row up to a factor."""
        return self.tables.tilts

    @property
    def log_emissions(self) -> np.ndarray:
        """What the chain was conditioned on (t, k), logarithms."""
        return self.tables.log_emissions

    def row_blocks(self, size: int) -> Iterator[tuple[slice, np.ndarray]]:
        """All rows in blocks of about `size`, in the order that is cheapest: which rows, and their marginals (b, k).

        Slices are of the rows by place where `is_placed`, otherwise of the rows as they are.
        """
        if isinstance(self.tables, Packed):
            yield from self.tables.place_blocks(size)
        else:
            yield from ((block, self.probs[block]) for block in row_blocks(len(self.probs), size))

    @property
    def firsts(self) -> np.ndarray:
        """The marginals of the first step of every sequence (n, k)."""
        return self.tables.firsts if isinstance(self.tables, Packed) else self.probs[self.layout.firsts]

    @property
    def is_placed(self) -> bool:
        """Whether the marginals lie by place (see `Layout`)."""
        return isinstance(self.tables, Packed)

    def entropy(self) -> np.ndarray:
        """H(Q) of whole paths (n,): of the first state, and expected of every transition."""
        parts = np.empty(len(self.probs))
        parts[self.layout.firsts] = entropy_rows(self.probs[self.layout.firsts])
        for rows, before, kernels in self._transitions():
            parts[rows] = (before * _by_row(entropy_rows, kernels)).sum(axis=1)
        return self.layout.sum_rows(parts)

    def kl(self, other: "ChainPosterior") -> np.ndarray:
        """KL(Q ‖ other) of whole paths (n,), by the chain rule (Cover & Thomas 2006, theorem 2.5.3).

        KL of the first state and the expected KL of every transition: terms ≥ 0, so that a tiny sum keeps its digits.
        Where `other` underflowed to 0 on the support of Q, its logarithms decide whether the answer is +inf.
        """
        with np.errstate(over="ignore"):  # a ratio to a subnormal probability
            divergence = self._kl(other)
            infinite = np.flatnonzero(np.isinf(divergence))
            if len(infinite):
                divergence[infinite] = self.rows(infinite)._kl(other.rows(infinite)._in_logs(), _DUST)
        return divergence

    def _kl(self, other: "ChainPosterior", least: float = 0.0) -> np.ndarray:
        """KL with events of Q up to probability `least` left out."""
        parts, firsts = np.empty(len(self.probs)), self.layout.firsts
        first = self.probs[firsts]
        parts[firsts] = kl_rows(np.where(first > least, first, 0.0), other.probs[firsts], log_p=other._log_first())
        for rows, before, kernels in self._transitions():
            if least:
                kernels[before[:, :, None] * kernels <= least] = 0.0
            others, log_others = other._kernels(rows)
            given = _by_row(kl_rows, kernels, others, None, log_others)
            parts[rows] = (before * np.where(before > least, given, 0.0)).sum(axis=1)
        return self.layout.sum_rows(parts)

    def expected_transitions(self, table: np.ndarray) -> np.ndarray:
        """E_Q Σ_s table[z_s-1, z_s] (n,) for a table (k, k) that may hold -inf: 0 · -inf is 0."""
        parts = np.zeros(len(self.probs))
        for rows, before, kernels in self._transitions():
            parts[rows] = _expected(kernels * before[:, :, None], table).sum(axis=(1, 2))
        return self.layout.sum_rows(parts)

    def expected_first(self, table: np.ndarray) -> np.ndarray:
        """E_Q table[z_1] (n,) for a table (k,) that may hold -inf: 0 · -inf is 0."""
        return _expected(self.probs[self.layout.firsts], table).sum(axis=1)

    def expected_states(self, table: np.ndarray) -> np.ndarray:
        """E_Q Σ_s table[s, z_s] (n,) for a table (t, k) that may hold -inf: 0 · -inf is 0."""
        return self.layout.sum_rows(_expected(self.probs, table).sum(axis=1))

    def transition_counts(self, weight: np.ndarray | None = None) -> np.ndarray:
        """Σ of Q(z_s-1, z_s) over all transitions (k, k), those of sequence i times weight_i."""
        if isinstance(self.tables, Packed):
            return self.tables.pair_counts(weight)
        share = np.ones(len(self.probs)) if weight is None else weight[self.layout.sequence]
        if self.log_tilts is not None:
            return self._counts_by_kernels(share)
        counts, rows = np.zeros_like(self.transitions), self.layout.later
        for block in row_blocks(len(rows), _BLOCK):
            later = rows[block]
            tilts = self.tilts[later].T
            before = self.probs[later - 1].T * share[later]
            before /= np.maximum(self.transitions @ tilts, 1e-300)
            counts += before @ tilts.T
        return self.transitions * counts

    def _counts_by_kernels(self, share: np.ndarray) -> np.ndarray:
        counts = np.zeros_like(self.transitions)
        for rows, before, kernels in self._transitions():
            counts += np.einsum("t,ti,tij->ij", share[rows], before, kernels)
        return counts

    def mode(self) -> "ChainPosterior":
        """All of Q on its most probable path (Viterbi), as a chain."""
        path = most_probable_path(self.start, self.transitions, self.log_emissions, self.layout)
        return independent_chain(np.eye(len(self.start))[path], self.layout)

    def rows(self, index: Any) -> "ChainPosterior":
        """The posterior of some of the sequences."""
        layout, rows = self.layout.subset(index)
        tables = RowTables(self.probs[rows], self.tilts[rows], self.log_emissions[rows])
        log_tilts = None if self.log_tilts is None else self.log_tilts[rows]
        return ChainPosterior(tables, self.start, self.transitions, layout, log_tilts)

    def _transitions(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Blocks of rows (b,) after the first of a sequence, Q of the state before (b, k), and kernels (b, k, k)."""
        for block in row_blocks(len(self.layout.later), _BLOCK):
            rows = self.layout.later[block]
            yield rows, self.probs[rows - 1], self._kernels(rows)[0]

    def _kernels(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Q(z_s = j | z_s-1 = i) (b, k, k), and its logarithms where they are at hand; 0 where i is without future."""
        if self.log_tilts is not None:
            logs = log_or_minus_inf(self.transitions) + self.log_tilts[rows][:, None, :]
            top = logs.max(axis=2, keepdims=True)
            logs -= np.where(np.isfinite(top), top, 0.0)
            logs -= np.log(np.maximum(np.exp(logs).sum(axis=2, keepdims=True), 1e-300))
            return np.exp(logs), logs
        tilts = self.tilts[rows]
        tilts /= tilts.max(axis=1, keepdims=True)
        kernels = self.transitions * tilts[:, None, :]
        kernels[kernels <= _DUST] = 0.0
        total = kernels.sum(axis=2, keepdims=True)
        return np.divide(kernels, total, out=np.zeros_like(kernels), where=total > _FUTURELESS), None

    def _log_first(self) -> np.ndarray | None:
        """log Q(z_1) (n, k), where logarithms are at hand."""
        if self.log_tilts is None:
            return None
        logs = log_or_minus_inf(self.start) + self.log_tilts[self.layout.firsts]
        logs -= logs.max(axis=1, keepdims=True)
        return logs - np.log(np.exp(logs).sum(axis=1, keepdims=True))

    def _in_logs(self) -> "ChainPosterior":
        probs, log_tilts, _ = smooth_in_logs(self.start, self.transitions, self.log_emissions, self.layout)
        tables = RowTables(probs, self.tilts, self.log_emissions)
        return replace(self, tables=tables, log_tilts=log_tilts)


def _expected(probs: np.ndarray, table: np.ndarray) -> np.ndarray:
    """probs · table, where no probability wipes out log 0."""
    return np.multiply(probs, table, out=np.zeros_like(probs), where=probs > _DUST)


def _by_row(function: Any, *tables: np.ndarray | None) -> np.ndarray:
    """A function of rows (m, k), applied to tables (b, k, k) along their last axis; (b, k)."""
    k = tables[0].shape[2]  # type: ignore[union-attr]
    return function(*(None if table is None else table.reshape(-1, k) for table in tables)).reshape(-1, k)


def chain_posterior(
    start: np.ndarray, transitions: np.ndarray, log_emissions: np.ndarray, layout: Layout
) -> tuple[ChainPosterior, np.ndarray]:
    """The normalised chain with these factors, and the logarithms of its normalisers (n,).

    Raises ValueError naming the sequence where no path has positive probability.
    """
    return placed_posterior(start, transitions, layout.placing(log_emissions), layout)


def placed_posterior(
    start: np.ndarray, transitions: np.ndarray, fill: Fill, layout: Layout
) -> tuple[ChainPosterior, np.ndarray]:
    """`chain_posterior` of log emissions that `fill` writes by place (see `Layout`) into columns (k, t)."""
    tables, log_tilts, log_total = smooth(start, transitions, fill, layout)
    if not (log_total > -np.inf).all():
        refuse_impossible(log_total, start, transitions, tables.log_emissions, layout)
    return ChainPosterior(tables, start, transitions, layout, log_tilts), log_total


def independent_chain(probs: np.ndarray, layout: Layout) -> ChainPosterior:
    """The chain whose states are independent with marginals probs (t, k); a single path if they are one-hot."""
    k = probs.shape[1]
    return ChainPosterior(RowTables(probs, probs, log_or_minus_inf(probs)), np.ones(k), np.ones((k, k)), layout)
