"""EM over blocks of rows: the same as `fit`, resumable to the same bits, one block in memory, plain about bad input."""

import signal
import tracemalloc
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

import emcore as em
from emcore.passes import Expectations
from emcore.stream.blocks import Pairwise, add_surveys, survey
from emcore.stream.online import scaled
from emcore.trees import add_stats, leaves
from tests.registry import CASES

RNG = np.random.default_rng(20090609)
X = np.concatenate([RNG.normal([0, 0], [1, 0.5], (220, 2)), RNG.normal([3, 1], [0.6, 1], (180, 2))])
WEIGHT = RNG.integers(0, 4, len(X)).astype(float)
MODEL = em.Mixture(em.Gaussian("full"), 2)
GROWING = ("zip", "vae", "zero-inflated")  # their statistics hold the rows or nodes themselves


def cut(x, *places):
    return np.split(x, places)


def same(a, b, rtol=1e-9):
    for u, v in zip(leaves(a), leaves(b), strict=True):
        np.testing.assert_allclose(u, v, rtol=rtol, atol=rtol * max(1.0, np.abs(v).max(initial=0.0)))


def bits(params):
    return [leaf.tobytes() for leaf in leaves(params)]


def streamable(case):
    problem = case.pose()
    independent = isinstance(problem.x, np.ndarray) and not hasattr(problem.model, "n_observations")
    return independent and case.lengths is None and not case.name.startswith(GROWING)


STREAMABLE = [case for case in CASES if streamable(case)]


