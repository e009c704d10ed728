// graphile-worker. Settings as its own documentation had them for its best figures: concurrentJobs 24, maxPoolSize 25,
// localQueue of 500, completeJobBatchDelay 0, failJobBatchDelay 0 (worker.graphile.org/docs/performance).
import { Logger, makeWorkerUtils, run } from "graphile-worker";
import { orderClient } from "./order_client.js";

const TASK = "notify";
const logger = new Logger(() => (level, message) => {
  if (level === "error" || level === "warning") console.error(message);
});

export async function prepare(url, contents) {
  const utils = await makeWorkerUtils({ connectionString: url, logger });
  await utils.migrate();
  await utils.addJobs(contents.map((content) => ({ identifier: TASK, payload: { content } })));
  await utils.release();
}

export async function work(url, address, { concurrency, queue }) {
  const orders = orderClient(address);
  const preset = {
    worker: {
      connectionString: url,
      concurrentJobs: concurrency,
      maxPoolSize: concurrency + 1,
      localQueue: { size: queue },
      completeJobBatchDelay: 0,
      failJobBatchDelay: 0,
      logger,
    },
  };
  const runner = await run({ preset, taskList: { [TASK]: ({ content }) => orders.notify(content) } });
  await runner.promise;
}
