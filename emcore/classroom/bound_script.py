"""The code of the run that the lesson on the bound shows."""

from collections.abc import Mapping
from types import MappingProxyType

from emcore.classroom import script as code
from emcore.classroom.bound import EVEN, LEAST_LIKELY, LIKELIEST, LINKAGE, BoundLesson

_OTHERS: Mapping[str, str] = MappingProxyType(
    {
        EVEN: "np.full_like(table, 1 / 2)",
        LIKELIEST: "np.eye(2)[table.argmax(axis=1)]",
        LEAST_LIKELY: "np.eye(2)[table.argmin(axis=1)]",
    }
)


def script(lesson: BoundLesson) -> str:
    """The code of the lesson's run: its first Q pulled away from the posterior, if it is."""
    settings, by_hand = lesson.settings, lesson.settings.amount > 0
    linkage = settings.example == LINKAGE
    data = (
        ['x = em.datasets.load("linkage")', "model = em.genetics.linkage()", f'start = {{"theta": {settings.theta}}}']
        if linkage
        else [
            'x = em.datasets.load("coin_tosses").select("heads")',
            "model = em.Mixture(em.Binomial(10), 2, fixed_weights=(0.5, 0.5))",
            f'start = {{"weights": [0.5, 0.5], "probs": [[{settings.theta}], [0.5]]}}',
        ]
    )
    q = _first_q(lesson, linkage) if by_hand else []
    return code.script(
        [*(["import numpy as np", ""] if by_hand else []), *data],
        *([q] if by_hand else []),
        [
            *code.stepped(f"em.steps(model, x, start{', first_by_hand' if by_hand else ''})", len(lesson.trace)),
            *code.half_steps("trace"),
        ],
    )


def _first_q(lesson: BoundLesson, linkage: bool) -> list[str]:
    settings = lesson.settings
    table = "q.shares[:, :2]  # the two parts of the first class" if linkage else "q.probs"
    rows = ":" if linkage or settings.row < 0 else f"{settings.row}:{settings.row + 1}"
    mixed = f"{1.0 - settings.amount!r} * table[{rows}] + {settings.amount!r} * other[{rows}]"
    copied = "q.shares.copy()" if linkage else "q.probs.copy()"
    return [
        "def first_by_hand(model, params, x, q_before):",
        "    q = model.posterior(params, x)",
        "    if q_before is not None:",
        "        return q  # exact from the second E-step on",
        f"    table = {table}",
        f"    other = {_OTHERS[settings.q]}",
        f"    mixed = {copied}",
        f"    mixed[{rows}{', :2' if linkage else ''}] = {mixed}",
        "    return q._replace(shares=mixed)" if linkage else "    return em.CategoricalPosterior(mixed)",
        "",
    ]
