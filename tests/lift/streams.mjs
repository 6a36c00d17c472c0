// Calls a lifted filter with streams of wasi:io, several times in one instance, and with a reader that goes away:
//
//   node streams.mjs transpiled/copy.js          (with io.mjs beside it)
import assert from "node:assert/strict";
import { dirname, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const module = resolve(process.argv[2]);
const { api } = await import(pathToFileURL(module));
const { streams } = await import(pathToFileURL(resolve(dirname(module), "io.mjs")));

const pieces = () => [new Uint8Array(70_000).fill(7), new Uint8Array(0), new Uint8Array([1, 2, 3])];
for (let round = 0; round < 3; round++) {
  const out = new streams.OutputStream();
  api.copy(new streams.InputStream(pieces()), out);
  assert.deepEqual(Uint8Array.from(out.bytes), Uint8Array.from([...pieces()[0], 1, 2, 3]));
  assert.throws(
    () => api.copy(new streams.InputStream(pieces()), new streams.OutputStream(5)),
    (error) => error.payload.exitCode === 4,
  );
}
console.log("streams flow");
