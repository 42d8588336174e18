"""Open load on the two real services: what is offered is answered, and both are sent the same at the same moments."""

from pathlib import Path

import pytest

from shared.config import Edition
from shared.lab import compare
from shared.lab.load.driver import LoadClient
from shared.lab.planning.plan import Load
from shared.lab.planning.plan import Scenario
from shared.lab.planning.plan import Timing
from shared.lab.planning.scenarios import mixed
from shared.lab.results import files as result_file
from shared.lab.results.record import Slice
from shared.lab.services.process import Service
from shared.lab.slices import RunningSubject
from tests.lab_records import MANIFEST

TIMING = Timing(rounds=3, ramp_s=0.1, window_s=0.5, warm_up_slices=2)
LOADS = (Load(128, 50.0, "constant"),)


def due_after_start(piece: Slice) -> list[int]:
    return sorted((piece.samples.intended_ns - piece.start_ns).tolist())


@pytest.mark.slow
def test_both_services_answer_what_is_offered(services: dict[Edition, Service], tmp_path: Path) -> None:
    path = tmp_path / "compare.json"
    with LoadClient() as client:
        comparison = compare.run(
            [RunningSubject.of_service(service) for service in services.values()],
            [Scenario("/db", "/db"), mixed()],
            client=client,
            manifest=MANIFEST,
            baseline="wsgi",
            loads=LOADS,
            timing=TIMING,
            path=path,
        )
    assert [(cell.scenario, cell.subject) for cell in comparison.cells] == [
        *(("/db", "wsgi"), ("/db", "asgi"), ("mixed", "wsgi"), ("mixed", "asgi")),
    ]
    for cell in comparison.cells:
        assert (cell.error_count, cell.rejected_count) == (0, 0)
        assert cell.arrivals is not None
        assert cell.arrivals.due == 75
        assert cell.arrivals.offered_rps == pytest.approx(50)
        assert cell.achieved_rps == pytest.approx(50, rel=0.3)
        assert "backlog" not in {doubt.code for doubt in comparison.doubts}
    by_round: dict[tuple[str, int], list[Slice]] = {}
    for piece in comparison.slices:
        by_round.setdefault((piece.scenario, piece.round), []).append(piece)
    for first, second in by_round.values():
        assert due_after_start(first) == due_after_start(second)
        assert sorted(first.samples.request.tolist()) == sorted(second.samples.request.tolist())
    assert {number for piece in comparison.slices for number in piece.samples.request.tolist()} == set(range(8))
    assert result_file.load(path).cells == comparison.cells
