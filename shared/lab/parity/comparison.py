"""Cases sent to both editions, group by group, and what came of each."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import field
from threading import Event

from shared.lab.parity.case import Case
from shared.lab.parity.case import Skipped
from shared.lab.parity.judgement import Answer
from shared.lab.parity.judgement import differences
from shared.lab.parity.judgement import violations
from shared.lab.parity.result import Difference
from shared.lab.parity.result import Fact
from shared.lab.parity.result import GroupCount
from shared.lab.parity.result import KnownDifference
from shared.lab.parity.result import NotCompared
from shared.lab.parity.side import Side

FINE = "as it must be"
NO_TOKEN = "has random data or the clock's time, and CHECK_TOKEN is not set here"

Progress = Callable[[str], None]
# Sends cases to one edition, in order.
Sender = Callable[[Side, Sequence[Case]], list[list[Answer]]]


@dataclass(slots=True)
class Comparison:
    """A parity check under way.

    Attributes:
        sides: The WSGI and the ASGI edition's service.
        progress: Called with one line for each group.
        is_shared: Whether both use one database that cannot be made anew: ids are then masked, and one edition is asked
            after the other.
        secrets: What no answer may contain.
        setup: How the services must be started to repeat what is reported.
    """

    sides: tuple[Side, Side]
    progress: Progress
    is_shared: bool
    secrets: tuple[str, ...]
    setup: str
    groups: list[GroupCount] = field(default_factory=list)
    found: list[Difference] = field(default_factory=list)
    known: list[KnownDifference] = field(default_factory=list)
    not_compared: list[NotCompared] = field(default_factory=list)
    _stop: Event = field(default_factory=Event)

    def compare(self, cases: Iterable[Case], skipped: Iterable[Skipped] = (), send: Sender | None = None) -> None:
        """Send cases to both editions and compare the answers.

        Args:
            cases: In the order they are sent; state that one leaves is there for the next.
            skipped: What is reported as not compared.
            send: Sends them, where one after the other will not do.
        """
        by_group: dict[str, list[Case]] = {}
        for case in cases:
            by_group.setdefault(case.group, []).append(case)
        left_out: dict[str, list[Skipped]] = {}
        for item in skipped:
            left_out.setdefault(item.group, []).append(item)
        for group in dict.fromkeys((*by_group, *left_out)):
            self._compare_group(group, by_group.get(group, []), left_out.get(group, []), send or self._send)

    @contextmanager
    def other(self, sides: tuple[Side, Side], setup: str) -> Iterator[None]:
        """Compare another pair of services for a while."""
        before = self.sides, self.setup
        self.sides, self.setup = sides, setup
        try:
            yield
        finally:
            self.sides, self.setup = before

    def _compare_group(self, group: str, cases: list[Case], skipped: list[Skipped], send: Sender) -> None:
        self.progress(f"{group}: {len(cases)} cases")
        sent = []
        not_compared = [NotCompared(item.name, group, item.reason) for item in skipped]
        for case in cases:
            reason = self._why_not(case)
            if reason:
                not_compared.append(NotCompared(case.name, group, reason))
            else:
                sent.append(case)
        wsgi, asgi = self._answers(sent, send)
        found_before, known_before = len(self.found), len(self.known)
        for case, left, right in zip(sent, wsgi, asgi, strict=True):
            self._judge(case, left, right)
        self.not_compared += not_compared
        self._count(
            GroupCount(
                group,
                cases=len(sent),
                requests=sum(len(case.steps) for case in sent),
                differences=len(self.found) - found_before,
                known=len(self.known) - known_before,
                not_compared=len(not_compared),
            )
        )

    def _count(self, new: GroupCount) -> None:
        """Add counts to a group, which may have been compared in parts."""
        for place, old in enumerate(self.groups):
            if old.group == new.group:
                numbers = [name for name in GroupCount.__dataclass_fields__ if name != "group"]
                self.groups[place] = GroupCount(
                    new.group, **{name: getattr(old, name) + getattr(new, name) for name in numbers}
                )
                return
        self.groups.append(new)

    def _answers(self, cases: list[Case], send: Sender) -> tuple[list[list[Answer]], list[list[Answer]]]:
        if self.is_shared:
            # Case by case, so that what others change meanwhile has little time to come between.
            pairs = [(send(self.sides[0], [case])[0], send(self.sides[1], [case])[0]) for case in cases]
            return [left for left, _ in pairs], [right for _, right in pairs]
        with ThreadPoolExecutor(2) as pool:
            futures = [pool.submit(send, side, cases) for side in self.sides]
            try:
                return futures[0].result(), futures[1].result()
            except BaseException:
                # An interrupt arrives here while both threads are at work.
                self._stop.set()
                raise

    def _send(self, side: Side, cases: Sequence[Case]) -> list[list[Answer]]:
        if side.counter is not None:
            side.counter.start()
        return [side.answer(case) for case in cases if not self._stop.is_set()]

    def _why_not(self, case: Case) -> str:
        if self.is_shared and case.needs_own:
            return case.needs_own
        return NO_TOKEN if case.needs_token and self.sides[0].token is None else ""

    def _judge(self, case: Case, wsgi: list[Answer], asgi: list[Answer]) -> None:
        for place, step in enumerate(case.steps):
            left, right = wsgi[place], asgi[place]
            facts = differences(
                step, left, right, entry=case.entry, is_shared=self.is_shared, counts_sql=case.counts_sql
            )
            if case.known:
                self._judge_known(case, left, right, facts)
                return
            wrong = [
                violations(step, answer, answers[place - 1] if place else None, entry=case.entry, secrets=self.secrets)
                for answers, answer in ((wsgi, left), (asgi, right))
            ]
            for what in dict.fromkeys((*wrong[0], *wrong[1])):
                facts.append(Fact("rule", what if what in wrong[0] else FINE, what if what in wrong[1] else FINE))
            if facts:
                self._report(case, place, facts, left, right)
                return

    def _judge_known(self, case: Case, wsgi: Answer, asgi: Answer, facts: list[Fact]) -> None:
        if facts:
            self.known.append(KnownDifference(case.name, case.known, wsgi.last.line, asgi.last.line))
            return
        stale = Fact("known difference", "is listed as one, but the answers are equal", "remove it from known.py")
        self._report(case, 0, [stale], wsgi, asgi)

    def _report(self, case: Case, place: int, facts: list[Fact], wsgi: Answer, asgi: Answer) -> None:
        lines = [
            side.lines(case, {**side.case_values(case), **answer.handed_out}, place)
            for side, answer in zip(self.sides, (wsgi, asgi), strict=True)
        ]
        self.found.append(Difference(case.name, case.group, tuple(facts), lines[0], lines[1], self.setup))
