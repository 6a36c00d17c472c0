// Runs a pack in Node.js with its own WASI, and nothing else of the machine:
//
//   node node-host.mjs PACK.wasm [ARGS...]
//
// No directory is preopened and no variable is passed on: the pack brings its files. Streams are those of the
// process. Needs Node.js 22 or newer, whose engine accepts a module with several memories.
import { readFile } from "node:fs/promises";
import { basename } from "node:path";

// `node:wasi` announces on stderr that it is experimental; stderr belongs to the program.
process.removeAllListeners("warning");
const { WASI } = await import("node:wasi");

const [path, ...args] = process.argv.slice(2);
if (path === undefined) {
  console.error("usage: node node-host.mjs PACK.wasm [ARGS...]");
  process.exit(64);
}
const wasi = new WASI({ version: "preview1", args: [basename(path), ...args], env: {}, preopens: {}, returnOnExit: true });
const module = await WebAssembly.compile(await readFile(path));
process.exitCode = wasi.start(await WebAssembly.instantiate(module, wasi.getImportObject()));
