"""The same data, settings and seed give the same numbers: in a new process, on more BLAS threads, in other blocks."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import emcore as em
from emcore import passes
from emcore.kernels import linear, plain, residual
from emcore.trees import to_vector

ROOT = Path(__file__).resolve().parents[1]
RUNS = """
import json
import numpy as np
import emcore as em
from emcore.trees import to_vector
iris = em.datasets.load("iris").drop("species")
wide = np.random.default_rng(0).standard_normal((3_000, 24)) @ np.random.default_rng(1).standard_normal((24, 24))
quakes = em.datasets.load("earthquakes").select("count")
fits = [
    em.fit(em.Mixture(em.Gaussian("full"), 3), iris, restarts=8, seed=7),
    em.fit(em.Mixture(em.Gaussian("tied"), 3), wide, restarts=2, seed=7, max_iter=30, tol=0),
    em.fit(em.HMM(em.Poisson(), 2), quakes, restarts=3, seed=7),
    em.fit(em.FactorAnalysis(2), iris, seed=7),
    em.fit(em.Mixture(em.StudentT(5.0), 2), iris, restarts=2, seed=7, accelerate="anderson", max_iter=200),
]
print(json.dumps([[fit.log_likelihood, *to_vector(fit.params).tolist()] for fit in fits]))
"""


def in_a_new_process(blas_threads: int) -> list[np.ndarray]:
    threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(blas_threads))
    environment = os.environ | threads | {"PYTHONPATH": str(ROOT)}
    said = subprocess.run([sys.executable, "-c", RUNS], env=environment, capture_output=True, text=True, check=True)
    return [np.array(numbers) for numbers in json.loads(said.stdout)]


def test_a_restart_and_another_blas_thread_change_nothing():
    first, again, on_two = in_a_new_process(1), in_a_new_process(1), in_a_new_process(2)
    for one, same, other in zip(first, again, on_two, strict=True):
        assert np.array_equal(one, same)
        np.testing.assert_allclose(other, one, rtol=1e-12, atol=1e-12 * np.abs(one).max())


@pytest.mark.parametrize(
    "model",
    [
        em.Mixture(em.Gaussian("full"), 3),
        em.Mixture(em.Gaussian("diag"), 3),
        em.Mixture(em.StudentT(4.0), 2),
        em.FactorAnalysis(1),
    ],
    ids=["full", "diag", "student", "factors"],
)
def test_results_do_not_hang_on_the_size_of_blocks(model, monkeypatch):
    x = em.datasets.load("iris").drop("species").to_numpy()
    explicit = {"init": em.fit(model, x, restarts=1, seed=0, max_iter=2).params, "tol": 0, "max_iter": 20}
    whole = to_vector(em.fit(model, x, **explicit).params)
    monkeypatch.setattr(passes, "_BLOCK_ROWS", 17)
    for module, names in ((linear, ("_FEWEST", "_MOST")), (plain, ("_FEWEST", "_MOST"))):
        for name in names:
            monkeypatch.setattr(module, name, 17)
    monkeypatch.setattr(residual, "_WORK", 100)
    blocked = to_vector(em.fit(model, x, **explicit).params)
    np.testing.assert_allclose(blocked, whole, rtol=1e-11, atol=1e-12)
