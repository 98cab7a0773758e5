"""Forty published fits: each is reproduced by a test of tests/published, to the digits that published_fits.json states.

The tests themselves stand beside their models' kind (mixtures, discrete, gaussian_models, regressions, hmm); here is
the check that none of the cases is left out, and that each says where its figures come from.
"""

import json
import re
from pathlib import Path

HERE = Path(__file__).parent
CASES = json.loads((HERE / "published_fits.json").read_text(encoding="utf-8"))
TESTS = "\n".join(path.read_text(encoding="utf-8") for path in (HERE / "published").glob("test_*.py"))


def named_in_tests(case_id: str) -> bool:
    """True where a test names the case, outright or through a format string such as "gmm-iris-{shape}"."""
    names = re.findall(r'"([a-z0-9{}_-]+)"', TESTS)
    patterns = (re.sub(r"\\{[a-z_]+\\}", "[a-z0-9]+", re.escape(name)) for name in names)
    return any(re.fullmatch(pattern, case_id) for pattern in patterns)


def test_every_published_case_has_a_test():
    assert len(CASES) == 40
    missing = [case["id"] for case in CASES if not named_in_tests(case["id"])]
    assert not missing


def test_the_check_can_fail():
    assert not named_in_tests("gmm-nowhere-full9")


def test_every_case_states_its_tolerance_and_where_its_figures_come_from():
    for case in CASES:
        assert case["tolerance"], case["id"]
        assert all("status" in source for source in case["published"]), case["id"]
