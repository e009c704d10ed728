"""DBOS: a queue of workflows, each one call; several a process, and a short polling interval.

As docs.dbos.dev/python/reference/queues has it: `worker_concurrency` bounds what runs in one process,
`polling_interval_sec` is how often it looks for more. The call stands in the workflow itself: a step would be one more
row.
"""

import asyncio

import sqlalchemy
from dbos import DBOS, DBOSClient, DBOSConfig, EnqueueOptions
from order_client import Notify, order_client

_QUEUE = "notify"
_WORKFLOW = "notify"
_VERSION = "1"


def _open(url: str) -> None:
    config: DBOSConfig = {
        "name": "peer",
        "application_version": _VERSION,
        "system_database_url": url,
        "sys_db_pool_size": 30,
        "log_level": "ERROR",
    }
    DBOS(config=config)
    DBOS.launch()


async def prepare(url: str, contents: list[str]) -> None:
    """The schema, and a workflow for each content, in one transaction."""
    await asyncio.to_thread(_open, url)
    await asyncio.to_thread(DBOS.destroy)
    await asyncio.to_thread(_enqueue, url, contents)


def _enqueue(url: str, contents: list[str]) -> None:
    client = DBOSClient(system_database_url=url, application_name="peer")
    engine = sqlalchemy.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    options: EnqueueOptions = {"workflow_name": _WORKFLOW, "queue_name": _QUEUE, "app_version": _VERSION}
    with engine.begin() as connection:
        for content in contents:
            client.enqueue_in_transaction(connection, options, content)
    client.destroy()


async def work(url: str, address: str, concurrency: int, interval: float) -> None:
    """Run one process."""
    clients: list[Notify] = []

    async def workflow(content: str) -> None:
        if not clients:  # here, because DBOS runs workflows in a loop of its own
            clients.append(order_client(address))
        await clients[0](content)

    DBOS.workflow(name=_WORKFLOW)(workflow)
    await asyncio.to_thread(_open, url)
    await DBOS.register_queue_async(_QUEUE, worker_concurrency=concurrency, polling_interval_sec=interval)
    await asyncio.Event().wait()
