"""What the server of a class lets out and in: no code, no traceback, no file but the project's own, nothing evaluated.

The real server runs with a hook on what its Python opens, starts, connects to and compiles, while students visit every
app by addresses, and with text and files, that would like to be code.
"""

import base64
import html
import json
import os
import re
import site
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pytest

from emcore.classroom import selection_rows as data
from tests.load.student import Broken, Student
from tests.serving import ROOT, served

MARK = "open_sesame"
EVIL = f"__import__('os').system('touch {MARK}')"
TABLE = f'"{EVIL}",b\n' + "".join(f"{i % 7 + 9 * (i % 2)},{i % 5}\n" for i in range(40))
APPS = sorted(path.name for path in (ROOT / "apps").glob("*.py"))

# Written before marimo starts, read after it has stopped: one JSON list a line.
HOOK = """
import json, os, sys
_log = os.open(os.environ["AUDIT_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
_asked = {"open", "compile", "os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "socket.connect",
          "os.remove", "os.rename", "os.mkdir", "os.rmdir", "shutil.rmtree"}

def _text(part):
    return part.decode("utf-8", "replace") if isinstance(part, bytes) else str(part)

def _told(event, given):
    os.write(_log, (json.dumps([event, [*map(_text, given)]]) + "\\n").encode())

sys.addaudithook(lambda event, given: _told(event, given) if event in _asked else None)
"""

# An app that must not say where it lives, or what it knows.
BROKEN = """
import marimo
app = marimo.App()

@app.cell
def _():
    secret = "a secret word"
    raise RuntimeError(secret)
"""
CHANGES = ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "shutil.rmtree")
TO_OTHERS = ("subprocess.Popen", "socket.connect")


@dataclass
class Witness(Student):
    """A student who keeps every page and message."""

    messages: list[str] = field(default_factory=list)

    def ask(self, path: str, body: object = None) -> bytes:
        reply = super().ask(path, body)
        self.messages.append(reply.decode())
        return reply

    def hear(self, message: str) -> bool:
        self.messages.append(message)
        return super().hear(message)

    def drawn(self) -> str:
        """All that the charts were told."""
        return json.dumps(list(self.charts.values()))


def choose_own_table(student: Student) -> None:
    """A table whose first column has a name that would like to be run: uploaded, then pasted."""
    student.move("data", [data.OWN_FILE])
    student.move(data.ABOUT_FILES, [["a.csv", base64.b64encode(TABLE.encode()).decode()]])
    assert EVIL in student.drawn(), "the uploaded column's name is on no chart"
    student.move("data", ["Old Faithful"])
    student.move("data", [data.PASTED])
    student.move(data.ABOUT_PASTING, TABLE)
    assert EVIL in student.drawn(), "the pasted column's name is on no chart"


def writes(path: str, mode: str, flags: str) -> bool:
    """Whether a file was opened to be written to, by `open` or by `os.open`."""
    return any(letter in mode for letter in "wax+") if mode != "None" else bool(int(flags) & (os.O_WRONLY | os.O_RDWR))


class Visit(NamedTuple):
    """What was heard and seen."""

    students: dict[str, Witness]
    events: list[tuple[str, list[str]]]  # what the server's Python did
    home: Path  # of the server


@pytest.fixture(scope="module")
def visit(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audited")
    (folder / "sitecustomize.py").write_text(HOOK)
    home, log, students = folder / "home", folder / "audit.jsonl", {}
    home.mkdir()
    environment = {
        "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "AUDIT_LOG": str(log),
        "HOME": str(home),
        "TMPDIR": str(home),
    }
    with served("apps", environment=environment) as running:
        for app in APPS:
            query = dict.fromkeys(("data", "k", "seed", "means", "start", "model", "x"), EVIL)
            students[app] = Witness(running.url, app, query=query)
            students[app].open()
            if app == "06_how_many.py":
                choose_own_table(students[app])
            students[app].close()
    return Visit(students, [tuple(json.loads(line)) for line in log.read_text("utf-8").splitlines()], home)


def test_an_address_or_a_table_is_never_compiled(visit):
    compiled = [given for event, given in visit.events if event == "compile" and MARK in given[0]]
    assert not compiled
    assert sum(event == "compile" for event, _ in visit.events) > 1000, "the hook saw nothing"


def test_nothing_is_started_and_nobody_is_called(visit):
    called = [event for event in visit.events if event[0] in ("os.system", "os.exec", "os.posix_spawn", *TO_OTHERS)]
    assert not called


def test_only_marimo_writes_and_only_its_own_notes(visit):
    """Which files were opened last and the log, in the folder of the one who started it."""
    changed = [given[0] for event, given in visit.events if event in CHANGES or (event == "open" and writes(*given))]
    assert changed, "the hook saw nothing"
    assert [path for path in changed if not path.startswith(str(visit.home))] == []


def test_no_file_is_read_but_of_python_and_the_project(visit):
    """Also marimo's notes and settings, and the system's list of file types."""
    read = {str(Path(ROOT, given[0])) for event, given in visit.events if event == "open" and not given[0].isdigit()}
    places = (sys.prefix, sys.base_prefix, *site.getsitepackages(), str(ROOT / "emcore"), str(ROOT / "datasets"))
    places += (str(ROOT / "apps"), str(visit.home.parent))
    assert {path for path in read if not path.startswith(places)} <= {"/etc/mime.types", str(ROOT / "pyproject.toml")}


def test_no_code_leaves_the_server(visit):
    for app, student in visit.students.items():
        lines = [line.strip() for line in (ROOT / "apps" / app).read_text("utf-8").splitlines()]
        calls = [line for line in lines if re.match(r"\w+(, \w+)* = (classroom|page|links)\.\w+\(", line)]
        assert calls, f"{app} has no line of code to look for"
        told = "\n".join(student.messages)
        assert not [line for line in calls if json.dumps(line)[1:-1] in told or html.escape(line) in told], app


def test_a_cell_that_fails_tells_no_traceback(tmp_path):
    (tmp_path / "broken.py").write_text(BROKEN)
    with served(tmp_path) as running:
        student = Witness(running.url, "broken.py")
        with pytest.raises(Broken):
            student.open()
        student.close()
    page, *told = student.messages  # marimo's page names the folder that is served
    assert "RuntimeError" not in page
    assert not [
        word for word in ("Traceback", "RuntimeError", "a secret word", str(tmp_path)) if word in "\n".join(told)
    ]
