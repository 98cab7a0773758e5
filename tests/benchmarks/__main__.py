"""`python -m tests.benchmarks`: ours and its peers in turns, in one process, as ratios.

Times of one machine do not carry over to another; ratios mostly do. Each contest is run with every library held to one
thread, and with `--as-shipped` also as each comes.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Any

from tests.benchmarks.contests import Contest, contests, growth
from tests.benchmarks.timing import alternate, peak_megabytes, seconds, summary, threads


def main() -> None:
    options = arguments()
    rows = list(measured(options))
    if options.json:
        json.dump(rows, sys.stdout, indent=1)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="turns that each contestant takes (default: 5)")
    parser.add_argument("--only", default="", help="only contests whose name contains this")
    parser.add_argument("--quick", action="store_true", help="leave out the large shapes")
    parser.add_argument("--as-shipped", action="store_true", help="also with the threads that each library takes")
    parser.add_argument("--growth", action="store_true", help="only the time per row from 1e4 to 1e7 rows")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser.parse_args()


def measured(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """One record per contest and setting of threads, printed as it comes."""
    show = (lambda *_: None) if options.json else print
    if options.growth:
        yield from grown(options.rounds, show)
        return
    show(f"{'contest':44}{'threads':>9}  {'ms, median [range]':62}{'times faster':>13}{'goal':>6}")
    for contest in contests(options.quick):
        if options.only not in contest.name:
            continue
        for one_thread in (True, False) if options.as_shipped else (True,):
            record = raced(contest, options.rounds, one_thread)
            show(as_row(record))
            yield record


def raced(contest: Contest, rounds: int, one_thread: bool) -> dict[str, Any]:
    taken = alternate(contest.contestants, contest.iterations, rounds, one_thread=one_thread)
    times = {name: summary(samples) for name, samples in taken.items()}
    fastest = min((name for name in times if name != "ours"), key=lambda name: times[name].median)
    memory = {name: peak_megabytes(work, 2) for name, work in contest.contestants.items()} if contest.memory else {}
    return {
        "contest": contest.name,
        "threads": "one" if one_thread else "as shipped",
        "milliseconds": {name: timed._asdict() for name, timed in times.items()},
        "fastest peer": fastest,
        "ratio": times[fastest].median / times["ours"].median,
        "goal": contest.goal,
        "peak megabytes": memory,
    }


def as_row(record: dict[str, Any]) -> str:
    times = ", ".join(
        f"{name} {t['median']:.3g} [{t['low']:.3g}, {t['high']:.3g}]" for name, t in record["milliseconds"].items()
    )
    goal = "" if record["goal"] is None else f"{record['goal']:g}"
    memory = ", ".join(f"{name} {size:.0f} MB" for name, size in record["peak megabytes"].items())
    row = f"{record['contest']:44}{record['threads']:>9}  {times:62}{record['ratio']:>12.1f}×{goal:>6}"
    return row + (f"  peak memory: {memory}" if memory else "")


def grown(rounds: int, show: Any) -> Iterator[dict[str, Any]]:
    show(f"{'rows':>12}{'ns per row and iteration':>28}")
    for n, work in growth():
        with threads(one=True):
            work(2)
            slopes = [1e9 * (seconds(work, 6) - seconds(work, 2)) / 4 / n for _ in range(rounds)]
        record = {"rows": n, "nanoseconds per row": summary(slopes)._asdict()}
        show(f"{n:>12,}{record['nanoseconds per row']['median']:>28.1f}")
        yield record


if __name__ == "__main__":
    main()
