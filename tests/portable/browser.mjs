// A page in a headless browser, for as long as it takes to give a result.
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

// A run that takes longer has lost its page.
const RUN_MS_MAX = 300_000;
// The machine may have neither a display nor a network, and the page is our own.
const BROWSER_OPTIONS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"];

// Shows `page` until `finished` is settled and gives what it is; `{ failed }`, in words, where the browser does not run.
export async function showPage(browser, page, finished) {
  const profile = await mkdtemp(join(tmpdir(), "weir-browser-"));
  const child = spawn(browser, [...BROWSER_OPTIONS, `--user-data-dir=${profile}`, page], { stdio: ["ignore", "ignore", "pipe"], detached: true });
  let complaints = "";
  child.stderr.on("data", (some) => (complaints = (complaints + some).slice(-2000)));
  const gone = new Promise((resolve) => child.on("close", resolve));
  let timer;
  const failed = new Promise((resolve) => {
    child.on("error", (error) => resolve({ failed: `cannot start ${browser}: ${error.message}` }));
    child.on("exit", (code) => resolve({ failed: `${browser} ended with ${code}: ${complaints}` }));
    timer = setTimeout(() => resolve({ failed: `no result after ${RUN_MS_MAX / 1000} s` }), RUN_MS_MAX);
  });
  const result = await Promise.race([finished, failed]);
  clearTimeout(timer);
  // A browser is many processes; they were started as a group of their own.
  if (child.pid !== undefined && child.exitCode === null) {
    try {
      process.kill(-child.pid, "SIGKILL");
    } catch {
      // It ended by itself in this moment.
    }
    await gone;
  }
  await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  return result;
}
