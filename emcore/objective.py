"""The evidence lower bound of any q, its three forms, and its gap: free functions over the protocol.

ELBO(Q, θ) = Σ_z Q(z) log p(x, z; θ)/Q(z)  ≤  log p(x; θ), with equality if and only if Q = p(z | x; θ).
Reference: Neal & Hinton (1998), in Learning in Graphical Models, 355-368.
"""

from typing import Any, NamedTuple

import numpy as np

from emcore.divergence import kl_rows


class ElboForms(NamedTuple):
    """The three forms of the bound (n,), each computed on its own; they agree to rounding."""

    joint_plus_entropy: np.ndarray  # E_Q log p(x, z) + H(Q)
    reconstruction_minus_rate: np.ndarray  # E_Q log p(x | z) - KL(Q ‖ p(z))
    evidence_minus_gap: np.ndarray  # log p(x) - KL(Q ‖ p(z | x))


def elbo(model: Any, params: Any, x: Any, q: Any) -> np.ndarray:
    """E_Q log p(x_i, z; θ) + H(Q_i) (n,), in nats: valid for any q, exact or not."""
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
    rate = q.kl(model.latent_prior(params, x))
    return ElboForms(
        elbo(model, params, x, q),
        model.expected_log_conditional(params, x, q) - rate,
        model.log_likelihood(params, x) - q.kl(model.posterior(params, x)),
    )


def kl(q: Any, p: Any) -> np.ndarray:
    """KL(q_i ‖ p_i) (n,) in nats between posteriors of one kind, or probability tables (n, k).

    Raises ValueError where tables do not have one shape or are not probabilities.
    """
    if hasattr(q, "kl"):
        return q.kl(p)
    q, p = np.atleast_2d(np.asarray(q, dtype=float)), np.atleast_2d(np.asarray(p, dtype=float))
    if q.shape != p.shape:
        raise ValueError(f"q and p must have one shape, but theirs are {q.shape} and {p.shape}")
    for name, table in (("q", q), ("p", p)):
        if not ((table >= 0).all() and np.allclose(table.sum(axis=1), 1.0, rtol=0, atol=1e-8)):
            raise ValueError(f"{name} is not a table of probabilities: rows must be ≥ 0 and sum to 1")
    return kl_rows(q, p)


def gap(model: Any, params: Any, x: Any, q: Any) -> np.ndarray:
    """log p(x_i; θ) - ELBO_i (n,): how loose the bound is, by subtraction; equals KL(Q ‖ posterior) to rounding."""
    return model.log_likelihood(params, x) - elbo(model, params, x, q)
