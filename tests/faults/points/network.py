"""The network between payment and order side: cut, one way or both, reset, half-open, while payments are reported."""

from collections.abc import Callable

from tests.faults.catalogue import point
from tests.faults.proxy import Proxy, Way
from tests.faults.run import Run

_ROWS = 30
_CUT_SECONDS = 2.0


def _network(counted: str, break_it: Callable[[Proxy], None]) -> Callable[[Run], None]:
    def cross(run: Run) -> None:
        run.connect()
        codes = run.ready(2 * _ROWS)
        proxy = run.world.proxy
        before = proxy.counts[counted]
        pending = [run.customer.later(lambda code=code: run.customer.report(code)) for code in codes[:_ROWS]]  # type: ignore[misc]
        break_it(proxy)
        run.done(run.customer.report_together(codes[_ROWS:]))
        for each in pending:
            run.done(each.result())
        run.pause(_CUT_SECONDS)
        run.fired(proxy.counts[counted] - before)
        proxy.heal()

    return cross


point("network", "cut both ways", quick=True)(_network("held", lambda p: p.set(requests=Way.HOLD, answers=Way.HOLD)))
point("network", "requests cut")(_network("held", lambda p: p.set(requests=Way.HOLD)))
point("network", "answers cut")(_network("held", lambda p: p.set(answers=Way.HOLD)))
point("network", "connection reset")(_network("reset", lambda p: p.reset()))
point("network", "half-open")(_network("half-open", lambda p: p.half_open()))
