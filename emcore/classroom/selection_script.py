"""The code that makes the fits which the lesson on the number of components shows.

Names of a student's columns enter it as quoted strings (`literal`), whatever they hold.
"""

from collections.abc import Sequence

import numpy as np

from emcore.classroom import script as code
from emcore.classroom.script import call, literal
from emcore.classroom.selection import FOLD, FOLDS, IN_SAMPLE, REFITTED, TESTED, SelectionSettings
from emcore.classroom.selection_rows import DATASETS, LATENT, MOST_ROWS, OWN, Rows
from emcore.uploads import Table

_CRITERIA = ("aic", "bic", "icl")


def data(source: str, table: Table | str, columns: Sequence[int], weight: int | None) -> list[str]:
    """Code that reads the rows: of a data set by its title, or the student's own, from the columns at these places."""
    if source in OWN and not isinstance(table, str):
        return _own(table, [place for place in columns if place != weight], weight)
    of = DATASETS[source]
    names = ", ".join(map(literal, of.columns))
    return [
        f"table = em.datasets.load({literal(of.name)})",
        f"rows = table.select({names}).drop_nulls()",
        "x = rows.to_numpy().astype(float)",
        *([f"weight = table[{literal(of.weight)}].to_numpy()"] if of.weight else []),
    ]


def _own(table: Table, columns: Sequence[int], weight: int | None) -> list[str]:
    names = [table.columns[place].name for place in columns]
    lines = [
        "import numpy as np",
        "import polars as pl",
        "",
        "# Your own file, with a line of names; for other files see the options of pl.read_csv.",
        'table = pl.read_csv("your-file.csv", null_values=["", "NA"])',
        f"x = table[{literal(names)}].to_numpy().astype(float)",
        "kept = ~np.isnan(x).all(axis=1)  # rows with something in them",
    ]
    if weight is not None:
        lines += [f"weight = table[{literal(table.columns[weight].name)}].to_numpy().astype(float)"]
        lines += ["kept &= weight > 0", "x, weight = x[kept], weight[kept]"]
    else:
        lines += ["x = x[kept]"]
    if table.n_rows > MOST_ROWS:
        lines += [
            f"if len(x) > {MOST_ROWS}:  # nobody has to wait",
            f"    drawn = np.sort(np.random.default_rng(0).choice(len(x), {MOST_ROWS}, replace=False))",
            f"    x{', weight' * (weight is not None)} = x[drawn]{', weight[drawn]' * (weight is not None)}",
        ]
    return lines


def script(
    rows: Rows,
    settings: SelectionSettings,
    read: Sequence[str],
    *,
    k: int,
    copies: int = 1,
    split: int | None = None,
    samples: int | None = None,
) -> str:
    """The code of the fits to `rows`, read as `data` says, and of the run with `k` components.

    `split` None: nothing is held out. `samples` None: nothing is simulated.
    """
    largest = min(settings.largest, len(rows.x))
    counted = rows.weight is not None
    numpy = [] if copies == 1 or "import numpy as np" in read else ["import numpy as np", ""]
    once, often = "weight=weight" * counted, f"weight={_often(counted, copies)}" if counted or copies > 1 else ""
    ks = range(1, largest + 1)
    fitted = call("em.select", "model", "x", f"k={ks}", f"criteria={literal(_CRITERIA)}", once, **IN_SAMPLE)
    held_out = call(
        "em.select", "model", "x", f"k={ks}", 'criteria="held_out"', f"folds={FOLDS}", f"seed={split}", often, **FOLD
    )
    simulated = call("em.bootstrap_lrt", f"model({k}), model({k + 1}), x", once, n_bootstrap=samples, **TESTED)
    looked_at = [f"fit = found[{k - 1}].fit  # k = {k}"] if k <= largest else []
    return code.script(
        [*numpy, *read],
        ["", "def model(k):", f"    return {_model(settings)}", ""],
        [f"found = {fitted}", *looked_at, *_copied(settings, counted, copies, often)],
        *([code.half_steps()] if k <= largest else []),
        *([] if split is None else [_scores(held_out)]),
        *([] if samples is None or np.isnan(rows.x).any() else [_test(simulated)]),
    )


def _often(counted: bool, copies: int) -> str:
    if counted:
        return "weight" if copies == 1 else f"{copies} * weight"
    return f"np.full(len(x), {float(copies)})"


def _model(settings: SelectionSettings) -> str:
    if settings.model == LATENT:
        family = call("em.Categorical", prior=settings.prior or None)
    else:
        family = code.gaussian(settings.model, settings.prior)
    return call("em.Mixture", family, "k")


def _copied(settings: SelectionSettings, counted: bool, copies: int, often: str) -> list[str]:
    """The criteria, as if every row had been seen so many times."""
    if copies > 1 and not settings.prior:
        return [
            f"copies, n = {copies}, {'weight.sum()' if counted else 'len(x)'}  # as if every row came so many times",
            "for row in found:  # the best parameters stay where they are",
            "    deviance = -2.0 * copies * row.log_likelihood",
            "    aic, bic = deviance + 2.0 * row.n_params, deviance + row.n_params * np.log(copies * n)",
            "    icl = bic + copies * (row.icl - row.bic)",
            *_printed("deviance", "aic", "bic", "icl"),
        ]
    again = []
    if copies > 1:
        one = call(
            "em.select",
            *("[row.fit.model]", "x", f"criteria={literal(_CRITERIA)}", often, "init=row.fit.params"),
            **REFITTED,
        )
        again = [
            "",
            "",
            f"def seen_often(row):  # {copies} times, from where EM ended",
            *f"    return {one}[0]".replace("\n", "\n    ").splitlines(),
            "",
            "",
            "found = [seen_often(row) for row in found if row.sound]",
        ]
    return [*again, "for row in found:", *_printed("-2 * row.log_likelihood", "row.aic", "row.bic", "row.icl")]


def _printed(deviance: str, aic: str, bic: str, icl: str) -> list[str]:
    return [
        f'    print(f"k = {{row.k}}: -2 log p(x) {{{deviance}:.2f}}, AIC {{{aic}:.2f}}", end=", ")',
        f'    print(f"BIC {{{bic}:.2f}}, ICL {{{icl}:.2f}}  {{row.status}}")',
    ]


def _scores(held_out: str) -> list[str]:
    return [
        f"held = {held_out}",
        "for row in held:",
        '    print(f"k = {row.k}: log p per row held out {row.held_out:.4f}")',
    ]


def _test(simulated: str) -> list[str]:
    return [f"test = {simulated}", 'print(f"2 x the gain {test.statistic:.2f}, p = {test.p_value:.3f}")']
