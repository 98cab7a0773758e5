"""The evidence lower bound of any q, its three forms, and its gap: free functions over the protocol.

ELBO(Q, θ) = Σ_z Q(z) log p(x, z; θ)/Q(z)  ≤  log p(x; θ), with equality if and only if Q = p(z | x; θ).
Reference: Neal & Hinton (1998), in Learning in Graphical Models, 355-368.
"""

from typing import Any, NamedTuple

import numpy as np

from emcore.data import as_numbers
from emcore.divergence import kl_rows
from emcore.posteriors import CategoricalPosterior


class ElboForms(NamedTuple):
    """The three forms of the bound (n,), each computed on its own; they agree to rounding."""

    joint_plus_entropy: np.ndarray  # E_Q log p(x, z) + H(Q)
    reconstruction_minus_rate: np.ndarray  # E_Q log p(x | z) - KL(Q ‖ p(z))
    evidence_minus_gap: np.ndarray  # log p(x) - KL(Q ‖ p(z | x))


def elbo(model: Any, params: Any, x: Any, q: Any) -> np.ndarray:
    """E_Q log p(x_i, z; θ) + H(Q_i) (n,), in nats: valid for any q, exact or not.

    Raises TypeError or ValueError for params of another model, and a q that is none or has other rows than x.
    """
    x = model.check(x)
    _refuse_params(model, params)
    _refuse_q(q, len(x))
    _refuse_width(model, q)
    return model.expected_log_joint(params, x, q) + q.entropy()


def elbo_forms(model: Any, params: Any, x: Any, q: Any) -> ElboForms:
    """The bound in its three forms. The second needs the model to know p(z) and p(x | z) apart.

    Raises TypeError for a model without `latent_prior` and `expected_log_conditional`.
    """
    if not hasattr(model, "latent_prior"):
        raise TypeError(
            f"{type(model).__name__} does not split p(x, z) into p(z) and p(x | z): define latent_prior(params, x) "
            "and expected_log_conditional(params, x, q) for the second form"
        )
    bound = elbo(model, params, x, q)
    rate = q.kl(model.latent_prior(params, x))
    return ElboForms(
        bound,
        model.expected_log_conditional(params, x, q) - rate,
        model.log_likelihood(params, x) - q.kl(model.posterior(params, x)),
    )


def kl(q: Any, p: Any) -> np.ndarray:
    """KL(q_i ‖ p_i) (n,) in nats between posteriors of one kind, or probability tables (n, k).

    Raises ValueError where tables do not have one shape or are not probabilities.
    """
    if hasattr(q, "kl"):
        try:
            return q.kl(p)
        except AttributeError as error:
            raise TypeError(f"KL needs posteriors of one kind, not {type(q).__name__}, {type(p).__name__}") from error
    q, p = np.atleast_2d(as_numbers(q, "q")), np.atleast_2d(as_numbers(p, "p"))
    if q.shape != p.shape:
        raise ValueError(f"q and p must have one shape, but theirs are {q.shape} and {p.shape}")
    for name, table in (("q", q), ("p", p)):
        if not ((table >= 0).all() and np.allclose(table.sum(axis=1), 1.0, rtol=0, atol=1e-8)):
            raise ValueError(f"{name} is not a table of probabilities: rows must be ≥ 0 and sum to 1")
    return kl_rows(q, p)


def gap(model: Any, params: Any, x: Any, q: Any) -> np.ndarray:
    """log p(x_i; θ) - ELBO_i (n,): how loose the bound is, by subtraction; equals KL(Q ‖ posterior) to rounding."""
    bound = elbo(model, params, x, q)
    return model.log_likelihood(params, x) - bound


def _refuse_params(model: Any, params: Any) -> None:
    if not hasattr(params, "_fields"):
        raise TypeError(
            f"params must be a params tuple, not {type(params).__name__}; model.check_params(fields, x) makes one"
        )
    unknown = [name for name in model.constraints(params) if name not in params._fields]
    if unknown:
        raise ValueError(f"params of another model: they lack {', '.join(unknown)}, having {', '.join(params._fields)}")


def _refuse_width(model: Any, q: Any) -> None:
    k = getattr(model, "n_components", None)
    if isinstance(q, CategoricalPosterior) and k is not None and q.probs.shape[1] != k:
        raise ValueError(f"q has {q.probs.shape[1]} columns, but the model has {k} components")


def _refuse_q(q: Any, n: int) -> None:
    if not hasattr(q, "entropy"):
        raise TypeError(
            f"q must be a posterior such as model.posterior(params, x) or em.CategoricalPosterior(probs), not a "
            f"{type(q).__name__}"
        )
    if len(q.entropy()) != n:
        raise ValueError(f"q has {len(q.entropy())} rows, but x has {n}")
    if isinstance(q, CategoricalPosterior):
        off = ~((q.probs >= 0).all(axis=1) & (np.abs(q.probs.sum(axis=1) - 1.0) < 1e-8))
        if off.any():
            row = int(np.flatnonzero(off)[0])
            raise ValueError(f"q must be probabilities, but row {row} is {q.probs[row].tolist()}: rows must sum to 1")
