"""Sessions of one server share a process and its modules, and nothing else."""

import re
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import emcore as em
from emcore import charts
from emcore.charts.live import live_spec
from emcore.classroom import mixture as classroom
from emcore.classroom.shared import shared
from emcore.trees import to_vector
from tests.load.student import Student
from tests.serving import served

APP = "02_gaussian_mixture.py"


def lesson(k: int, seed: int, covariance: str) -> tuple:
    """Everything that a session shows of a run: numbers of the half-steps, and the tables of its charts."""
    settings = classroom.MixtureSettings("old_faithful", ("eruptions", "waiting"), k, covariance, "random-rows", seed)
    trace = classroom.mixture_lesson(settings).trace
    numbers = [(half.log_likelihood, half.elbo, half.kl, to_vector(half.params).tobytes()) for half in trace]
    return numbers, live_spec(charts.responsibilities(trace)).tables, live_spec(charts.staircase(trace)).tables


def forget() -> None:
    classroom.mixture_lesson.__wrapped__.cache_clear()
    charts.scene.scene_of.cache_clear()


def test_lessons_side_by_side_are_those_of_a_session_alone():
    asked = [(k, seed, covariance) for k in (2, 3, 5) for seed in (1, 2) for covariance in ("full", "tied", "diag")]
    forget()
    alone = [lesson(*one) for one in asked]
    forget()
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda one: lesson(*one), asked))
    assert together == alone


def test_fits_side_by_side_share_no_generator():
    x = em.datasets.load("iris").drop("species")

    def fitted(seed: int) -> bytes:
        fit = em.fit(em.Mixture(em.Gaussian("diag"), 3), x, init="random-responsibilities", restarts=3, seed=seed)
        return to_vector(fit.params).tobytes()

    before = np.random.get_state()[1].copy()  # noqa: NPY002
    alone = [fitted(seed) for seed in range(8)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(fitted, range(8))) == alone
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def shown(student: Student) -> tuple[list[str], list[dict]]:
    """The numbers under the pictures of the page, and every chart to the last bit."""
    numbers = re.findall(r"(-?[\d,]+\.\d{4})[^\d]{0,400}?log p\(x\) at the end", student.text())
    assert numbers, "the page shows no log-likelihood"
    charts = [state for state in student.charts.values() if "shell" in state]
    assert sum('["table:' in key for state in charts for key in state) > 20, "the charts hold no numbers"
    return numbers, [{key: state[key] for key in state.keys() - {"layout", "revision"}} for state in charts]


def test_two_students_on_one_server_see_their_own_settings():
    moves = {
        "left": [("components k", 2), ("seed", 4), ("components k", 5)],
        "right": [("seed", 9), ("components k", 4)],
    }
    seen = {}
    with served("apps") as running:
        for name, steps in moves.items():  # each alone
            student = Student(running.url, APP)
            student.open()
            for step in steps:
                student.move(*step)
            seen[name] = shown(student)
            student.close()
        assert seen["left"] != seen["right"]
        both = {name: Student(running.url, APP) for name in moves}
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(Student.open, both.values()))
            for left, right in zip(moves["left"], [*moves["right"], ("seed", 9)], strict=True):
                jobs = [pool.submit(both["left"].move, *left), pool.submit(both["right"].move, *right)]
                [job.result() for job in jobs]
        assert {name: shown(student) for name, student in both.items()} == seen
        for student in both.values():
            student.close()


def test_a_server_opens_its_apps_alone():
    with served("apps") as running:
        for asked in (
            "../pyproject.toml",
            "/etc/passwd",
            "..%2F..%2Fetc%2Fpasswd",
            "02_gaussian_mixture.py/../../README.md",
        ):
            try:
                page = urllib.request.urlopen(f"{running.url}/?file={asked}", timeout=30).read().decode()
            except urllib.error.HTTPError as error:
                page = error.read().decode()
            assert not [secret for secret in ("root:x:", "requires-python", "by half-steps") if secret in page], asked


def test_who_asks_for_the_same_at_once_waits_and_has_it_too():
    made = []

    @shared(8)
    def slow(number: int) -> object:
        made.append(number)
        time.sleep(0.05)
        return slow(number - 1) if number > 10 else object()  # it may ask itself

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(slow, [1, 1, 2, 1, 2, 1, 2, 11]))
    assert sorted(made) == [1, 2, 10, 11]
    assert len(set(map(id, answers))) == 3
    assert slow(11) is answers[-1]
