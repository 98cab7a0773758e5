"""Markov chains of hidden states: exact smoothing, the most probable path, and distributions over whole paths."""

from emcore.chain.layout import Layout, Sequences, as_lengths
from emcore.chain.path import most_probable_path
from emcore.chain.posterior import ChainPosterior, chain_posterior, independent_chain, placed_posterior
from emcore.chain.smooth import log_totals

__all__ = [
    "ChainPosterior",
    "Layout",
    "Sequences",
    "as_lengths",
    "chain_posterior",
    "independent_chain",
    "log_totals",
    "most_probable_path",
    "placed_posterior",
]
