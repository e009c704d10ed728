"""PgQueuer: a bigger `batch_size` for jobs that are short, asyncpg, and its own autovacuum settings.

As docs/guides/performance-tuning.md has it: increase batch_size when jobs are short-lived; run `pgq autovac` after
installation; a single connection for the QueueManager or, for throughput, a pool: both are tried. Durability stays at
its default, where nothing is lost in a crash: that is what it is compared with.
"""

import asyncpg
from order_client import order_client
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver, AsyncpgPoolDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries

_ENTRYPOINT = "notify"
_CHUNK = 1_000


async def prepare(url: str, contents: list[str]) -> None:
    """The schema, and a job for each content."""
    connection = await asyncpg.connect(url)
    queries = Queries(AsyncpgDriver(connection))
    await queries.install()
    await queries.optimize_autovacuum()
    for start in range(0, len(contents), _CHUNK):
        chunk = contents[start : start + _CHUNK]
        payloads = [content.encode() for content in chunk]
        await queries.enqueue([_ENTRYPOINT] * len(chunk), payloads, [0] * len(chunk))
    await connection.close()


async def work(url: str, address: str, batch: int, pool: int) -> None:
    """Run one worker. pool: connections; with 1, no pool."""
    connections = await asyncpg.create_pool(url, min_size=pool, max_size=pool) if pool > 1 else None
    driver = AsyncpgPoolDriver(connections) if connections else AsyncpgDriver(await asyncpg.connect(url))
    worker = PgQueuer(driver)
    notify = order_client(address)

    async def entrypoint(job: Job) -> None:
        await notify((job.payload or b"").decode())

    worker.entrypoint(_ENTRYPOINT)(entrypoint)
    await worker.run(batch_size=batch)
