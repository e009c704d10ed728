"""Lists, a page at a time. Owns how a page continues where the last one ended, whatever was written in between."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from peewee import Model

from core.store.transaction import Row, Transaction

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PageRequest:
    """The page to read. size: rows at most. after: the id of the last row of the page before, if there was one."""

    size: int
    after: int | None = None


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page. last: the id of its last row if there are more, else None."""

    rows: Sequence[T]
    last: int | None


def narrowed(query: Any, *filters: tuple[Any, Any]) -> Any:
    """`query` under the condition of each (value, condition) whose value is given."""
    for value, condition in filters:
        if value is not None:
            query = query.where(condition)
    return query


def oldest_first(tx: Transaction, model: type[Model], query: Any, page: PageRequest) -> Page[Row]:
    """A page of `query`, a SELECT of `model`, in the order in which the rows were written."""
    key = model.id  # type: ignore[attr-defined]  # every table here has one
    if page.after is not None:
        query = query.where(key > page.after)
    return _page(tx, query.order_by(key), page)


def newest_first(tx: Transaction, model: type[Model], query: Any, page: PageRequest) -> Page[Row]:
    """A page of `query`, a SELECT of `model`, against the order in which the rows were written."""
    key = model.id  # type: ignore[attr-defined]  # every table here has one
    if page.after is not None:
        query = query.where(key < page.after)
    return _page(tx, query.order_by(key.desc()), page)


def newest_time_first(
    tx: Transaction, model: type[Model], query: Any, page: PageRequest, *, by: str = "create_time"
) -> Page[Row]:
    """As `newest_first`, by the time in column `by`, so that one index serves the order and any window of that time.

    No row of the query may have NULL in it.
    """
    key, time = model.id, model._meta.fields[by]  # type: ignore[attr-defined]  # the tables with windows have both
    if page.after is not None:
        last = tx.row(model.select(time.alias("time")).where(key == page.after))
        until = last.time if last else None
        # The first condition follows from the second; it is what an index can be entered with. Both come before the
        # query's own: of several bounds of a column SQLite enters by the first, and would walk all pages before this.
        filters = query._where  # noqa: SLF001 - peewee only adds conditions behind those that are there
        rest = (time <= until) & ((time < until) | (key < page.after))
        query = query.clone()
        query._where = rest if filters is None else rest & filters  # noqa: SLF001 - as above
    return _page(tx, query.order_by(time.desc(), key.desc()), page)


def _page(tx: Transaction, query: Any, page: PageRequest) -> Page[Row]:
    rows = tx.rows(query.limit(page.size + 1))
    more = len(rows) > page.size
    rows = rows[: page.size]
    return Page(rows, rows[-1].id if more else None)
