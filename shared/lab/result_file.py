"""Comparisons as files: readable JSON with every summary, and raw samples in a compressed .npz per scenario and level.

A file appears whole or not at all: it is written beside its place and moved there. The samples of a scenario at
a level are written once, so exporting after each costs no more than exporting at the end.
"""

import dataclasses
import json
import os
import tempfile
from collections.abc import Callable
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from typing import BinaryIO

import numpy as np

from shared.errors import UsageError
from shared.lab.plan import Scenario
from shared.lab.plan import Timing
from shared.lab.result import SCHEMA_VERSION
from shared.lab.result import CellSummary
from shared.lab.result import Comparison
from shared.lab.result import Doubt
from shared.lab.result import ForeignLoad
from shared.lab.result import Manifest
from shared.lab.result import RatioSummary
from shared.lab.result import RequestErrors
from shared.lab.result import RoundValues
from shared.lab.result import Samples
from shared.lab.result import Slice
from shared.lab.statistics import Ratio

SLICE_FIELDS = tuple(f.name for f in dataclasses.fields(Slice) if f.name not in {"samples", "errors"})
SAMPLE_FIELDS = tuple(f.name for f in dataclasses.fields(Samples))
ERROR_FIELDS = tuple(f.name for f in dataclasses.fields(RequestErrors))


def result_path(directory: Path, kind: str, time_utc: str) -> Path:
    """Return where a result goes: the kind and the UTC time make the name, such as compare-20261122T134501Z.json."""
    moment = datetime.fromisoformat(time_utc)
    return directory / f"{kind}-{moment:%Y%m%dT%H%M%SZ}.json"


def write(comparison: Comparison, path: Path) -> None:
    """Write a comparison; raw samples that have their file already are not written again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    measured = list(dict.fromkeys((piece.scenario, piece.concurrency) for piece in comparison.slices))
    files = {key: f"{path.stem}.{number:02}.npz" for number, key in enumerate(measured, start=1)}
    for key, file in files.items():
        if not (path.parent / file).exists():
            arrays = _arrays([piece for piece in comparison.slices if (piece.scenario, piece.concurrency) == key])
            _write_atomically(path.parent / file, lambda handle, a=arrays: np.savez_compressed(handle, **a))  # type: ignore[misc]
    text = json.dumps(_to_json(comparison, files), indent=1, ensure_ascii=False) + "\n"
    _write_atomically(path, lambda handle: handle.write(text.encode()))


def load(path: Path) -> Comparison:
    """Read a comparison back, raw samples included.

    Raises:
        UsageError: If the file is not a result, or one of another schema version.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        version = data["schema_version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{path} is not a result", why=f"{type(error).__name__}: {error}", hint="give a file under results/"
        ) from error
    if version != SCHEMA_VERSION:
        raise UsageError(
            f"{path} has schema version {version!r}",
            why=f"this program reads version {SCHEMA_VERSION}",
            hint="use the commit in its manifest, or measure again",
        )
    return _from_json(data, path.parent)


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


def _write_atomically(path: Path, fill: Callable[[BinaryIO], object]) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as handle:
            fill(handle)
            handle.flush()
            os.fsync(handle.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _to_json(comparison: Comparison, files: Mapping[tuple[str, int], str]) -> dict[str, object]:
    """Return the record in reading order; slices lose their arrays to the sample files."""
    return {
        "schema_version": comparison.schema_version,
        "kind": comparison.kind,
        "manifest": dataclasses.asdict(comparison.manifest),
        "model": comparison.model,
        "timing": dataclasses.asdict(comparison.timing),
        "subjects": comparison.subjects,
        "baseline": comparison.baseline,
        "scenarios": [{**dataclasses.asdict(s), "body": s.body.decode("latin-1")} for s in comparison.scenarios],
        "levels": comparison.levels,
        "ratios": [dataclasses.asdict(ratio) for ratio in comparison.ratios],
        "doubts": [dataclasses.asdict(doubt) for doubt in comparison.doubts],
        "cells": [dataclasses.asdict(cell) for cell in comparison.cells],
        "foreign_load": [dataclasses.asdict(foreign) for foreign in comparison.foreign_load],
        "sample_files": [
            {"scenario": scenario, "concurrency": level, "file": file} for (scenario, level), file in files.items()
        ],
        "slices": [{name: getattr(piece, name) for name in SLICE_FIELDS} for piece in comparison.slices],
    }


def _from_json(data: dict[str, Any], directory: Path) -> Comparison:
    manifest = data["manifest"]
    manifest["command"] = tuple(manifest["command"])
    manifest["load_average"] = tuple(manifest["load_average"])
    return Comparison(
        schema_version=data["schema_version"],
        kind=data["kind"],
        manifest=Manifest(**manifest),
        model=data["model"],
        timing=Timing(**data["timing"]),
        subjects=tuple(data["subjects"]),
        baseline=data["baseline"],
        scenarios=tuple(Scenario(**{**s, "body": s["body"].encode("latin-1")}) for s in data["scenarios"]),
        levels=tuple(data["levels"]),
        slices=tuple(_slices(data, directory)),
        cells=tuple(_cell(cell) for cell in data["cells"]),
        ratios=tuple(RatioSummary(**{**r, "ratio": r["ratio"] and Ratio(**r["ratio"])}) for r in data["ratios"]),
        foreign_load=tuple(ForeignLoad(**foreign) for foreign in data["foreign_load"]),
        doubts=tuple(Doubt(**doubt) for doubt in data["doubts"]),
    )


def _cell(data: dict[str, Any]) -> CellSummary:
    statuses = {int(status): count for status, count in data["statuses"].items()}
    rounds = tuple(RoundValues(**values) for values in data["rounds"])
    return CellSummary(**{**data, "statuses": statuses, "rounds": rounds})


def _slices(data: dict[str, Any], directory: Path) -> list[Slice]:
    """Return the slices in their order, each with its part of the columns in its scenario's and level's file."""
    stored = data["sample_files"]
    parts = {(f["scenario"], f["concurrency"]): iter(_parts(directory / f["file"])) for f in stored}
    slices: list[Slice] = []
    for fields in data["slices"]:
        samples, errors = next(parts[fields["scenario"], fields["concurrency"]])
        slices.append(Slice(**fields, samples=samples, errors=errors))
    return slices


def _parts(file: Path) -> list[tuple[Samples, RequestErrors]]:
    with np.load(file, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    sample_ends = np.cumsum(arrays["sample_counts"])[:-1]
    error_ends = np.cumsum(arrays["error_counts"])[:-1]
    samples = zip(*(np.split(arrays[name], sample_ends) for name in SAMPLE_FIELDS), strict=True)
    errors = zip(*(np.split(arrays[f"error_{name}"], error_ends) for name in ERROR_FIELDS), strict=True)
    return [(Samples(*s), RequestErrors(*e)) for s, e in zip(samples, errors, strict=True)]
