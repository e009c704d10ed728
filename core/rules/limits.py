"""The limits of SPEC 2 and the checks built on them. Owns what a valid value is; never stops at the first bad field."""

import re
from functools import cache

from iso4217 import Currency

from core.rules.errors import FieldViolation, InvalidInput

MAX_KEY = 64
MAX_TRADE_NO = 128
MAX_OPERATOR = 64
MAX_TEXT = 512
MAX_AMOUNT_MINOR = 10**15
MAX_ITEMS = 100
MAX_QUANTITY = 1_000
MAX_BATCH = 500
MAX_PAGE_SIZE = 1_000
DEFAULT_PAGE_SIZE = 50
MAX_ERROR_BYTES = 2_048
"""An error text that is stored or sent is cut to this many bytes of UTF-8."""

_KEY = re.compile(r"[!-~]{1,64}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_SHOWN = 80


@cache
def currency_codes() -> frozenset[str]:
    """The active ISO 4217 codes, but for those without a minor unit (gold, test codes): nothing is priced in them."""
    return frozenset(currency.code for currency in Currency if currency.exponent is not None)


def clean_text(text: str, max_bytes: int = MAX_ERROR_BYTES) -> str:
    """`text` as any database and terminal takes it: no control characters, no lone surrogates, at most `max_bytes`."""
    cleaned = _CONTROL.sub(" ", text)
    return cleaned.encode()[:max_bytes].decode(errors="ignore")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(str(value))} characters)"


class Checker:
    """Collects every violation of a request, so that a caller learns all of them at once (SPEC 9).

    What is wrong is put into words only when it is: most values are right, and a batch has thousands.
    """

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix
        self.violations: list[FieldViolation] = []

    def require(self, ok: bool, field: str, description: str) -> None:
        """Note a violation of `field` unless `ok`."""
        if not ok:
            self.violations.append(FieldViolation(self._prefix + field, description))

    def finish(self) -> None:
        """Raise InvalidInput with all violations, if there are any."""
        if self.violations:
            raise InvalidInput(self.violations)

    def key(self, field: str, value: str) -> None:
        """A key: 1 to 64 printable ASCII characters without blanks."""
        if _KEY.fullmatch(value) is None:
            allowed = f"1 to {MAX_KEY} printable ASCII characters without blanks"
            self.require(False, field, f"is {_shown(value)}, must be {allowed}")

    def amount(self, field: str, value: int) -> None:
        """An amount in minor units: 1 to 10^15."""
        if not 1 <= value <= MAX_AMOUNT_MINOR:
            self.require(False, field, f"is {value}, must be 1 to {MAX_AMOUNT_MINOR} in the currency's minor unit")

    def currency(self, field: str, value: str) -> None:
        """An ISO 4217 code in capitals."""
        if value not in currency_codes():
            self.require(False, field, f"is {_shown(value)}, must be an ISO 4217 code such as USD")

    def number(self, field: str, value: int, low: int, high: int) -> None:
        """A whole number from `low` to `high`."""
        self.require(low <= value <= high, field, f"is {value}, must be {low} to {high}")

    def quantity(self, field: str, value: int) -> None:
        """A quantity: 1 to 1,000."""
        self.number(field, value, 1, MAX_QUANTITY)

    def trade_no(self, field: str, value: str) -> None:
        """The platform's own number of a payment: 0 to 128 characters."""
        self._text(field, value, 0, MAX_TRADE_NO)

    def operator(self, field: str, value: str) -> None:
        """Who acts: 1 to 64 characters."""
        self._text(field, value, 1, MAX_OPERATOR)

    def text(self, field: str, value: str) -> None:
        """A description or reason: 1 to 512 characters."""
        self._text(field, value, 1, MAX_TEXT)

    def optional_text(self, field: str, value: str) -> None:
        """A description or reason that may be left out: 0 to 512 characters."""
        self._text(field, value, 0, MAX_TEXT)

    def _text(self, field: str, value: str, low: int, high: int) -> None:
        ok = low <= len(value) <= high and _CONTROL.search(value) is None and (low == 0 or value.strip() != "")
        if not ok:
            allowed = f"{low} to {high} characters without control characters"
            self.require(False, field, f"is {_shown(value)}, must be {allowed}")
