"""The state of a run in one file: arrays of float64 and a header in JSON, nothing that could be executed.

The file is written beside its place and then moved there, so that a crash leaves the old one or the new one.
"""

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np

from emcore.stopping import Progress
from emcore.trees import from_vector, to_vector

_FORMAT = "emcore stream checkpoint 1"


class State(NamedTuple):
    """A run after a pass over the rows: all that the passes after it depend on."""

    params: Any
    n_iter: int
    log_likelihood: float  # at params
    progress: Progress  # its objective is the one at params
    ahead: Any  # the params after the M-step; None where there are none
    trouble: str  # why there are none
    history: tuple[float, ...]


class Identity(NamedTuple):
    """What must be the same for a run to go on: digests of model, source and start."""

    model: str
    source: str
    start: str


def digest(*things: Any) -> str:
    """A SHA-256 of numbers, words, dataclasses and arrays, to the last bit."""
    hasher = sha256()
    for thing in things:
        _feed(hasher, thing)
    return hasher.hexdigest()


def _feed(hasher: Any, thing: Any) -> None:
    name = f"{type(thing).__module__}.{type(thing).__qualname__}"
    hasher.update(f"<{name}>".encode())
    if isinstance(thing, np.ndarray):
        hasher.update(f"{thing.shape}{thing.dtype}".encode() + np.ascontiguousarray(thing).tobytes())
    elif is_dataclass(thing) and not isinstance(thing, type):
        _feed(hasher, {field.name: getattr(thing, field.name) for field in fields(thing)})
    elif isinstance(thing, Mapping):
        for key, value in thing.items():
            hasher.update(f"{key}=".encode())
            _feed(hasher, value)
    elif isinstance(thing, tuple | list):
        for part in thing:
            _feed(hasher, part)
    elif thing is None or isinstance(thing, str | bool | int | float | complex | bytes | np.generic):
        hasher.update(repr(thing).encode())
    else:  # a function by its name, any other object by what it holds
        hasher.update(str(getattr(thing, "__qualname__", "")).encode())
        _feed(hasher, dict(getattr(thing, "__dict__", {})) if not callable(thing) else ())


def save(path: Path, state: State, identity: Identity) -> None:
    """Write the state at `path` in one move. OSError where that is impossible."""
    header = {
        "format": _FORMAT,
        **identity._asdict(),
        "n_iter": state.n_iter,
        "goes_on": state.ahead is not None,
        "trouble": state.trouble,
    }
    arrays: dict[str, Any] = {
        "header": np.array(json.dumps(header)),
        "params": to_vector(state.params),
        "ahead": np.zeros(0) if state.ahead is None else to_vector(state.ahead),
        "numbers": np.array([state.log_likelihood, *state.progress], dtype=float),
        "history": np.array(state.history),
    }
    handle, name = tempfile.mkstemp(prefix=path.name, suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def load(path: Path, identity: Identity, like: Any) -> State:
    """The state at `path`. ValueError for a file of another kind, or of another model, source or start."""
    try:
        with np.load(path, allow_pickle=False) as file:
            header = json.loads(str(file["header"]))
            arrays = {name: file[name] for name in ("params", "ahead", "numbers", "history")}
    except (OSError, BadZipFile, KeyError, ValueError, EOFError, AttributeError, TypeError) as error:
        raise ValueError(
            f"{str(path)!r} is not a checkpoint of a fit to a stream, or it is damaged: {error}"
        ) from error
    if header.get("format") != _FORMAT:
        raise ValueError(f"{str(path)!r} is a checkpoint of another version ({header.get('format')!r})")
    for name in Identity._fields:
        if header.get(name) != getattr(identity, name):
            raise ValueError(
                f"the checkpoint {str(path)!r} is of another {name} (or of other settings of it: block_rows, seed and "
                "sample_rows belong to the source); delete it to begin anew, or give another checkpoint="
            )
    log_likelihood, *progress = (float(number) for number in arrays["numbers"])
    return State(
        params=from_vector(arrays["params"], like),
        n_iter=int(header["n_iter"]),
        log_likelihood=log_likelihood,
        progress=Progress(*progress),
        ahead=from_vector(arrays["ahead"], like) if header["goes_on"] else None,
        trouble=str(header["trouble"]),
        history=tuple(arrays["history"].tolist()),
    )
