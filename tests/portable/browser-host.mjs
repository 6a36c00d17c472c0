// Runs a pack in a headless browser, and behaves as if it had run here: streams and exit code are the pack's.
//
//   node browser-host.mjs BROWSER PACK.wasm [ARGS...]
//
// BROWSER is Chromium or a browser that takes its options. The page (page.html) comes from a server on the
// loopback interface that lives as long as the run. Exit code 125: the browser did not run the pack, and stderr says why.
import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { basename } from "node:path";
import { buffer } from "node:stream/consumers";
import { showPage } from "./browser.mjs";

const FAILED = 125;
// The page's own files, and the type that browsers insist on for each.
const PAGE = { "page.html": "text/html", "page.js": "text/javascript", "worker.js": "text/javascript", "wasi-streams.js": "text/javascript" };
const [browser, pack, ...args] = process.argv.slice(2);
if (pack === undefined) {
  console.error("usage: node browser-host.mjs BROWSER PACK.wasm [ARGS...]");
  process.exit(64);
}
const stdin = process.stdin.isTTY ? Buffer.alloc(0) : await buffer(process.stdin);
const job = JSON.stringify({ args: [basename(pack), ...args], env: {} });

let finish;
const finished = new Promise((resolve) => (finish = resolve));
const result = {};

const server = createServer(async (request, response) => {
  const name = request.url.slice(1);
  // Pages that are isolated from other origins may sleep in a Worker.
  response.setHeader("Cross-Origin-Opener-Policy", "same-origin");
  response.setHeader("Cross-Origin-Embedder-Policy", "require-corp");
  if (request.method === "POST") {
    result[name] = await buffer(request);
    response.end();
    if (name === "exit" || name === "trap") finish();
  } else if (name === "pack.wasm") {
    response.setHeader("Content-Type", "application/wasm");
    createReadStream(pack).on("error", (error) => finish({ failed: error.message })).pipe(response);
  } else if (name === "job.json" || name === "stdin") {
    response.end(name === "stdin" ? stdin : job);
  } else if (name in PAGE) {
    response.setHeader("Content-Type", PAGE[name]);
    response.end(await readFile(new URL(name, import.meta.url)));
  } else {
    response.statusCode = 404;
    response.end();
  }
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));

const page = `http://127.0.0.1:${server.address().port}/page.html`;
const ended = await showPage(browser, page, finished);
const failure = ended?.failed ?? result.trap?.toString();
server.closeAllConnections();
server.close();

const printed = (stream, bytes) => new Promise((resolve) => stream.write(bytes ?? "", resolve));
await printed(process.stdout, result.stdout);
await printed(process.stderr, result.stderr);
if (failure !== undefined) {
  await printed(process.stderr, `browser-host: ${failure}\n`);
  process.exit(FAILED);
}
process.exit(Number(result.exit));
