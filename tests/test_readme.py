"""The README's Python runs as written and prints what it says."""

import contextlib
import io
import re
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```(?:\s*```text\n(.*?)```)?", README, flags=re.DOTALL)


@pytest.mark.parametrize(("code", "printed"), BLOCKS, ids=[f"block-{i}" for i in range(len(BLOCKS))])
def test_a_block_prints_what_the_readme_says(code, printed):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, "README.md", "exec"), {"__name__": "readme"})
    assert out.getvalue() == printed


def test_the_first_example_is_ten_lines_and_the_own_model_is_under_25():
    assert len(BLOCKS) >= 2
    assert len(BLOCKS[0][0].strip().splitlines()) <= 10
    model = BLOCKS[1][0].split("# -- use it")[0]
    assert len([line for line in model.splitlines() if line.strip()]) < 25
