"""EM over the processes of a cluster: the answer of one machine, also where a worker dies in the middle."""

import os
import pickle
import signal

import numpy as np
import pandas as pd
import pytest

import emcore as em
from emcore.stream.blocks import evaluate
from emcore.trees import leaves

X = np.random.default_rng(11).normal(size=(600, 2)) + np.repeat([[0.0, 0.0], [3.0, 1.0]], 300, axis=0)
WEIGHT = np.random.default_rng(12).integers(1, 4, len(X)).astype(float)
MODEL = em.Mixture(em.Gaussian("full"), 2)


@pytest.fixture(scope="module")
def client():
    from distributed import Client, LocalCluster

    settings = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with LocalCluster(**settings) as cluster, Client(cluster) as client:
        yield client


def bits(params):
    return [leaf.tobytes() for leaf in leaves(params)]


@pytest.fixture(scope="module")
def frame():
    return pd.DataFrame({"a": X[:, 0], "w": WEIGHT, "b": X[:, 1]})


def test_a_frame_on_workers_gives_the_bits_of_one_machine(client, frame):
    import dask.dataframe as dd

    partitions = dd.from_pandas(frame, npartitions=5)
    blocks = [part.compute() for part in partitions.partitions]
    there = em.fit_stream(MODEL, partitions, weight="w", client=client, seed=2, tol=1e-3)
    here = em.fit_stream(MODEL, blocks, weight="w", seed=2, tol=1e-3)
    assert (bits(there.params), there.history, there.status) == (bits(here.params), here.history, em.Status.CONVERGED)
    assert there.n_rows == WEIGHT.sum()
    fit = em.fit(MODEL, X, weight=WEIGHT, restarts=1, seed=2, tol=0, max_iter=there.n_iter)
    np.testing.assert_allclose(there.params.means, fit.params.means, rtol=1e-9)


def test_bags_delayed_blocks_and_arrays(client):
    import dask
    import dask.array as da
    import dask.bag as db

    pairs = [(x, w) for x, w in zip(np.split(X, 6), np.split(WEIGHT, 6))]
    settings = {"max_iter": 5, "tol": 0, "init": em.fit(MODEL, X, restarts=1, tol=0, max_iter=1).params}
    here = em.fit_stream(MODEL, pairs, **settings)
    bag = em.fit_stream(MODEL, db.from_sequence(pairs, npartitions=2), **settings)  # the default client is found
    single = em.fit_stream(MODEL, [dask.delayed(pair) for pair in pairs], client=client, **settings)
    assert bits(single.params) == bits(here.params)
    for u, v in zip(leaves(bag.params), leaves(here.params)):  # three blocks a partition: another tree
        np.testing.assert_allclose(u, v, rtol=1e-12, atol=1e-13)
    array = em.fit_stream(MODEL, da.from_array(X, chunks=(100, 2)), client=client, **settings)
    assert bits(array.params) == bits(em.fit_stream(MODEL, np.split(X, 6), **settings).params)
    with pytest.raises(ValueError, match="several chunks"):
        em.fit_stream(MODEL, da.from_array(X, chunks=(100, 1)), client=client)


def _load(index, folder):
    """A block of rows; where the file `strike` lies, the worker that finds it dies."""
    strike = os.path.join(folder, "strike")
    if index == 3 and os.path.exists(strike):
        os.remove(strike)
        os.kill(os.getpid(), signal.SIGKILL)
    return [np.split(X, 6)[index]]


def test_a_worker_killed_in_the_middle_of_an_iteration_changes_nothing(client, tmp_path):
    import dask.bag as db
    from dask.delayed import delayed

    def strike(progress):
        if progress.iteration == 2:
            (tmp_path / "strike").touch()

    before = set(client.run(os.getpid).values())
    bag = db.from_delayed([delayed(_load)(i, str(tmp_path)) for i in range(6)])
    struck = em.fit_stream(MODEL, bag, client=client, tol=0, max_iter=6, progress=strike)
    assert not (tmp_path / "strike").exists()
    client.wait_for_workers(2, timeout=60)
    assert len(before - set(client.run(os.getpid).values())) == 1  # one of the two died, and another took its place
    here = em.fit_stream(MODEL, np.split(X, 6), tol=0, max_iter=6)
    assert struck.status is em.Status.MAX_ITER
    assert struck.log_likelihood == pytest.approx(here.log_likelihood, rel=1e-12)
    for u, v in zip(leaves(struck.params), leaves(here.params)):
        np.testing.assert_allclose(u, v, rtol=1e-9)


def test_errors_of_blocks_come_home_in_words(client):
    import dask.bag as db

    blocks = [X[:300], X[300:500], X[500:, :1]]
    with pytest.raises(ValueError, match="block 2 of the source: it has 1 columns"):
        em.fit_stream(MODEL, db.from_sequence(blocks, npartitions=3), client=client)
    with pytest.raises(ValueError, match="block 0 of the source, part 1 of it: it has 1 columns"):
        em.fit_stream(MODEL, db.from_sequence(blocks[1:], npartitions=1), client=client)
    with pytest.raises(ValueError, match="one after another"):
        em.fit_stream(MODEL, db.from_sequence(blocks), client=client, online=em.Stepwise())


def test_ctrl_c_leaves_no_work_behind(client):
    import dask.bag as db

    def stop(progress):
        if progress.iteration == 2:
            raise KeyboardInterrupt

    fit = em.fit_stream(MODEL, db.from_sequence(np.split(X, 4), npartitions=4), client=client, progress=stop)
    assert (fit.status, fit.n_iter) == (em.Status.INTERRUPTED, 1)
    assert fit.log_likelihood == pytest.approx(MODEL.log_likelihood(fit.params, X).sum(), rel=1e-12)


def test_a_run_on_workers_resumes_at_home(client, frame, tmp_path):
    """The checkpoint knows the rows and the blocks, not the machines."""
    import dask.dataframe as dd

    partitions = dd.from_pandas(frame, npartitions=5)
    path, blocks = tmp_path / "run.npz", [part.compute() for part in partitions.partitions]
    settings = {"weight": "w", "tol": 0, "checkpoint": path}
    em.fit_stream(MODEL, partitions, client=client, max_iter=3, **settings)
    resumed = em.fit_stream(MODEL, blocks, max_iter=6, **settings)
    assert resumed.history == em.fit_stream(MODEL, blocks, weight="w", tol=0, max_iter=6).history


def test_only_statistics_travel():
    """What a partition sends does not grow with its rows: bytes of (k, d) counts and means and (k, d, d) scatters."""
    k, d = 8, 5
    rng = np.random.default_rng(0)
    params = {
        "weights": np.full(k, 1 / k),
        "means": rng.normal(size=(k, d)),
        "covariances": np.tile(np.eye(d), (k, 1, 1)),
    }
    model = em.Mixture(em.Gaussian("full"), k)
    sizes = []
    for n in (1_000, 16_000):
        x = rng.normal(size=(n, d))
        schema = (f"{d} columns of float64",)
        sizes.append(len(pickle.dumps(evaluate(x, (0, 0), model, model.check_params(params, x), None, schema))))
    assert sizes[0] == sizes[1]
    assert 8 * k * (1 + 2 * d + d * d) < sizes[0] < 8 * k * (1 + 2 * d + d * d) + 2_000