@pytest.mark.parametrize("case", STREAMABLE, ids=lambda case: case.name)
def test_blocks_give_what_fit_gives(case):
    x = np.asarray(case.pose().x)
    places, weight = (len(x) // 3, len(x) // 2 + 1), np.arange(len(x)) % 4 + 0.5
    blocks = [(part, own) for part, own in zip(cut(x, *places), cut(weight, *places))]
    settings = {"init": case.init, "tol": 0, "max_iter": 4}
    fit = em.fit(case.model, x, weight=weight, restarts=None if not isinstance(case.init, str) else 1, **settings)
    stream = em.fit_stream(case.model, blocks, **settings)
    same(stream.params, fit.params)
    assert stream.log_likelihood == pytest.approx(fit.log_likelihood, rel=1e-11)
    assert stream.objective == pytest.approx(fit.objective, rel=1e-11)
    assert (stream.n_iter, stream.n_rows, stream.n_params) == (fit.n_iter, weight.sum(), fit.n_params)
    assert stream.status is fit.status


def test_a_run_to_the_end_has_the_same_end():
    fit = em.fit(MODEL, X, weight=WEIGHT, restarts=1, seed=3)
    stream = em.fit_stream(MODEL, [(X[:100], WEIGHT[:100]), (X[100:], WEIGHT[100:])], seed=3)
    same(stream.params, fit.params, 1e-6)  # the rule may speak an iteration sooner or later
    assert stream.status is em.Status.CONVERGED
    assert stream.log_likelihood == pytest.approx(fit.log_likelihood, rel=1e-12)
    assert stream.bic() == pytest.approx(fit.bic(), rel=1e-12)
    assert stream.aic() == pytest.approx(fit.aic(), rel=1e-12)
    assert np.all(np.diff(stream.history) > -1e-9)
    assert stream.history[-1] == stream.log_likelihood
    np.testing.assert_array_equal(stream.predict(X), fit.predict(X))


def test_holes_and_whole_blocks_without_weight():
    x = np.where(np.random.default_rng(1).random(X.shape) < 0.2, np.nan, X)
    weight = np.where(np.arange(len(x)) < 150, 0.0, WEIGHT)
    start = em.fit(MODEL, X, restarts=1).params
    fit = em.fit(MODEL, x, weight=weight, init=start, tol=0, max_iter=5)
    blocks = [(a, b) for a, b in zip(cut(x, 60, 150, 300), cut(weight, 60, 150, 300))]
    same(em.fit_stream(MODEL, blocks, init=start, tol=0, max_iter=5).params, fit.params)


@pytest.fixture
def frame():
    return pl.DataFrame({"a": X[:, 0], "w": WEIGHT, "b": X[:, 1]})


def test_every_kind_of_source_gives_the_same_bits(frame, tmp_path):
    for i in range(5):
        frame[i * 80 : (i + 1) * 80].write_parquet(tmp_path / f"part-{i}.parquet")
    frame.write_parquet(tmp_path / "all.parquet")
    folder = tmp_path / "folder"
    folder.mkdir()
    for i in range(5):
        (tmp_path / f"part-{i}.parquet").rename(folder / f"part-{i}.parquet")
    np.save(tmp_path / "x.npy", X)
    settings = {"max_iter": 5, "tol": 0, "block_rows": 80}
    weighted = [
        folder,
        str(tmp_path / "all.parquet"),
        pl.scan_parquet(tmp_path / "all.parquet"),
        frame.lazy().filter(pl.col("a") > -1e9),
        frame,
        frame.to_pandas(),
        [frame[i * 80 : (i + 1) * 80] for i in range(5)],
        [pl.scan_parquet(path) for path in sorted(folder.iterdir())],
        lambda: (frame[i * 80 : (i + 1) * 80] for i in range(5)),
    ]
    fits = [em.fit_stream(MODEL, source, weight="w", **settings) for source in weighted]
    pairs = [(x, w) for x, w in zip(np.split(X, 5), np.split(WEIGHT, 5))]
    fits.append(em.fit_stream(MODEL, pairs, **settings))
    assert len({tuple(bits(fit.params)) for fit in fits}) == 1
    same(fits[0].params, em.fit(MODEL, X, weight=WEIGHT, restarts=1, tol=0, max_iter=5).params)
    plain = [np.load(tmp_path / "x.npy", mmap_mode="r"), X, np.split(X, 5), X.tolist and [X[:80], *np.split(X[80:], 4)]]
    fits = [em.fit_stream(MODEL, source, **settings) for source in plain]
    assert len({tuple(bits(fit.params)) for fit in fits}) == 1


def test_the_last_block_of_a_lazy_frame_is_short(frame):
    whole = em.fit_stream(MODEL, frame.lazy(), weight="w", block_rows=150, max_iter=3)
    parts = em.fit_stream(MODEL, [frame[:150], frame[150:300], frame[300:]], weight="w", max_iter=3)
    assert bits(whole.params) == bits(parts.params)


@pytest.mark.parametrize("n_blocks", [1, 2, 3, 7, 8, 11, 16, 21])
def test_the_tree_of_sums_pairs_neighbours_level_by_level(n_blocks):
    tree = Pairwise(lambda a, b: f"({a}{b})")
    for i in range(n_blocks):
        tree.add(chr(97 + i))
    level = [chr(97 + i) for i in range(n_blocks)]
    while len(level) > 1:
        level = [f"({''.join(level[i : i + 2])})" if i + 1 < len(level) else level[i] for i in range(0, len(level), 2)]
    assert tree.total() == level[0]


def test_a_sample_is_uniform_and_hangs_on_no_order():
    rows = np.arange(40.0)[:, None]
    parts = [lambda s, i=i: survey(rows[i * 10 : i * 10 + 10], (i, 0), MODEL, None, 8, s) for i in range(4)]
    counts = np.zeros(40)
    for seed in range(500):
        a, b, c, d = (part(seed) for part in parts)
        left = add_surveys(add_surveys(add_surveys(a, b, 8), c, 8), d, 8)
        right = add_surveys(add_surveys(a, b, 8), add_surveys(c, d, 8), 8)
        np.testing.assert_array_equal(left.x, right.x)
        assert np.all(np.diff(left.x[:, 0]) > 0)
        counts[left.x[:, 0].astype(int)] += 1
    # 500 draws of 8 of 40: χ² on 39 degrees of freedom, scaled by 1 - 8/40; its 0.9999 quantile is 81.7
    assert ((counts - 100) ** 2 / 100).sum() / (1 - 8 / 40) < 81.7


def test_a_start_from_a_sample_of_a_larger_stream():
    x = np.tile(X, (10, 1))
    fit = em.fit_stream(MODEL, x, sample_rows=500, block_rows=512, restarts=3)
    best = em.fit(MODEL, X, restarts=5)
    same(
        fit.params._replace(weights=np.sort(fit.params.weights)),
        fit.params._replace(weights=np.sort(best.params.weights)),
        1e-5,
    )
    assert fit.log_likelihood == pytest.approx(10 * best.log_likelihood, rel=1e-10)
    with pytest.raises(ValueError, match=r"in a sample of 3 of 4000 rows.*sample_rows"):
        em.fit_stream(em.Mixture(em.Gaussian("full"), 5), x, sample_rows=3)


def test_ctrl_c_keeps_the_best_params():
    def stop(progress):
        if progress.iteration == 3:
            raise KeyboardInterrupt

    cut_short = em.fit_stream(MODEL, np.split(X, 4), progress=stop)
    three = em.fit_stream(MODEL, np.split(X, 4), max_iter=2, tol=0)
    assert cut_short.status is em.Status.INTERRUPTED
    assert "interrupted after 2 iterations" in cut_short.message
    assert bits(cut_short.params) == bits(three.params)
    assert cut_short.log_likelihood == three.log_likelihood
    assert cut_short.log_likelihood == pytest.approx(MODEL.log_likelihood(cut_short.params, X).sum(), rel=1e-12)


@pytest.fixture
def ctrl_c():
    """Python's own answer to SIGINT, which a test's process may have switched off."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_in_the_first_pass_gives_the_start(ctrl_c):
    reads = []

    def blocks():
        reads.append(1)
        yield X[:100]
        if len(reads) == 2:
            signal.raise_signal(signal.SIGINT)
        yield X[100:]

    fit = em.fit_stream(MODEL, blocks)
    assert fit.status is em.Status.INTERRUPTED
    assert np.isnan(fit.log_likelihood)
    assert "those of the start" in fit.message
    assert fit.history == ()


@pytest.mark.parametrize("stop_at", [1, 2, 5])
@pytest.mark.parametrize(
    "model",
    [MODEL, em.FactorAnalysis(1), em.Mixture(em.Gaussian("diag", prior="fraley-raftery"), 3)],
    ids=["mixture", "factors", "prior"],
)
def test_a_run_resumes_to_the_same_bits(model, stop_at, tmp_path):
    def stop(progress):
        if progress.iteration == stop_at:
            raise KeyboardInterrupt

    x = np.column_stack([X, X @ [0.5, -1.0] + RNG.normal(0, 0.3, len(X))])
    settings = {"seed": 4, "tol": 1e-7, "block_rows": 90, "max_iter": 60}
    whole = em.fit_stream(model, x, **settings)
    path = tmp_path / "run.npz"
    assert em.fit_stream(model, x, checkpoint=path, progress=stop, **settings).status is em.Status.INTERRUPTED
    assert [file.name for file in tmp_path.iterdir()] == ["run.npz"]
    resumed = em.fit_stream(model, x, checkpoint=path, **settings)
    assert bits(resumed.params) == bits(whole.params)
    assert (resumed.history, resumed.message) == (whole.history, whole.message)
    assert (resumed.status, resumed.n_iter) == (whole.status, whole.n_iter)
    again = em.fit_stream(model, x, checkpoint=path, **settings)  # at the end already
    assert (again.history, again.status, bits(again.params)) == (whole.history, whole.status, bits(whole.params))


def test_a_run_out_of_iterations_goes_on(tmp_path):
    path = tmp_path / "run"
    em.fit_stream(MODEL, X, checkpoint=path, max_iter=3, tol=0)
    more = em.fit_stream(MODEL, X, checkpoint=path, max_iter=7, tol=0)
    assert more.history == em.fit_stream(MODEL, X, max_iter=7, tol=0).history


def test_a_checkpoint_is_plain_numbers_and_names(tmp_path):
    path = tmp_path / "run.npz"
    em.fit_stream(MODEL, X, checkpoint=path, max_iter=2, tol=0)
    with np.load(path, allow_pickle=False) as file:
        assert {file[name].dtype.kind for name in file.files} == {"f", "U"}


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    path = tmp_path / "run.npz"
    em.fit_stream(MODEL, X, checkpoint=path, max_iter=2)
    other = X.copy()
    other[7, 1] += 1e-9
    for model, source, words, settings in [
        (em.Mixture(em.Gaussian("tied"), 2), X, "another model", {}),
        (replace(MODEL, weight_prior=0.5), X, "another model", {}),
        (MODEL, X[:-1], "another source", {}),
        (MODEL, other, "another source", {}),
        (MODEL, X, "another source.*block_rows", {"block_rows": 100}),
        (MODEL, X, "another start", {"init": "random-rows"}),
    ]:
        with pytest.raises(ValueError, match=words):
            em.fit_stream(model, source, checkpoint=path, **settings)
    for content in (b"", b"PK nonsense", path.read_bytes()[:400]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="not a checkpoint"):
            em.fit_stream(MODEL, X, checkpoint=path)


def test_a_checkpoint_every_so_often_is_written_at_the_end_too(tmp_path):
    path, seen = tmp_path / "run.npz", []

    def look(progress):
        seen.append(path.stat().st_mtime_ns if path.exists() else 0)

    em.fit_stream(MODEL, X, checkpoint=path, checkpoint_every=3600.0, max_iter=6, tol=0, progress=look)
    assert len(set(seen)) == 2  # none yet, then the first one
    resumed = em.fit_stream(MODEL, X, checkpoint=path, max_iter=6, tol=0)
    assert len(resumed.history) == 7


def test_progress_is_told_and_shown(capsys):
    told = []
    fit = em.fit_stream(MODEL, np.split(X, 4), progress=told.append, max_iter=3, tol=0)
    assert [p.iteration for p in told] == [0, 1, 2, 3]
    assert tuple(p.log_likelihood for p in told) == fit.history
    assert {p.n_rows for p in told} == {400}
    assert all(p.rows_per_second > 0 for p in told)
    assert capsys.readouterr().err == ""
    em.fit_stream(MODEL, np.split(X, 4), progress=True, max_iter=3, tol=0)
    shown = capsys.readouterr().err
    assert "iteration 3" in shown
    assert f"log p(x) {fit.log_likelihood:,.3f}" in shown
    assert "400 rows" in shown
    assert "nan" not in shown
    em.fit_stream(MODEL, np.split(X, 4), max_iter=1)  # not a terminal
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("online", [None, em.Stepwise()])
def test_one_block_is_in_memory_at_a_time(online):
    """Blocks of 1.6 MB each: thirty need the room of one, with less than half a block more."""
    model, n, d = em.Mixture(em.Poisson(), 2), 20_000, 10
    start = {"weights": [0.4, 0.6], "rates": np.vstack([np.full(d, 1.0), np.full(d, 6.0)])}

    def peak(n_blocks):
        def blocks():
            return (np.random.default_rng(i).poisson(3.0, (n, d)).astype(float) for i in range(n_blocks))

        tracemalloc.start()
        try:
            em.fit_stream(model, blocks, max_iter=1, sample_rows=100, init=start, online=online)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(1)  # what is imported on the way
    assert peak(30) < peak(1) + 0.5 * 8 * n * d


@pytest.mark.parametrize(("power", "left"), [(0.6, 0.02), (0.8, 0.02), (1.0, 0.1)])  # 1/t never forgets the start
def test_online_em_comes_near_in_one_reading(power, left):
    x = np.tile(X, (50, 1))[np.random.default_rng(5).permutation(50 * len(X))]
    limit = em.fit(MODEL, X, restarts=5)
    start = em.fit(MODEL, X, init=limit.params._replace(means=limit.params.means + 0.5), tol=0, max_iter=1).params
    fit = em.fit_stream(MODEL, x, online=em.Stepwise(power), block_rows=200, init=start)
    assert (fit.n_iter, len(fit.history), fit.n_rows) == (100, 100, len(x))
    assert fit.log_likelihood == pytest.approx(MODEL.log_likelihood(fit.params, x).sum(), rel=1e-11)
    begun, best = (50 * MODEL.log_likelihood(p, X).sum() for p in (start, limit.params))
    assert best - fit.log_likelihood < left * (best - begun)
    assert fit.status is em.Status.MAX_ITER
    assert f"t^-{power:g}" in fit.message


def test_the_first_step_of_online_em_is_em_on_the_first_block():
    start = em.fit(MODEL, X, restarts=1, tol=0, max_iter=1).params
    one = em.fit_stream(MODEL, [(X, WEIGHT)], online=em.Stepwise(), init=start)
    same(one.params, em.fit(MODEL, X, weight=WEIGHT, init=start, tol=0, max_iter=1).params)
    assert one.history == (pytest.approx(WEIGHT @ MODEL.log_likelihood(start, X), rel=1e-12),)


def test_steps_are_averages_where_the_power_is_one():
    """γ_t = 1/t gives every block of one size the same weight: with Poisson data, the mean of all statistics."""
    model, start = em.Mixture(em.Poisson(), 1), {"weights": [1.0], "rates": [[1.0]]}
    blocks = [np.array([[2.0], [4.0]]), np.array([[1.0], [0.0]]), np.array([[9.0], [3.0]])]
    assert em.fit_stream(model, blocks, online=em.Stepwise(1.0), init=start).params.rates == pytest.approx(19 / 6)
    gamma = 2**-0.6
    two = em.fit_stream(model, blocks[:2], online=em.Stepwise(0.6), init=start).params.rates
    assert two == pytest.approx((1 - gamma) * 3.0 + gamma * 0.5)


def test_online_em_reads_an_iterator_once():
    fit = em.fit_stream(MODEL, iter(np.split(X, 4)), online=em.Stepwise(), sample_rows=150)
    again = em.fit_stream(MODEL, np.split(X, 4), online=em.Stepwise(), sample_rows=150)
    assert bits(fit.params) == bits(again.params)
    assert np.isnan(fit.log_likelihood)
    assert "not computed" in fit.message
    assert np.isfinite(again.log_likelihood)


@pytest.mark.parametrize("case", STREAMABLE, ids=lambda case: case.name)
def test_scaled_statistics_are_those_of_scaled_weights(case):
    problem = case.pose()
    params = case.start(1)
    ones = np.ones(len(problem.x))
    stats, _ = Expectations(problem._replace(weight=ones))(params)
    for factor in (1e-6, 0.3, 2.5):
        wanted, _ = Expectations(problem._replace(weight=factor * ones))(params)
        for u, v in zip(numbers(scaled(stats, factor)), numbers(wanted), strict=True):
            np.testing.assert_allclose(u, v, rtol=1e-9, atol=1e-9 * np.abs(v).max(initial=1e-6))
    twice = add_stats(stats, stats)
    for u, v in zip(numbers(scaled(stats, 2.0)), numbers(twice), strict=True):
        np.testing.assert_allclose(u, v, rtol=1e-14, atol=0)


def numbers(stats):
    if isinstance(stats, tuple):
        return [leaf for part in stats for leaf in numbers(part)]
    return [np.asarray(stats)] if isinstance(stats, np.ndarray | float | int | np.generic) else []


BAD_SOURCES = [
    ([], ValueError, "the source is empty"),
    ([np.zeros((0, 2))], ValueError, "the source is empty"),
    (iter([X]), TypeError, "a list of blocks, or a function"),
    ((x for x in [X]), TypeError, "a list of blocks, or a function"),
    (3.0, TypeError, "source must be a Parquet file or folder"),
    ([X, X[:, :1]], ValueError, r"block 1 of the source: it has 1 columns of float64 where .* 2 columns of float64"),
    ([X, X, X.astype(np.float32)], ValueError, r"block 2 of the source: it has 2 columns of float32"),
    ([X, X[:, 0]], ValueError, r"block 1 of the source: x must have two axes"),
    ([X, np.array([["a", "b"]])], TypeError, r"block 1 of the source: x must hold numbers"),
    ([X, None], TypeError, r"block 1 of the source: a block must be an array, a data frame or a pair"),
    ([X, np.array([[1.0, np.inf]])], ValueError, r"block 1 of the source: x has an infinite value at row 0"),
    ([(X, WEIGHT), X], ValueError, r"block 1 of the source: it has .* where the blocks before have with weights"),
    ([(X, WEIGHT), (X, WEIGHT[1:])], ValueError, r"block 1 of the source: weight must have shape \(400,\)"),
    ([(X, WEIGHT), (X, -WEIGHT)], ValueError, r"block 1 of the source: weight must be finite and ≥ 0"),
    ([(X, 0 * WEIGHT)], ValueError, "all weights are zero"),
    ([np.column_stack([X, np.full(len(X), np.nan)])], ValueError, "column 2 of x has no observed value"),
    ("no/such/file.parquet", FileNotFoundError, "no file or folder"),
]


@pytest.mark.parametrize(("source", "kind", "words"), BAD_SOURCES)
def test_bad_sources_are_refused_in_words(source, kind, words):
    with pytest.raises(kind, match=words):
        em.fit_stream(MODEL, source)


def test_bad_frames_and_files_are_refused_in_words(frame, tmp_path):
    with pytest.raises(ValueError, match=r"block 0 of the source: weight='v' is no column; .*'a', 'w', 'b'"):
        em.fit_stream(MODEL, frame, weight="v")
    with pytest.raises(ValueError, match=r"block 1 .*it has .*c: Float64.* where the blocks before have b: Float64"):
        em.fit_stream(MODEL, [frame, frame.rename({"b": "c"})])
    with pytest.raises(ValueError, match=r"block 1 .*it has b: String"):
        em.fit_stream(MODEL, [frame, frame.with_columns(pl.col("b").cast(pl.String))])
    with pytest.raises(TypeError, match="pairs"):
        em.fit_stream(MODEL, [X], weight="w")
    with pytest.raises(TypeError, match="pairs"):
        em.fit_stream(MODEL, [X], weight=WEIGHT)
    with pytest.raises(ValueError, match=r"holds no file \*.parquet"):
        em.fit_stream(MODEL, tmp_path)
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="cannot be read as Parquet"):
        em.fit_stream(MODEL, tmp_path / "x.csv")


def test_a_source_that_changes_is_noticed():
    reads = []

    def blocks():
        reads.append(1)
        return iter(np.split(X, 4)[: 5 - len(reads)])

    with pytest.raises(ValueError, match="400 rows when it was first read and 300 now"):
        em.fit_stream(MODEL, blocks)
    once = iter(np.split(X, 4))
    with pytest.raises(ValueError, match="400 rows when it was first read and 0 now"):
        em.fit_stream(MODEL, lambda: once)


def test_blocks_without_rows_are_passed_over():
    same(em.fit_stream(MODEL, [X[:0], X, X[:0]], max_iter=3).params, em.fit_stream(MODEL, [X], max_iter=3).params)


@pytest.mark.parametrize(
    ("model", "x"),
    [
        (em.HMM(em.Gaussian("diag"), 2), X),
        (em.genetics.linkage(), np.array([[125.0, 18, 20, 34]])),
        (em.DawidSkene(2), np.array([[0.0, 0, 1], [0, 1, 1], [1, 0, 0], [1, 1, 0]])),
        (em.RandomIntercept(), np.column_stack([np.arange(400) // 4, X])),
    ],
    ids=["hmm", "tables", "ratings", "groups"],
)
def test_models_whose_rows_hang_together_are_refused(model, x):
    with pytest.raises(TypeError, match=r"not independent observations.*use em\.fit"):
        em.fit_stream(model, x)


def test_a_model_whose_statistics_are_the_rows_is_refused():
    x = np.random.default_rng(2).poisson(1.0, (300, 1)).astype(float)
    with pytest.raises(TypeError, match=r"grow with the number of rows.*use em\.fit"):
        em.fit_stream(em.ZeroInflatedPoisson(), np.split(x, 3))
    with pytest.raises(TypeError, match=r"grow with the number of rows.*use em\.fit"):
        em.fit_stream(em.ZeroInflatedPoisson(), np.split(x, 3), online=em.Stepwise())


@pytest.mark.parametrize(
    ("settings", "kind", "words"),
    [
        ({"init": np.zeros(400, int)}, TypeError, "no labels"),
        ({"init": "k-moans"}, ValueError, "init must be one of"),
        ({"restarts": 0}, ValueError, "restarts must be"),
        ({"tol": -1.0}, ValueError, "tol must be"),
        ({"max_iter": 0}, ValueError, "max_iter must be"),
        ({"block_rows": 0}, ValueError, "block_rows must be"),
        ({"progress": 3}, TypeError, "progress must be"),
        ({"online": 0.6}, TypeError, "Stepwise"),
        ({"online": em.Stepwise(), "checkpoint": "run.npz"}, ValueError, "keeps no checkpoint"),
        ({"client": object()}, TypeError, "client= needs a dask data frame"),
    ],
)
def test_bad_settings_are_refused_in_words(settings, kind, words):
    with pytest.raises(kind, match=words):
        em.fit_stream(MODEL, X, **settings)
    for power in (0.5, 1.1, "fast"):
        with pytest.raises(ValueError, match="power must be above 1/2"):
            em.Stepwise(power)


def test_a_collapse_ends_degenerate_with_the_last_sound_params():
    x = np.concatenate([X, np.full((3, 2), 40.0) + np.arange(3)[:, None] * 1e-9])
    start = {"weights": [0.98, 0.02], "means": [[1.0, 0.5], [40.0, 40.0]], "covariances": np.tile(np.eye(2), (2, 1, 1))}
    fit = em.fit(MODEL, x, init=start)
    stream = em.fit_stream(MODEL, [x[:100], x[100:]], init=start)
    assert fit.status is em.Status.DEGENERATE
    assert (stream.status, stream.message, stream.n_iter) == (fit.status, fit.message, fit.n_iter)
    same(stream.params, fit.params)
