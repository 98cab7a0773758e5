"""Charts of a trace, each a pure function from the trace to an Altair chart with its own scrubber.

>>> import emcore as em
>>> from emcore import charts
>>> model = em.Mixture(em.Gaussian("full"), 2)
>>> fit = em.fit(model, em.datasets.load("old_faithful"), restarts=1, seed=0, max_iter=5, trace=True)
>>> picture = charts.view(fit.trace, names=("eruptions (min)", "waiting (min)"))
>>> picture.to_dict()["datasets"]["halves"][3]["title"]
'iteration 2, after the M-step: θ moved, q held'

`picture.save("run.html", inline=True)` is one file that needs no network; put charts of one trace under one scrubber
with `above(…)` and `beside(…)`, or with & and |.
"""

from emcore.charts.densities import density
from emcore.charts.gap import gap_bars, gap_points, gap_rows
from emcore.charts.path import parameter_path
from emcore.charts.picture import Picture, above, beside
from emcore.charts.scatter import responsibilities
from emcore.charts.strips import strip
from emcore.charts.trace import kl_curve, staircase
from emcore.charts.views import view

__all__ = [
    "Picture",
    "above",
    "beside",
    "density",
    "gap_bars",
    "gap_points",
    "gap_rows",
    "kl_curve",
    "parameter_path",
    "responsibilities",
    "staircase",
    "strip",
    "view",
]
