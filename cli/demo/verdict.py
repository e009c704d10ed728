"""The verdict: what was to be, against what the servers say. Pure: the same facts, the same verdict."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cli.demo.facts import Facts
from cli.demo.orders import CURRENCY, DemoOrder
from cli.output import money


@dataclass(frozen=True, slots=True)
class Expected:
    """What was to be. goods: units on hand at the start."""

    payable: Sequence[DemoOrder]
    goods: int

    @property
    def amounts(self) -> dict[str, int]:
        """What each payable order costs, in cents, by its number."""
        return {order.order_no: order.amount_minor for order in self.payable}

    def units(self, *, vouchers: bool) -> int:
        """Units of goods, or of vouchers, in the payable orders."""
        return sum(order.quantity for order in self.payable if order.is_voucher is vouchers)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that had to be so, and the figures that say whether it is."""

    what: str
    told: str
    holds: bool


def checks(expected: Expected, facts: Facts) -> Iterator[Check]:
    """Everything that had to be so."""
    wanted = expected.amounts
    yield _complete("payments settled", facts.settled, wanted)
    yield _complete("orders paid", facts.paid, wanted)
    yield Check("payments their order does not know of", f"{facts.unnotified:,}", facts.unnotified == 0)
    yield _sums(wanted, facts)
    yield _units("goods taken from stock", expected.goods - facts.goods_left, expected.units(vouchers=False))
    if expected.units(vouchers=True):
        yield _units("vouchers issued", facts.vouchers, expected.units(vouchers=True))
    left = facts.exceptions + facts.follow_ups
    yield Check("payment exceptions and follow-ups left", f"{left:,}", left == 0)


def _complete(what: str, found: Mapping[str, int], wanted: Mapping[str, int]) -> Check:
    differing = sorted(key for key in wanted.keys() | found.keys() if wanted.get(key) != found.get(key))
    told = f"{len(found):,} of {len(wanted):,}"
    if differing:
        told += f"; not as they must be: {len(differing):,}, such as {', '.join(differing[:3])}"
    return Check(what, told, not differing)


def _sums(wanted: Mapping[str, int], facts: Facts) -> Check:
    ordered, paid_in, paid_out = (sum(amounts.values()) for amounts in (wanted, facts.settled, facts.paid))
    told = f"{_money(ordered)} ordered, {_money(paid_in)} settled, {_money(paid_out)} in paid orders"
    return Check("sums, to the cent", told, ordered == paid_in == paid_out)


def _units(what: str, found: int, wanted: int) -> Check:
    return Check(what, f"{found:,} of {wanted:,}", found == wanted)


def _money(cents: int) -> str:
    return money(cents, CURRENCY)
