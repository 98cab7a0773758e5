"""E-steps: plain callables (model, params, x, q_prev) -> q. The notes' "choice of Q".

Each keeps the bound a bound; only `exact` makes it tight. `monotone` says whether the objective is promised to rise.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

EStep = Callable[[Any, Any, Any, Any], Any]


def exact(model: Any, params: Any, x: Any, q_prev: Any) -> Any:
    """Q = p(z | x; θ): the E-step of EM; the bound touches log p(x)."""
    return model.posterior(params, x)


def hard(model: Any, params: Any, x: Any, q_prev: Any) -> Any:
    """All of Q on the most probable z: classification EM, of which k-means is a case.

    The best one-hot Q for the ELBO, so the ELBO never falls; log p(x) may. Reference: Celeux & Govaert (1992),
    Comput. Statist. Data Anal. 14, 315-332.
    """
    q = model.posterior(params, x)
    one_hot = np.zeros_like(q.probs)
    np.put_along_axis(one_hot, q.probs.argmax(axis=1)[:, None], 1.0, axis=1)
    return q.with_probs(one_hot)
