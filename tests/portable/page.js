// Runs the pack that the server names, shows what it printed and tells the server, byte for byte.
const job = await (await fetch("job.json")).json();
const stdin = new Uint8Array(await (await fetch("stdin")).arrayBuffer());
const show = (id, text) => {
  document.getElementById(id).textContent = text;
};

const worker = new Worker("worker.js", { type: "module" });
const done = new Promise((resolve) => {
  worker.onmessage = ({ data }) => resolve(data);
  worker.onerror = (event) => resolve({ trap: event.message ?? "the worker could not be loaded" });
});
show("state", "running");
worker.postMessage({ url: "pack.wasm", args: job.args, env: job.env, stdin });

const result = await done;
if (result.trap !== undefined) {
  show("state", result.trap);
  await fetch("trap", { method: "POST", body: result.trap });
} else {
  const decoder = new TextDecoder();
  show("state", `ended with exit code ${result.exitCode}`);
  show("stdout", decoder.decode(result.stdout));
  show("stderr", decoder.decode(result.stderr));
  await fetch("stdout", { method: "POST", body: result.stdout });
  await fetch("stderr", { method: "POST", body: result.stderr });
  await fetch("exit", { method: "POST", body: String(result.exitCode) });
}
