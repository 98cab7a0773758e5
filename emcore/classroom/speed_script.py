"""The code of the race that the lesson on speed shows: the limit, the rate there, and every scheme on its way to it."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from emcore.classroom import script as code
from emcore.classroom.script import call
from emcore.classroom.speed import ABO, CENSORED, FIRST, LINKAGE, MOST, N_CENSORED, NORMALS, NOTICES, SECOND

_GIVEN = ("model", "x", "init=start", "weight=weight")
_LINKAGE = ('x = em.datasets.load("linkage")', "model, weight = em.genetics.linkage(), None", 'start = {"theta": 0.5}')
_ABO = ('x = em.datasets.load("abo")', "model, weight = em.genetics.abo(), None", 'start = {"probs": [0.3, 0.2, 0.5]}')
_NOTICES = (
    *code.DEATH_NOTICES,
    "model = em.Mixture(em.Poisson(), 2)",
    'start = {"weights": [0.5, 0.5], "rates": [1.2, 3.0]}',
)


def _censored(share: float) -> tuple[str, ...]:
    seen = round((1.0 - share) * N_CENSORED)
    return (
        "import numpy as np",
        "",
        f"times = -np.log1p(-(np.arange({N_CENSORED}) + 0.5) / {N_CENSORED})  # quantiles of a unit exponential",
        f"seen = np.arange({N_CENSORED}) < {seen}",
        f"x = np.column_stack([np.minimum(times, times[{seen - 1}]), np.where(seen, times, np.inf)])",
        "model, weight = em.CensoredExponential(), None",
        'start = {"rates": 4.0}',
    )


def _normals(separation: float) -> tuple[str, ...]:
    def group(n: int, sign: str) -> str:
        return f"ndtri((np.arange({n}) + 0.5) / {n}) {sign} {separation / 2}"

    return (
        "import numpy as np",
        "from scipy.special import ndtri  # quantiles of unit normals",
        "",
        f"x = np.concatenate([{group(FIRST, '-')}, {group(SECOND, '+')}])[:, None]",
        'model, weight = em.Mixture(em.Gaussian("tied"), 2), None',
        'start = {"weights": [0.5, 0.5], "means": [[-2.0], [2.0]], "covariances": [[1.0]]}',
    )


_DATA: Mapping[str, Callable[[float], tuple[str, ...]]] = MappingProxyType(
    {
        LINKAGE: lambda level: _LINKAGE,
        ABO: lambda level: _ABO,
        NOTICES: lambda level: _NOTICES,
        CENSORED: _censored,
        NORMALS: _normals,
    }
)


def script(name: str, level: float) -> str:
    """The code of `race(name, level)`."""
    return code.script(
        _DATA[name](level),
        [
            f"fit = {call('em.fit', *_GIVEN, accelerate='anderson', tol=1e-18, max_iter=500)}",
            "found = em.rate(model, fit.params, x, weight=weight)",
            "errors = em.standard_errors(model, fit.params, x, weight=weight)",
            'print(f"at the limit log p(x) = {fit.log_likelihood:.6f}, {fit.params}, standard errors {errors}")',
            'print(f"shares of information missing: {found.fractions}")',
        ],
        [
            'for scheme in (None, "over-relaxed", "squarem", "anderson"):',
            f"    run = em.fit(model, x, init=start, weight=weight, accelerate=scheme, max_iter={MOST})",
            "    passes = run.restarts[0].n_evaluations",
            "    print(f\"{scheme or 'EM'}: {passes} passes over the data, {run.status}: {run.message}\")",
        ],
    )
