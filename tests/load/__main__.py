"""`python -m tests.load`: a class of students on one server, all of whom move a slider, and how long each waits.

It starts `marimo run apps` on a free port, opens one session per student, and then, round after round, lets all of
them move the same control to places of their own at the same moment. Students and server share the machine.
"""

import argparse
import json
import random
import statistics
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.load.student import Student
from tests.serving import served


def main() -> None:
    options = arguments()
    with served("apps") as running:
        students = [Student(running.url, options.app) for _ in range(options.students)]
        first, *others = students
        figures: dict[str, Any] = {"app": options.app, "students": len(students), "first page, s": first.open()}
        opened = together(others, lambda student: student.open())
        figures["pages opened at once, s"] = spread(opened or [figures["first page, s"]])
        before = sum(student.heard for student in students)
        waits = [wait for turn in range(options.rounds) for wait in one_round(students, options, turn)]
        figures["answers, s"] = spread(waits)
        figures["kB per answer"] = (sum(student.heard for student in students) - before) / len(waits) / 1e3
        figures["server memory, MB"] = resident_megabytes(running.process)
        for student in students:
            student.close()
    print(json.dumps(figures, indent=1, default=lambda number: round(number, 3)))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.load", description=__doc__)
    parser.add_argument("--students", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--app", default="02_gaussian_mixture.py")
    parser.add_argument("--control", default="components k", help="label of the slider or number that all move")
    parser.add_argument("--values", type=int, nargs=2, default=(1, 8), help="its least and largest value")
    return parser.parse_args()


def one_round(students: list[Student], options: argparse.Namespace, turn: int) -> list[float]:
    """Everybody moves; a student is nowhere twice in a row."""
    low, high = options.values
    places = [low + (number + turn * (1 + number % 3)) % (high - low + 1) for number in range(len(students))]
    random.Random(turn).shuffle(places)
    moves = dict(zip((student.session for student in students), places, strict=True))
    return together(students, lambda student: student.move(options.control, moves[student.session]))


def together(students: list[Student], act: Any) -> list[float]:
    """What `act` returns for each student, all at once."""
    if not students:
        return []
    with ThreadPoolExecutor(len(students)) as pool:
        return list(pool.map(act, students))


def resident_megabytes(process: subprocess.Popen) -> float:
    """Memory that the server holds (Linux)."""
    status = Path(f"/proc/{process.pid}/status").read_text("utf-8")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def spread(values: list[float]) -> dict[str, float]:
    """Median, 95th percentile and largest."""
    ordered = sorted(values)
    return {
        "median": statistics.median(ordered),
        "p95": ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))],
        "largest": ordered[-1],
    }


if __name__ == "__main__":
    main()
