// The call that every peer on Node.js makes: a serialized OrderNotifyRequest, one a call.
import grpc from "@grpc/grpc-js";

const SERVICE = "/paylatch.order.v1.OrderNotifyService";
const DEADLINE_MS = 10_000;
const asIs = (bytes) => bytes;

export function orderClient(address) {
  const client = new grpc.Client(address, grpc.credentials.createInsecure());
  const call = (method, request) =>
    new Promise((resolve, reject) => {
      const deadline = Date.now() + DEADLINE_MS;
      const answer = (error, response) => (error ? reject(error) : resolve(response));
      client.makeUnaryRequest(`${SERVICE}/${method}`, asIs, asIs, request, { deadline }, answer);
    });
  return {
    notify: (content) => call("OrderNotify", Buffer.from(content, "base64")),
    notifyAll: (contents) => call("BatchOrderNotify", batchOf(contents)),
  };
}

// A BatchOrderNotifyRequest, written by hand: its only field, once for each request.
function batchOf(contents) {
  const parts = contents.flatMap((content) => {
    const request = Buffer.from(content, "base64");
    return [Buffer.from([0x0a, (request.length & 0x7f) | 0x80, request.length >> 7]), request];
  });
  return Buffer.concat(parts);
}
