// A small WASI 0.1 host for browsers that knows streams, and no files: a pack brings its own.
//
//   import { run } from "./wasi-streams.js";
//   const { exitCode, stdout, stderr } = run(await WebAssembly.compileStreaming(fetch("app.wasm")), {
//     args: ["app.wasm", "--flag"], env: { LANG: "C" }, stdin: new Uint8Array() });
//
// A program runs until it ends and blocks its thread, so call `run` in a Worker. It can reach what it is given
// here: arguments, variables, the bytes of stdin, a clock, randomness, and two streams that are kept for the
// caller. Every other function of WASI 0.1 is there, because modules import what they never call, and answers
// that it is not supported. Nothing here is specific to weir; it also works in Node.js and Deno.

const ERRNO = { SUCCESS: 0, BADF: 8, FAULT: 21, INVAL: 28, IO: 29, NOSYS: 52, SPIPE: 70 };
const CLOCK = { REALTIME: 0, MONOTONIC: 1 };
const EVENT = { CLOCK: 0, READ: 1, WRITE: 2 };
const RIGHTS = { READ: 2n, WRITE: 64n, POLL: 1n << 27n, FILESTAT: 1n << 21n };
const [STDIN, STDOUT, STDERR] = [0, 1, 2];

// What one program may print. A program that prints more is ended: its output is kept in this thread's memory.
const OUTPUT_BYTES_MAX = 256 * 1024 * 1024;
// `crypto.getRandomValues` gives at most so many bytes at once.
const RANDOM_BYTES_MAX = 65536;

// Thrown by `proc_exit`, and caught by `run`: WebAssembly has no other way to leave from the middle.
class Exit {
  constructor(code) {
    this.code = code;
  }
}

/** Runs a command module to its end; gives `{ exitCode, stdout, stderr }`, both as bytes. A trap is thrown. */
export function run(module, { args = ["program"], env = {}, stdin = new Uint8Array(0) } = {}) {
  const host = new Host(args, Object.entries(env).map(([name, value]) => `${name}=${value}`), stdin);
  const instance = new WebAssembly.Instance(module, imports(module, host));
  host.memory = instance.exports.memory;
  let exitCode = 0;
  try {
    instance.exports._start();
  } catch (thrown) {
    if (!(thrown instanceof Exit)) throw thrown;
    exitCode = thrown.code;
  }
  return { exitCode, stdout: host.output[STDOUT].bytes(), stderr: host.output[STDERR].bytes() };
}

// Each imported function of WASI 0.1: the host's, or one that says it is not supported.
function imports(module, host) {
  const functions = {};
  for (const { module: from, name, kind } of WebAssembly.Module.imports(module)) {
    if (from !== "wasi_snapshot_preview1" || kind !== "function") {
      throw new Error(`the module imports ${from}.${name}, which is not WASI 0.1`);
    }
    functions[name] = name in host.functions ? host.functions[name] : () => ERRNO.NOSYS;
  }
  return { wasi_snapshot_preview1: functions };
}

// Bytes that arrive in parts.
class Sink {
  constructor() {
    this.parts = [];
    this.length = 0;
  }

  add(bytes) {
    this.parts.push(bytes.slice());
    this.length += bytes.length;
  }

