"""faststream-outbox: asyncpg, batched fetches, several workers, batched deletes, its own autovacuum settings.

As docs/concepts/performance.md has it: `terminal_flush_batch_size` for a high throughput of idempotent handlers,
`max_workers` and `fetch_batch_size` for more parallel handlers, `outbox_autovacuum_ddl` applied once.
"""

from faststream import FastStream
from faststream_outbox import OutboxBroker, make_outbox_table, outbox_autovacuum_ddl
from order_client import order_client
from sqlalchemy import MetaData, text
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine

_QUEUE = "notify"
_CHUNK = 1_000
_METADATA = MetaData()
_TABLE = make_outbox_table(_METADATA, table_name="outbox")


def _engine(url: str, connections: int = 5) -> AsyncEngine:
    return create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://"), pool_size=connections)


async def prepare(url: str, contents: list[str]) -> None:
    """The table, and a row for each content."""
    engine = _engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(_METADATA.create_all)
        await connection.execute(text(outbox_autovacuum_ddl("outbox")))
    broker = OutboxBroker(engine, outbox_table=_TABLE)
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    for start in range(0, len(contents), _CHUNK):
        async with sessions() as session, session.begin():
            await broker.publish_batch(*contents[start : start + _CHUNK], queue=_QUEUE, session=session)
    await engine.dispose()


async def work(url: str, address: str, workers: int, batch: int) -> None:
    """Run one subscriber."""
    broker = OutboxBroker(_engine(url, workers + 4), outbox_table=_TABLE)
    notify = order_client(address)

    async def handle(content: str) -> None:
        await notify(content)

    broker.subscriber(
        _QUEUE,
        max_workers=workers,
        fetch_batch_size=batch,
        terminal_flush_batch_size=100,
        min_fetch_interval=0.01,
    )(handle)
    await FastStream(broker, logger=None).run(log_level=40)
