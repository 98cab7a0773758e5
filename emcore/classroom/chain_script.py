"""The code that makes the run which the lesson on hidden Markov models shows."""

from collections.abc import Mapping
from types import MappingProxyType

from emcore.classroom import script as code
from emcore.classroom.chain import (
    BY_LEVEL,
    EARTHQUAKES,
    LONG,
    LONG_MINUTES,
    SIMULATED,
    SIMULATED_MEANS,
    SIMULATED_MOVES,
    SIMULATED_SEED,
    SIMULATED_STEPS,
    TOLERANCE,
    WAITING,
    ChainSettings,
)
from emcore.classroom.script import call, literal

_FAMILIES: Mapping[str, str] = MappingProxyType(
    {EARTHQUAKES: "em.Poisson()", LONG: "em.Bernoulli()", WAITING: "em.Gaussian()", SIMULATED: "em.Poisson()"}
)
_COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        EARTHQUAKES: 'em.datasets.load("earthquakes")["count"].to_numpy()',
        LONG: f'em.datasets.load("geyser")["duration"].to_numpy() >= {LONG_MINUTES}  # minutes: long, or not',
        WAITING: 'em.datasets.load("geyser")["waiting"].to_numpy()',
    }
)


def script(settings: ChainSettings) -> str:
    """The code of the settings' run, its params and the most probable path."""
    model = call(
        "em.HMM",
        _FAMILIES[settings.dataset],
        str(settings.n_states),
        stationary=settings.stationary or None,
        transition_prior=settings.transition_prior or None,
    )
    by_level = settings.init == BY_LEVEL
    return code.script(
        _data(settings),
        [
            f"model = {model}",
            *(_levels(settings.n_states) if by_level else []),
            *code.one_run(settings, TOLERANCE, start="start" if by_level else ""),
        ],
        code.half_steps(),
        [
            "last = fit.trace[-1]",
            'print(f"log p(x) {last.log_likelihood:,.4f}, ELBO {last.elbo:,.4f}, entropy of Q {last.entropy:,.3f}")',
            "print(fit.params)",
            "print(fit.model.decode(fit.params, x))  # the most probable path",
        ],
    )


def _data(settings: ChainSettings) -> list[str]:
    if settings.dataset != SIMULATED:
        return [f"series = {_COLUMNS[settings.dataset]}", f"x = series[:{settings.length}, None]"]
    made = call("known.make_params", "np.array([1.0, 0.0, 0.0])", "moves", "em.Poisson.Params(means)")
    return [
        "import numpy as np",
        "",
        "known = em.HMM(em.Poisson(), 3)",
        f"moves = np.array({literal(SIMULATED_MOVES)})",
        f"means = np.array({literal([[mean] for mean in SIMULATED_MEANS])})",
        f"made = {made}",
        f"series, states = known.sample(made, {SIMULATED_STEPS}, np.random.default_rng({SIMULATED_SEED}))",
        f"x = series[:{settings.length}]",
    ]


def _levels(n_states: int) -> list[str]:
    return [
        'ranks = x[:, 0].argsort(kind="stable").argsort()',
        f"start = ranks * {n_states} // len(x)  # a label for every step: low, …, high",
    ]
