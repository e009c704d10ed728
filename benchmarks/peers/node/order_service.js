// An order service that does nothing: answers OrderNotify and BatchOrderNotify with empty messages, and counts the
// notifications. The peers are measured against it: doing only the call (SPEC 11).
//
//     node order_service.js HOST:PORT NOTIFICATIONS
//
// Writes `serving`, then `first SECONDS` at the first call and `last SECONDS` when that many have come, by the machine's
// monotonic clock, which all processes share.
import grpc from "@grpc/grpc-js";

const [address, expected] = [process.argv[2], Number(process.argv[3])];
const ITEM = 0x0a; // the tag of a BatchOrderNotifyRequest's only field
let count = 0;

const tell = (word) => process.stdout.write(`${word} ${Number(process.hrtime.bigint()) / 1e9}\n`);

function counted(items) {
  if (count === 0) tell("first");
  const before = count;
  count += items;
  if (before < expected && count >= expected) tell("last");
}

function itemsOf(batch) {
  let items = 0;
  for (let at = 0; at < batch.length; items += 1) {
    if (batch[at] !== ITEM) throw new Error(`not a batch: tag ${batch[at]} at ${at}`);
    let length = 0;
    for (let shift = 0, more = true; more; shift += 7) {
      at += 1;
      length |= (batch[at] & 0x7f) << shift;
      more = batch[at] >= 0x80;
    }
    at += 1 + length;
  }
  return items;
}

const NOTHING = Buffer.alloc(0);
const asIs = (bytes) => bytes;
const method = (name) => ({
  path: `/paylatch.order.v1.OrderNotifyService/${name}`,
  requestStream: false,
  responseStream: false,
  requestSerialize: asIs,
  requestDeserialize: asIs,
  responseSerialize: asIs,
  responseDeserialize: asIs,
});
const server = new grpc.Server();
server.addService(
  { OrderNotify: method("OrderNotify"), BatchOrderNotify: method("BatchOrderNotify") },
  {
    OrderNotify: (_, answer) => (counted(1), answer(null, NOTHING)),
    BatchOrderNotify: (call, answer) => (counted(itemsOf(call.request)), answer(null, NOTHING)),
  },
);
server.bindAsync(address, grpc.ServerCredentials.createInsecure(), (error) => {
  if (error) throw error;
  process.stdout.write("serving\n");
});
