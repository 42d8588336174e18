"""Comparisons as files: readable JSON with every summary, and raw samples in a compressed .npz per scenario and load.

The samples of a scenario at a load are written once, so exporting after each costs no more than exporting at the end.
"""

import dataclasses
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from typing import get_args
from zipfile import BadZipFile

import numpy as np
from pydantic import TypeAdapter
from pydantic import ValidationError

from shared.errors import UsageError
from shared.lab.planning.plan import Load
from shared.lab.planning.plan import Scenario
from shared.lab.planning.plan import Timing
from shared.lab.results.client import ClientLimits
from shared.lab.results.directory import WHERE
from shared.lab.results.directory import write_atomically
from shared.lab.results.record import SCHEMA_VERSION
from shared.lab.results.record import CellSummary
from shared.lab.results.record import Comparison
from shared.lab.results.record import Doubt
from shared.lab.results.record import ForeignLoad
from shared.lab.results.record import Manifest
from shared.lab.results.record import RatioSummary
from shared.lab.results.record import RequestErrors
from shared.lab.results.record import ResultKind
from shared.lab.results.record import Samples
from shared.lab.results.record import Slice
from shared.lab.results.record import Stop
from shared.lab.results.server import ServerFigures
from shared.lab.results.terms import Terms

SLICE_FIELDS = tuple(f.name for f in dataclasses.fields(Slice) if f.name not in {"samples", "errors"})
SAMPLE_FIELDS = tuple(f.name for f in dataclasses.fields(Samples))
ERROR_FIELDS = tuple(f.name for f in dataclasses.fields(RequestErrors))
# What reading a file that was cut or changed can end with.
DAMAGE = (ValueError, KeyError, TypeError, AttributeError, StopIteration, EOFError, OSError, BadZipFile, zlib.error)


@dataclasses.dataclass(frozen=True, slots=True)
class _Stored:
    """A comparison without its slices, as its JSON holds it."""

    kind: ResultKind
    manifest: Manifest
    timing: Timing
    subjects: tuple[str, ...]
    baseline: str
    scenarios: tuple[Scenario, ...]
    loads: tuple[Load, ...]
    cells: tuple[CellSummary, ...]
    ratios: tuple[RatioSummary, ...]
    foreign_load: tuple[ForeignLoad, ...]
    doubts: tuple[Doubt, ...]
    stops: tuple[Stop, ...]
    until: float | None
    limits: ClientLimits | None
    schema_version: int
    terms: Terms | None


_SERVER: TypeAdapter[ServerFigures | None] = TypeAdapter(ServerFigures | None)
STORED_FIELDS = tuple(f.name for f in dataclasses.fields(_Stored))


def write(comparison: Comparison, path: Path) -> None:
    """Write a comparison; raw samples that have their file already are not written again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    measured = list(dict.fromkeys((piece.scenario, piece.load) for piece in comparison.slices))
    files = {key: f"{path.stem}.{number:02}.npz" for number, key in enumerate(measured, start=1)}
    for key, file in files.items():
        if not (path.parent / file).exists():
            arrays = _arrays([piece for piece in comparison.slices if (piece.scenario, piece.load) == key])
            write_atomically(path.parent / file, lambda handle, a=arrays: np.savez_compressed(handle, **a))  # type: ignore[misc]
    text = json.dumps(_to_json(comparison, files), indent=1, ensure_ascii=False) + "\n"
    write_atomically(path, lambda handle: handle.write(text.encode()))


def load(path: Path, *, with_samples: bool = True) -> Comparison:
    """Read a comparison back; of a comparison of factors, what was measured in it.

    Args:
        path: Its JSON file.
        with_samples: Whether to read the raw samples, too; without them it has no slices.

    Raises:
        UsageError: If the file cannot be read, is not a comparison, one of another schema version, or damaged.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        version, kind = data["schema_version"], data.get("kind")
        # The file of a comparison of factors holds what was computed, and names the one with the figures.
        if kind == "factors" and "comparison" in data:
            return load(path.with_name(data["comparison"]), with_samples=with_samples)
    except OSError as error:
        raise UsageError(f"Cannot read {path}", why=error.strerror or str(error), hint=WHERE) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(f"{path} is not a result", why=f"{type(error).__name__}: {error}", hint=WHERE) from error
    if isinstance(kind, str) and kind not in get_args(ResultKind):
        raise UsageError(f"{path} is no comparison", why=f"it holds a result of kind {kind}", hint=WHERE)
    if version != SCHEMA_VERSION:
        raise UsageError(
            f"{path} has schema version {version!r}",
            why=f"this program reads version {SCHEMA_VERSION}",
            hint="use the commit in its manifest, or measure again",
        )
    try:
        return _from_json(data, path.parent if with_samples else None)
    except DAMAGE as error:
        raise UsageError(f"{path} is damaged", why=_what_is_wrong(error), hint="measure again") from error


