// One peer, told what to do: puts its backlog into its own tables, or works until it is killed.
//
//     node peer.js MODULE prepare DATABASE_URL CONTENTS_FILE
//     node peer.js MODULE work DATABASE_URL HOST:PORT SETTINGS_AS_JSON
import { readFileSync } from "node:fs";

const [module, command, url, where, settings] = process.argv.slice(2);
const peer = await import(`./${module}.js`);
if (command === "prepare") {
  await peer.prepare(url, readFileSync(where, "utf8").trimEnd().split("\n"));
  process.exit(0);
}
await peer.work(url, where, JSON.parse(settings));
