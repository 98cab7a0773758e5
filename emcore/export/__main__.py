"""`python -m emcore.export apps -o site`: the whole course as static pages."""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue

from emcore.export.course import AS_IT_STANDS, App, Setting, apps_in, settings_of
from emcore.export.runs import Marimo
from emcore.export.single import write_files
from emcore.export.site import write_site
from emcore.export.snapshot import ExportError, Snapshot, take
from emcore.export.wasm import write_wasm

MARK = ".emcore-export"  # a folder that holds it was written here and may be written anew


def main(arguments: Sequence[str] | None = None) -> int:
    """Export what the command line names; 0 where every page was written, else 1 and nothing is left behind."""
    asked = _parser().parse_args(arguments)
    out = Path(asked.out).resolve()
    started = time.monotonic()
    try:
        _refuse_foreign(out)
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as folder:
            made = Path(folder) / "site"
            made.mkdir()
            _write(asked, apps_in(Path(asked.apps)), made, Path(folder))
            (made / MARK).write_text("Written by python -m emcore.export\n", encoding="utf-8")
            if out.exists():
                shutil.rmtree(out)
            made.rename(out)
    except (ExportError, ValueError, OSError) as error:
        print(f"Nothing was written.\n{error}", file=sys.stderr)
        return 1
    _tell(out, time.monotonic() - started)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m emcore.export", description=__doc__)
    parser.add_argument("apps", help="the folder of apps, or one app's file")
    parser.add_argument("-o", "--out", default="site", help="the folder to write (default: site)")
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--single-file", action="store_true", help="one HTML file per app, which opens without a server")
    way.add_argument("--wasm", action="store_true", help="interactive pages; the browser fetches Python from a network")
    parser.add_argument("--most", type=int, metavar="N", help="at most N precomputed settings per app (default: all)")
    return parser


def _refuse_foreign(out: Path) -> None:
    if out.exists() and not (out / MARK).exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out} exists and was not written by this command: remove it, or name another with -o")


def _write(asked: argparse.Namespace, apps: Sequence[App], made: Path, folder: Path) -> None:
    if asked.wasm:
        write_wasm(apps, made, folder)
    else:
        taken = photograph(apps, asked.most, folder)
        (write_files if asked.single_file else write_site)(taken, made)


def photograph(apps: Sequence[App], most: int | None, folder: Path) -> list[list[Snapshot]]:
    """Every app at each of its settings, no two alike, a line of progress for each; two run at once."""
    n_processes = min(2, os.cpu_count() or 1)
    idle: SimpleQueue[Marimo] = SimpleQueue()

    def one(app: App, setting: Setting, place: int) -> Snapshot:
        start, own, marimo = time.monotonic(), folder / f"{app.name}-{place}", idle.get()
        try:
            own.mkdir()
            shot = take(marimo, app, setting, own)
        finally:
            idle.put(marimo)
        print(f"  {app.name}: {setting.title} ({time.monotonic() - start:.1f} s)", flush=True)
        return shot

    with ExitStack() as processes, ThreadPoolExecutor(n_processes) as pool:
        for place in range(n_processes):
            idle.put(processes.enter_context(Marimo(folder / f"marimo-{place}.log")))
        try:
            print(f"{len(apps)} apps as they stand", flush=True)
            first = list(pool.map(lambda app: one(app, Setting(AS_IT_STANDS), 0), apps))
            more = [settings_of(shot.app, "".join(shot.outputs()), most)[1:] for shot in first]
            print(f"{sum(map(len, more))} precomputed settings", flush=True)
            rest = [
                [pool.submit(one, shot.app, setting, place) for place, setting in enumerate(settings, 1)]
                for shot, settings in zip(first, more, strict=True)
            ]
            return [unlike([shot, *(run.result() for run in runs)]) for shot, runs in zip(first, rest, strict=True)]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def unlike(taken: Sequence[Snapshot]) -> list[Snapshot]:
    """The snapshots of an app without those that show, in the end, the settings of one before."""
    kept: list[Snapshot] = []
    for shot in taken:
        if all(shot.values != other.values for other in kept):
            kept.append(shot)
        else:
            print(f"  {shot.app.name}: {shot.setting.title} shows what another page does, and is left out", flush=True)
    return kept


def _tell(out: Path, seconds: float) -> None:
    files = [path for path in out.rglob("*") if path.is_file()]
    total = sum(path.stat().st_size for path in files)
    for page in sorted(out.glob("*.html")):
        print(f"  {page.name}  {page.stat().st_size / 1e6:.2f} MB")
    print(f"Wrote {out}: {len(files)} files, {total / 1e6:.1f} MB, in {seconds:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
