"""Rows on their way into a statement. Owns how they are laid out; knows no engine and no SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from peewee import Field


@dataclass(frozen=True, slots=True)
class Rows:
    """Many rows of the same columns, with values as a driver takes them. What all rows have in common is said once.

    own: at least one column, each with a value for every row. common: columns with one value for all of them.
    """

    own: Sequence[tuple[Field[Any], Sequence[Any]]]
    common: Sequence[tuple[Field[Any], Any]] = ()

    @classmethod
    def of(cls, fields: Sequence[Field[Any]], rows: Sequence[Mapping[str, Any]]) -> Rows:
        """The values of `fields` in `rows`, of which there is at least one. The first field is never a common one."""
        own: list[tuple[Field[Any], Sequence[Any]]] = []
        common: list[tuple[Field[Any], Any]] = []
        for field in fields:
            values = [row[field.name] for row in rows]
            if own and values.count(values[0]) == len(values):
                common.append((field, field.db_value(values[0])))
            else:
                own.append((field, [field.db_value(value) for value in values]))
        return cls(own, common)

    def with_common(self, field: Field[Any], value: Any) -> Rows:
        """These rows with one more column, of one value."""
        return Rows(self.own, [*self.common, (field, value)])

    @property
    def fields(self) -> list[Field[Any]]:
        """All columns, own ones first."""
        return [*self.own_fields, *(field for field, _ in self.common)]

    @property
    def own_fields(self) -> list[Field[Any]]:
        """The columns in which rows differ."""
        return [field for field, _ in self.own]

    @property
    def common_values(self) -> list[Any]:
        """The values of the common columns."""
        return [value for _, value in self.common]

    def one_by_one(self) -> list[tuple[Any, ...]]:
        """The own values of each row."""
        return list(zip(*(values for _, values in self.own), strict=True))
