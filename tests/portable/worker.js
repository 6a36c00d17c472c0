// Runs one pack, away from the page's own thread, which must stay free.
import { run } from "./wasi-streams.js";

onmessage = async ({ data: { url, args, env, stdin } }) => {
  try {
    const module = await WebAssembly.compileStreaming(fetch(url));
    postMessage(run(module, { args, env, stdin }));
  } catch (thrown) {
    postMessage({ trap: String(thrown?.stack ?? thrown) });
  }
};
