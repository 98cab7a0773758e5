"""The code of the run that the lesson on restricted Q shows."""

from collections.abc import Mapping
from types import MappingProxyType

from emcore.classroom import script as code
from emcore.classroom.restricted import (
    BILLS,
    EXACT,
    FIXED,
    HARD,
    MEAN_FIELD,
    SUMMIT,
    SWEEPS,
    TEMPERED,
    TOP_TWO,
    TWO,
    RestrictedLesson,
)

_BILLS = (
    'x, weight = em.datasets.load("penguins").select("bill_depth_mm").drop_nulls(), None',
    'model = em.Mixture(em.Gaussian("tied"), 3)',
)
_CAUSES = (
    "import numpy as np",
    "from emcore.models.binary_factors import BinaryFactorsParams",
    "",
    "half, both = np.array([0.5, 0.5]), np.array([[1.0, 1.0], [0.0, 0.6]])  # chances of the causes, what they add",
    "truth = BinaryFactorsParams(half, both, np.zeros(2), np.array(0.15))",
    "model = em.BinaryFactors(2)",
    "x, weight = model.sample(truth, 200, np.random.default_rng(0))[0], None",
)
_E_STEPS: Mapping[str, str] = MappingProxyType(
    {EXACT: "em.exact", MEAN_FIELD: f"em.mean_field({SWEEPS})", HARD: "em.hard", TOP_TWO: "em.sparse(2)"}
    | {FIXED: "em.fixed(model.posterior(rough, x))"}
)


def _two(noise: float) -> tuple[str, ...]:
    return (
        "import numpy as np",
        "from scipy.special import ndtri",
        "from emcore.classroom.two_latents import TwoLatents  # a model of three methods: its file is short",
        "",
        f"model = TwoLatents({noise})",
        "x = ndtri((np.arange(20) + 0.5) / 20)",
        "x, weight = (x / np.sqrt((x**2).mean()))[:, None], np.full(20, 1 / 20)  # totals are per observation",
    )


def script(lesson: RestrictedLesson) -> str:
    """The code of the lesson's run."""
    settings = lesson.settings
    two = settings.example == TWO
    data = _two(settings.noise) if two else _BILLS if settings.example == BILLS else _CAUSES
    guess = '{"loading": 0.25}' if two else '"random-rows"'
    best = 'init={"loading": 0.25}' if two else "restarts=4, seed=0"
    from_summit = settings.start == SUMMIT
    start = "summit" if from_summit else "rough"
    e_step = f"em.tempered({settings.beta})" if settings.q == TEMPERED else _E_STEPS[settings.q]
    rough = f"rough = next(em.steps(model, x, {guess}, weight=weight)).params"
    return code.script(
        list(data),
        [
            *([rough] if settings.q == FIXED or not from_summit else []),
            *([f"summit = em.fit(model, x, weight=weight, {best}).params"] if from_summit else []),
            *code.stepped(f"em.steps(model, x, {start}, {e_step}, weight=weight)", len(lesson.trace)),
            *code.half_steps("trace"),
        ],
    )
