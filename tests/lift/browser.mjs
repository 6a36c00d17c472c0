// Calls a lifted program in a page of a headless browser; the command line is that of node.mjs behind the browser's:
//
//   node browser.mjs chromium transpiled/render.js render %drawing.svg -
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { basename, dirname, join } from "node:path";
import { buffer } from "node:stream/consumers";
import { showPage } from "../portable/browser.mjs";

const TYPES = { html: "text/html", mjs: "text/javascript", js: "text/javascript", wasm: "application/wasm" };
const [browser, module, name, ...args] = process.argv.slice(2);
// What the page may have besides its own files and the transpiled ones.
const files = args.filter((arg) => "%@".includes(arg[0])).map((arg) => arg.slice(1));

let finish;
const finished = new Promise((resolve) => (finish = resolve));
const server = createServer(async (request, response) => {
  const url = new URL(request.url, "http://page");
  const file = decodeURIComponent(url.search.slice(1));
  const path = url.pathname.slice(1);
  try {
    if (request.method === "POST") {
      finish({ [path]: (await buffer(request)).toString() });
      response.end();
    } else if (path === "job.json") {
      response.end(JSON.stringify({ module: basename(module), name, args }));
    } else if (path === "file" && files.includes(file)) {
      response.end(await readFile(file));
    } else {
      const source = path.startsWith("transpiled/")
        ? join(dirname(module), basename(path))
        : new URL(basename(path), import.meta.url);
      response.setHeader("Content-Type", TYPES[path.split(".").pop()] ?? "application/octet-stream");
      response.end(await readFile(source));
    }
  } catch {
    response.statusCode = 404;
    response.end();
  }
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const result = await showPage(browser, `http://127.0.0.1:${server.address().port}/page.html`, finished);
server.closeAllConnections();
server.close();
if (result.done === undefined) {
  console.error(`browser: ${result.failed}`);
  process.exit(125);
}
process.stdout.write(result.done);
