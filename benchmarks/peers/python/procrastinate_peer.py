"""procrastinate: its async worker with `concurrency`, on psycopg's pool, finished jobs deleted.

As procrastinate's documentation has it: asynchronous tasks run in parallel with `concurrency` (howto/basics/worker),
and jobs that succeeded are deleted by the worker with `delete_jobs` (howto/production/delete_finished_jobs).
"""

from order_client import order_client
from procrastinate import App, PsycopgConnector

_TASK = "notify"
_CHUNK = 1_000


async def prepare(url: str, contents: list[str]) -> None:
    """The schema, and a job for each content."""
    async with App(connector=PsycopgConnector(conninfo=url)).open_async() as app:
        await app.schema_manager.apply_schema_async()
        for start in range(0, len(contents), _CHUNK):
            chunk = contents[start : start + _CHUNK]
            await app.configure_task(_TASK).batch_defer_async(*({"content": content} for content in chunk))


async def work(url: str, address: str, concurrency: int) -> None:
    """Run one worker."""
    app = App(connector=PsycopgConnector(conninfo=url, min_size=4, max_size=min(concurrency, 30) + 4))
    notify = order_client(address)

    async def task(content: str) -> None:
        await notify(content)

    app.task(name=_TASK)(task)
    async with app.open_async():
        await app.run_worker_async(concurrency=concurrency, delete_jobs="successful")
