"""marimo's command line, asked many times in one process: what it imports is paid for once.

`python -m emcore.export.runs` reads lists of arguments, one a line as JSON, and answers each with marimo's exit code;
whatever is printed meanwhile goes to its standard error.
"""

import json
import multiprocessing
import os
import runpy
import subprocess
import sys
import traceback
from pathlib import Path
from typing import NamedTuple, Self

# What every page imports. Not polars: it starts threads, and a process that has some is not safe to fork.
PRELOADED = ("marimo", "altair", "anywidget", "emcore.charts.live", "emcore.classroom.page", "emcore.classroom.mixture")


class Done(NamedTuple):
    """How one run of marimo ended, and what it printed."""

    code: int
    log: str

    @property
    def last_lines(self) -> str:
        """The end of it, which says why a run failed."""
        lines = [line for line in self.log.splitlines() if line.strip() and "opengraph" not in line]
        return "\n".join(lines[-5:])


class Marimo:
    """A process that runs marimo with the arguments it is given, one run after another; to be closed by `with`.

    It has one thread for linear algebra: the numbers then hang on no core count.
    """

    def __init__(self, log: Path) -> None:
        self._log = log
        environment = {"OPENBLAS_NUM_THREADS": "1", "MARIMO_SKIP_UPDATE_CHECK": "1"} | dict(os.environ)
        with log.open("ab") as printed:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "emcore.export.runs"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=printed,
                text=True,
                env=environment | {"PATH": programs()},
            )

    def __call__(self, *arguments: str) -> Done:
        """Run marimo with these arguments; a process that died answers with its own exit code from then on."""
        before = self._log.stat().st_size
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            print(json.dumps(arguments), file=self._process.stdin, flush=True)
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        code = int(answer) if answer else self._process.wait() or 1
        return Done(code, self._log.read_bytes()[before:].decode(errors="replace"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.communicate()


def programs() -> str:
    """Where programs are looked for: beside the running Python first, whether or not its environment is activated."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])


def serve() -> None:
    """Answer every line of arguments, until there are no more."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    _fork_kernels()
    for line in sys.stdin:
        print(_run(json.loads(line)), file=answers, flush=True)


def _fork_kernels() -> None:
    """Have marimo's kernels, a new process for every page, forked from one that has done its imports.

    marimo asks for processes that start from nothing, which takes longer than all else. Each still has its own state.
    """
    if "forkserver" in multiprocessing.get_all_start_methods():
        ordinary = multiprocessing.get_context
        forked = {"spawn": "forkserver"}
        multiprocessing.get_context = lambda method=None: ordinary(forked.get(method, method))  # type: ignore[assignment]
        multiprocessing.set_forkserver_preload(list(PRELOADED))


def _run(arguments: list[str]) -> int:
    sys.argv = ["marimo", *arguments]
    try:
        runpy.run_module("marimo", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


if __name__ == "__main__":
    serve()
