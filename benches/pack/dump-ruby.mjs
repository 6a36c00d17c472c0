// Writes the files that a Ruby build carries inside it to a folder, by asking Ruby itself:
//
//   node dump-ruby.mjs PACKAGE RUBY.wasm GUEST OUT
//
// PACKAGE is the folder of npm @ruby/wasm-wasi, GUEST the folder inside. Prints how many files there were.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";

process.removeAllListeners("warning");
const [source, ruby, guest, out] = process.argv.slice(2);
const { DefaultRubyVM } = await import(pathToFileURL(join(source, "dist/esm/node.js")));
const { vm } = await DefaultRubyVM(await WebAssembly.compile(await readFile(ruby)));

const listed = vm.eval(`Dir.glob("${guest}/**/*", File::FNM_DOTMATCH).select { |path| File.file?(path) }.join("\\n")`);
const names = listed.toString().split("\n");
for (const name of names) {
  // Text is what comes through unchanged.
  const bytes = Buffer.from(vm.eval(`[File.binread(${JSON.stringify(name)})].pack("m0")`).toString(), "base64");
  const target = join(out, name.slice(guest.length));
  await mkdir(dirname(target), { recursive: true });
  await writeFile(target, bytes);
}
console.log(`${names.length} files`);
