"""The follow-up that issues the vouchers of paid orders (SPEC 6)."""

import secrets
from collections.abc import Callable, Sequence

from core.rules.codes import ItemKind
from core.store.transaction import Transaction
from order_server.follow_ups import Need, Unmet
from order_server.tables import Voucher


def unguessable_code() -> str:
    """32 hexadecimal digits of which nobody can guess one: 128 bits from the system's own source."""
    return secrets.token_hex(16)


class IssueVouchers:
    """Issues one code for each unit. new_code: gives a new, unguessable code at each call."""

    name = "issue_vouchers"
    kind = ItemKind.VOUCHER

    def __init__(self, new_code: Callable[[], str] = unguessable_code) -> None:
        self._new_code = new_code

    def carry_out(self, tx: Transaction, needs: Sequence[Need]) -> Sequence[Unmet]:
        """Issue the vouchers of `needs`; there is never a shortage of them."""
        tx.insert(
            Voucher,
            [
                {"code": self._new_code(), "order_no": need.order_no, "sku": need.sku, "create_time": tx.now}
                for need in needs
                for _ in range(need.quantity)
            ],
        )
        return []