def _what_is_wrong(error: Exception) -> str:
    """Return in one line why a result cannot be read."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return f"{type(error).__name__}: {error}"


def _arrays(slices: list[Slice]) -> dict[str, np.ndarray[Any, Any]]:
    """Return the columns of all these slices, one after the other, with the lengths to part them again."""
    arrays: dict[str, np.ndarray[Any, Any]] = {
        "sample_counts": np.array([len(piece.samples) for piece in slices], dtype=np.int64),
        "error_counts": np.array([len(piece.errors) for piece in slices], dtype=np.int64),
    }
    for name in SAMPLE_FIELDS:
        arrays[name] = np.concatenate([getattr(piece.samples, name) for piece in slices])
    for name in ERROR_FIELDS:
        arrays[f"error_{name}"] = np.concatenate([getattr(piece.errors, name) for piece in slices])
    return arrays


def _to_json(comparison: Comparison, files: Mapping[tuple[str, Load], str]) -> dict[str, object]:
    """Return the record in reading order; slices lose their arrays to the sample files."""
    return {
        "schema_version": comparison.schema_version,
        "kind": comparison.kind,
        "manifest": dataclasses.asdict(comparison.manifest),
        "timing": dataclasses.asdict(comparison.timing),
        "subjects": comparison.subjects,
        "baseline": comparison.baseline,
        "scenarios": [{**dataclasses.asdict(s), "body": s.body.decode("latin-1")} for s in comparison.scenarios],
        "loads": [dataclasses.asdict(load) for load in comparison.loads],
        "ratios": [dataclasses.asdict(ratio) for ratio in comparison.ratios],
        "doubts": [dataclasses.asdict(doubt) for doubt in comparison.doubts],
        "cells": [dataclasses.asdict(cell) for cell in comparison.cells],
        "foreign_load": [dataclasses.asdict(foreign) for foreign in comparison.foreign_load],
        "stops": [dataclasses.asdict(stop) for stop in comparison.stops],
        "until": comparison.until,
        "limits": None if comparison.limits is None else dataclasses.asdict(comparison.limits),
        "terms": None if comparison.terms is None else dataclasses.asdict(comparison.terms),
        "sample_files": [
            {"scenario": scenario, "load": dataclasses.asdict(load), "file": file}
            for (scenario, load), file in files.items()
        ],
        "slices": [_slice_to_json(piece) for piece in comparison.slices],
    }


def _slice_to_json(piece: Slice) -> dict[str, object]:
    server = None if piece.server is None else dataclasses.asdict(piece.server)
    own = {name: getattr(piece, name) for name in SLICE_FIELDS}
    return {**own, "load": dataclasses.asdict(piece.load), "server": server}


def _from_json(data: dict[str, Any], directory: Path | None) -> Comparison:
    """Return the record, each value of the type it is declared with; without a directory it has no slices."""
    scenarios = [{**scenario, "body": scenario["body"].encode("latin-1")} for scenario in data["scenarios"]]
    stored = TypeAdapter(_Stored).validate_python({**data, "scenarios": scenarios})
    slices = () if directory is None else tuple(_slices(data, directory))
    return Comparison(**{name: getattr(stored, name) for name in STORED_FIELDS}, slices=slices)


def _slices(data: dict[str, Any], directory: Path) -> list[Slice]:
    """Return the slices in their order, each with its part of the columns in its scenario's and load's file."""
    stored = data["sample_files"]
    parts = {(f["scenario"], Load(**f["load"])): iter(_parts(directory / f["file"])) for f in stored}
    slices: list[Slice] = []
    for fields in data["slices"]:
        load = Load(**fields["load"])
        samples, errors = next(parts[fields["scenario"], load])
        server = _SERVER.validate_python(fields["server"])
        slices.append(Slice(**{**fields, "load": load, "server": server}, samples=samples, errors=errors))
    return slices


def _parts(file: Path) -> list[tuple[Samples, RequestErrors]]:
    # Opened here, because numpy leaves a file open in which it finds no archive.
    with file.open("rb") as handle, np.load(handle, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    sample_ends = np.cumsum(arrays["sample_counts"])[:-1]
    error_ends = np.cumsum(arrays["error_counts"])[:-1]
    samples = zip(*(np.split(arrays[name], sample_ends) for name in SAMPLE_FIELDS), strict=True)
    errors = zip(*(np.split(arrays[f"error_{name}"], error_ends) for name in ERROR_FIELDS), strict=True)
    return [(Samples(*s), RequestErrors(*e)) for s, e in zip(samples, errors, strict=True)]
