// pg-boss. batchSize fetches and completes many at once; burstWhenBatchFull fetches again at once while batches come
// back full; localConcurrency polls with several workers (pg-boss docs/api/workers.md, of the same version).
import { PgBoss } from "pg-boss";
import { orderClient } from "./order_client.js";

const QUEUE = "notify";
const CHUNK = 1_000;

async function started(url, options = {}) {
  const boss = new PgBoss({ connectionString: url, supervise: false, schedule: false, ...options });
  boss.on("error", (error) => console.error(error));
  await boss.start();
  return boss;
}

export async function prepare(url, contents) {
  const boss = await started(url);
  await boss.createQueue(QUEUE);
  for (let at = 0; at < contents.length; at += CHUNK) {
    await boss.insert(QUEUE, contents.slice(at, at + CHUNK).map((content) => ({ data: { content } })));
  }
  await boss.stop();
}

// in_batches: whether the handler sends all jobs of a fetch in one BatchOrderNotify, as a user could write it by hand.
export async function work(url, address, { concurrency, batch, in_batches }) {
  const orders = orderClient(address);
  const boss = await started(url, { max: concurrency + 2 });
  const options = { batchSize: batch, localConcurrency: concurrency, pollingIntervalSeconds: 0.5, burstWhenBatchFull: true };
  await boss.work(QUEUE, options, async (jobs) => {
    const contents = jobs.map((job) => job.data.content);
    if (in_batches) await orders.notifyAll(contents);
    else await Promise.all(contents.map(orders.notify));
  });
}
