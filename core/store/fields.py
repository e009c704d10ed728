"""The column types of paylatch, the same on every backend. Owns how a key, a time, a code or a text is stored."""

from datetime import UTC, datetime
from enum import IntEnum
from typing import Any

from peewee import SQL, CharField, Check, Field, SmallIntegerField, TextField

from core.rules.limits import MAX_KEY


class _StringField(CharField):
    """A text of at most `max_length` characters, compared byte by byte: case counts. Each engine spells it its way."""

    field_type = "STRING"

    def ddl_datatype(self, ctx: Any) -> SQL:
        """The column's type, from the engine's template."""
        return SQL(ctx.state.field_types[self.field_type].format(column=self.column_name, size=self.max_length))

    def db_value(self, value: str | None) -> str | None:
        """The text as it is. ValueError if it has a NUL character."""
        return _without_nul(value)


class KeyField(_StringField):
    """A key: 1 to 64 characters."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=MAX_KEY, **options)

    def bind(self, model: Any, name: str, set_attribute: bool = True) -> None:
        """Add the rule that it is not empty."""
        super().bind(model, name, set_attribute)
        self.constraints = [*(self.constraints or []), Check(f"{self.column_name} <> ''")]


class ShortTextField(_StringField):
    """A text of at most `max_length` characters."""


class LongTextField(TextField):
    """A text without a limit of its own; whoever writes it caps it."""

    def db_value(self, value: str | None) -> str | None:
        """The text as it is. ValueError if it has a NUL character."""
        return _without_nul(value)


class CodeField(SmallIntegerField):
    """A code of SPEC 2: stored as its number, read back as the enum, refused by the schema when unknown."""

    def __init__(self, codes: type[IntEnum], **options: Any) -> None:
        self.codes = codes
        self._code_of = {int(code): code for code in codes}
        super().__init__(**options)

    def bind(self, model: Any, name: str, set_attribute: bool = True) -> None:
        """Add the rule that only known codes are stored."""
        super().bind(model, name, set_attribute)
        known = ", ".join(str(int(code)) for code in self.codes)
        self.constraints = [*(self.constraints or []), Check(f"{self.column_name} IN ({known})")]

    def db_value(self, value: IntEnum | int | None) -> int | None:
        """The number of a code."""
        return None if value is None else int(value)

    def python_value(self, value: int | None) -> IntEnum | None:
        """The code of a number. ValueError if there is none."""
        return self._code_of[value] if value in self._code_of else self._unknown(value)

    def _unknown(self, value: int | None) -> IntEnum | None:
        return None if value is None else self.codes(value)


class UtcDateTimeField(Field):
    """An instant. Aware UTC in, aware UTC out; stored as UTC without a zone, with all six digits of microseconds.

    The fixed width makes text order time order on SQLite.
    """

    field_type = "DATETIME"

    def db_value(self, value: datetime | None) -> str | None:
        """The stored form of an aware instant.

        Raises:
            ValueError: the instant is naive: nobody could say which one it is.
        """
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        return value.astimezone(UTC).isoformat(" ", "microseconds").removesuffix("+00:00")

    def python_value(self, value: str | datetime | None) -> datetime | None:
        """The aware UTC instant of a stored value."""
        if isinstance(value, str):
            return datetime.fromisoformat(f"{value}+00:00")
        # `replace` says the same, and takes twice as long: it was a tenth of a drain's Python.
        return value and datetime.combine(value, value.time(), UTC)


def _without_nul(value: str | None) -> str | None:
    """`value`, refused here and alike for every engine: PostgreSQL would take no NUL character, others would."""
    if value is not None and "\x00" in value:
        raise ValueError("a text with a NUL character cannot be stored")
    return value