  bytes() {
    const all = new Uint8Array(this.length);
    let at = 0;
    for (const part of this.parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }
}

class Host {
  constructor(args, variables, stdin) {
    const encoder = new TextEncoder();
    const strings = (texts) => texts.map((text) => encoder.encode(`${text}\0`));
    this.args = strings(args);
    this.variables = strings(variables);
    this.stdin = stdin;
    this.stdinAt = 0;
    this.output = { [STDOUT]: new Sink(), [STDERR]: new Sink() };
    this.memory = undefined;
    // By the names of WASI 0.1. A pointer that lies outside of the memory is the program's mistake, not a crash.
    const table = {
      args_sizes_get: (count, size) => this.sizes(this.args, count, size),
      args_get: (array, buffer) => this.strings(this.args, array, buffer),
      environ_sizes_get: (count, size) => this.sizes(this.variables, count, size),
      environ_get: (array, buffer) => this.strings(this.variables, array, buffer),
      clock_res_get: (clock, out) => this.clock(clock, out, () => 1_000_000n),
      clock_time_get: (clock, _precision, out) => this.clock(clock, out, time),
      random_get: (at, length) => this.random(at >>> 0, length >>> 0),
      sched_yield: () => ERRNO.SUCCESS,
      proc_exit: (code) => {
        throw new Exit(code >>> 0);
      },
      fd_read: (fd, parts, count, out) => this.read(fd, parts >>> 0, count >>> 0, out >>> 0),
      fd_write: (fd, parts, count, out) => this.write(fd, parts >>> 0, count >>> 0, out >>> 0),
      fd_seek: (fd) => (isStream(fd) ? ERRNO.SPIPE : ERRNO.BADF),
      fd_tell: (fd) => (isStream(fd) ? ERRNO.SPIPE : ERRNO.BADF),
      fd_close: (fd) => (isStream(fd) ? ERRNO.SUCCESS : ERRNO.BADF),
      fd_fdstat_get: (fd, out) => this.fdstat(fd, out >>> 0),
      fd_fdstat_set_flags: (fd) => (isStream(fd) ? ERRNO.SUCCESS : ERRNO.BADF),
      fd_filestat_get: (fd, out) => this.filestat(fd, out >>> 0),
      fd_prestat_get: () => ERRNO.BADF,
      fd_prestat_dir_name: () => ERRNO.BADF,
      poll_oneoff: (subscriptions, events, count, out) =>
        this.poll(subscriptions >>> 0, events >>> 0, count >>> 0, out >>> 0),
    };
    this.functions = Object.fromEntries(Object.entries(table).map(([name, act]) => [name, guarded(act)]));
  }

  // Made anew for each call: a memory that grows takes its old buffer away.
  get view() {
    return new DataView(this.memory.buffer);
  }

  bytes(at, length) {
    return new Uint8Array(this.memory.buffer, at, length);
  }

  sizes(strings, count, size) {
    this.view.setUint32(count >>> 0, strings.length, true);
    this.view.setUint32(size >>> 0, strings.reduce((sum, bytes) => sum + bytes.length, 0), true);
    return ERRNO.SUCCESS;
  }

  strings(strings, array, buffer) {
    let at = buffer >>> 0;
    strings.forEach((bytes, index) => {
      this.view.setUint32((array >>> 0) + 4 * index, at, true);
      this.bytes(at, bytes.length).set(bytes);
      at += bytes.length;
    });
    return ERRNO.SUCCESS;
  }

  clock(clock, out, value) {
    if (clock !== CLOCK.REALTIME && clock !== CLOCK.MONOTONIC) return ERRNO.INVAL;
    this.view.setBigUint64(out >>> 0, value(clock), true);
    return ERRNO.SUCCESS;
  }

  random(at, length) {
    const all = this.bytes(at, length);
    for (let done = 0; done < length; done += RANDOM_BYTES_MAX) {
      // A copy: the page may have given the program memory that is shared with others.
      const some = crypto.getRandomValues(new Uint8Array(Math.min(RANDOM_BYTES_MAX, length - done)));
      all.set(some, done);
    }
    return ERRNO.SUCCESS;
  }

  // Calls `act` with each of the program's buffers until it gives false.
  forEachPart(parts, count, act) {
    for (let index = 0; index < count; index++) {
      const at = parts + 8 * index;
      const buffer = this.bytes(this.view.getUint32(at, true), this.view.getUint32(at + 4, true));
      if (act(buffer) === false) return;
    }
  }

  read(fd, parts, count, out) {
    if (fd !== STDIN) return ERRNO.BADF;
    let done = 0;
    this.forEachPart(parts, count, (buffer) => {
      const some = this.stdin.subarray(this.stdinAt, this.stdinAt + buffer.length);
      buffer.set(some);
      this.stdinAt += some.length;
      done += some.length;
      return some.length === buffer.length;
    });
    this.view.setUint32(out, done, true);
    return ERRNO.SUCCESS;
  }

