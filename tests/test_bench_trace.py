"""The benchmark of what tracing costs: a control without hooks, an instrument that tells, a table that judges."""

import ast
from pathlib import Path

import pytest

from shared.config import Edition
from shared.lab.benchmarks import tracing as bench_trace
from shared.lab.benchmarks import volleys
from shared.lab.controls.unhooked import HOOKED
from shared.lab.controls.unhooked import unhooked
from shared.lab.environment import manifest
from shared.lab.services.process import Service
from shared.lab.services.process import choose_cores
from shared.lab.statistics import Ratio
from shared.lab.tracing.result import HookCost
from shared.lab.tracing.result import TraceBench
from shared.report.table import hook_sheet

from .clients import get
from .clients import once
from .traced import traced

ROOT = Path(__file__).resolve().parent.parent
HOOKS = ("current.get()", "checkout.get()", "trace is not None", "trace is None", "traced is not None", "watch is None")


@pytest.mark.parametrize("module", HOOKED)
def test_control_has_no_hooks(module: str) -> None:
    path = ROOT / f"{module.replace('.', '/')}.py"
    source = path.read_text("utf-8")
    left = ast.unparse(unhooked(source, str(path)))
    assert any(hook in source for hook in HOOKS)
    assert [hook for hook in HOOKS if hook in left] == []


def test_module_without_hooks_ends_the_control() -> None:
    with pytest.raises(ImportError, match="no control any more"):
        unhooked("def answer():\n    return 42\n", "module.py")


def test_branches_without_a_trace_are_kept() -> None:
    source = (
        "def one(trace):\n"
        "    if trace is None:\n        return plain()\n    return recorded(trace)\n"
        "def two(trace, body):\n"
        "    trace = current.get()\n    return body if trace is None else hand_over(trace, body)\n"
        "def three(self):\n    trace = current.get() if self.is_tracing else None\n    return trace\n"
        "def four(other):\n"
        "    if other is None:\n        return 3\n    return 4\n"
    )
    left = ast.unparse(unhooked(source, "module.py"))
    assert left == (
        "def one(trace):\n    return plain()\n\n"
        "def two(trace, body):\n    trace = None\n    return body\n\n"
        "def three(self):\n    trace = None\n    return trace\n\n"
        "def four(other):\n    if other is None:\n        return 3\n    return 4"
    )


def test_edition_without_hooks_answers_alike(
    services: dict[Edition, Service], edition: Edition, database_url: str
) -> None:
    spec = bench_trace.specs(edition, {"DATABASE_URL": database_url})[0]
    with Service(spec) as service:
        for path in ("/plaintext", "/fortunes", "/accounts/999999999", "/queries?queries=3"):
            ours, whole = get(service.port, path), get(services[edition].port, path)
            assert ours.status == whole.status
            assert len(ours.body) == len(whole.body) or path.startswith("/queries")
        assert "x-trace-id" not in once(service.port, traced("GET", "/db")).headers


def test_volleys_tell_services_apart(services: dict[Edition, Service]) -> None:
    """The event loop's server needs far less CPU for a fixed text, whatever the machine does."""
    both = [services["wsgi"], services["asgi"], services["wsgi"]]
    cores = choose_cores().client
    found = volleys.measure(both, "/plaintext", size=8, seconds=1.5, seed="1", cores=cores)
    assert all(cpu_s > 0 for cpu_s, _ in found)
    assert found[0][1] == 1.0
    assert found[1][1] < 0.8
    assert 0.8 < found[2][1] < 1.25


def test_hooks_are_held_against_both_services_without() -> None:
    # Per start: CPU seconds, and the ratio over the first service.
    found = [[(1.0, 1.0), (1.21, 1.21), (1.1, 1.1), (1.65, 1.65)]] * 3
    ratios = [bench_trace._hook_cost("asgi", "/db", place, found, 1).ratios for place in range(4)]
    assert [round(each[0], 9) for each in ratios] == [1.0, 1.21, 1.0, 1.5]


@pytest.mark.parametrize(("high", "verdict"), [(1.0099, "yes"), (1.0101, "not shown")])
def test_table_judges_by_the_upper_end(high: float, verdict: str) -> None:
    made = manifest(seed=1, cores=choose_cores(), settings={})
    hooks = (
        HookCost("wsgi", "/db", "no hooks", 0.0004, (1.0,), None),
        HookCost("wsgi", "/db", "TRACE=1", 0.0004, (1.001,), Ratio(1.001, 0.99, high, 3)),
    )
    sheet = hook_sheet(TraceBench(made, 3, 4.0, 16, hooks, ()))
    assert [row.cells[-1] for row in sheet.rows] == ["", verdict]
    assert sheet.rows[1].cells[3] == f"1.001 [0.990, {high:.3f}]"
