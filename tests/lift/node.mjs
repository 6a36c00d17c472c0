// Calls a lifted program from Node.js (24 or newer):
//
//   jco transpile --bindgen-enable-wasm-exnref --multi-memory render.wasm -o transpiled
//   node node.mjs transpiled/render.js render %drawing.svg -
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { call } from "./call.mjs";

const [module, name, ...args] = process.argv.slice(2);
const { api } = await import(pathToFileURL(resolve(module)));
process.stdout.write(await call(api, name, args, async (path) => new Uint8Array(await readFile(path))));