  write(fd, parts, count, out) {
    const sink = fd === STDIN ? undefined : this.output[fd];
    if (sink === undefined) return ERRNO.BADF;
    let done = 0;
    this.forEachPart(parts, count, (buffer) => {
      if (sink.length + buffer.length > OUTPUT_BYTES_MAX) {
        throw new Error(`the program printed more than ${OUTPUT_BYTES_MAX} bytes`);
      }
      sink.add(buffer);
      done += buffer.length;
    });
    this.view.setUint32(out, done, true);
    return ERRNO.SUCCESS;
  }

  // Type 0: neither a file nor a terminal.
  fdstat(fd, out) {
    if (!isStream(fd)) return ERRNO.BADF;
    this.bytes(out, 24).fill(0);
    const rights = (fd === STDIN ? RIGHTS.READ : RIGHTS.WRITE) | RIGHTS.POLL | RIGHTS.FILESTAT;
    this.view.setBigUint64(out + 8, rights, true);
    return ERRNO.SUCCESS;
  }

  filestat(fd, out) {
    if (!isStream(fd)) return ERRNO.BADF;
    this.bytes(out, 64).fill(0);
    return ERRNO.SUCCESS;
  }

  // Streams are always ready: stdin holds all it will ever give. Without one, the shortest sleep is waited for.
  poll(subscriptions, events, count, out) {
    if (count === 0) return ERRNO.INVAL;
    const wanted = Array.from({ length: count }, (_, index) => this.subscription(subscriptions + 48 * index));
    let ready = wanted.filter(({ type }) => type !== EVENT.CLOCK);
    if (ready.length === 0) {
      const soonest = wanted.reduce((least, { until }) => (until < least ? until : least), wanted[0].until);
      waitUntil(soonest);
      ready = wanted.filter(({ until }) => until <= soonest);
    }
    ready.forEach(({ userdata, type, fd }, index) => {
      const at = events + 32 * index;
      this.bytes(at, 32).fill(0);
      this.view.setBigUint64(at, userdata, true);
      const readable = type === EVENT.READ ? fd === STDIN : fd === STDOUT || fd === STDERR;
      this.view.setUint16(at + 8, type === EVENT.CLOCK || readable ? ERRNO.SUCCESS : ERRNO.BADF, true);
      this.view.setUint8(at + 10, type);
      if (type === EVENT.READ) this.view.setBigUint64(at + 16, BigInt(this.stdin.length - this.stdinAt), true);
    });
    this.view.setUint32(out, ready.length, true);
    return ERRNO.SUCCESS;
  }

  subscription(at) {
    const userdata = this.view.getBigUint64(at, true);
    const type = this.view.getUint8(at + 8);
    if (type !== EVENT.CLOCK) return { userdata, type, fd: this.view.getUint32(at + 16, true) };
    const clock = this.view.getUint32(at + 16, true);
    const timeout = this.view.getBigUint64(at + 24, true);
    const absolute = (this.view.getUint16(at + 40, true) & 1) === 1;
    const left = absolute ? timeout - time(clock) : timeout;
    return { userdata, type, until: time(CLOCK.MONOTONIC) + (left > 0n ? left : 0n) };
  }
}

function isStream(fd) {
  return fd === STDIN || fd === STDOUT || fd === STDERR;
}

// Nanoseconds. The monotonic clock of a page begins with the page.
function time(clock) {
  const milliseconds = clock === CLOCK.REALTIME ? Date.now() : performance.now();
  return BigInt(Math.round(milliseconds * 1e6));
}

// Sleeps where the page may (a page that is isolated from other origins, in a Worker), and turns in circles elsewhere.
function waitUntil(end) {
  for (let left = end - time(CLOCK.MONOTONIC); left > 0n; left = end - time(CLOCK.MONOTONIC)) {
    if (globalThis.crossOriginIsolated && typeof SharedArrayBuffer === "function") {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Number(left) / 1e6);
    }
  }
}

// Views throw a RangeError for addresses outside of the memory.
function guarded(act) {
  return (...given) => {
    try {
      return act(...given);
    } catch (thrown) {
      if (thrown instanceof RangeError) return ERRNO.FAULT;
      throw thrown;
    }
  };
}
