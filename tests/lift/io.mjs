// Streams of wasi:io for a lifted program in JavaScript, as small as they can be: an input-stream of pieces that are
// there, and an output-stream that keeps what it gets. `jco transpile --map 'wasi:io/streams=./io.mjs#streams'` and the
// same for poll and error put them in the place of the host's.

class InputStream {
  constructor(pieces) {
    this.pieces = pieces;
  }

  blockingRead(max) {
    const piece = this.pieces.shift();
    if (piece === undefined) throw { tag: "closed" };
    const len = Number(max);
    if (piece.length > len) this.pieces.unshift(piece.subarray(len));
    return piece.subarray(0, len);
  }
}

class OutputStream {
  constructor(max = Infinity) {
    this.left = max;
    this.bytes = [];
  }

  checkWrite() {
    if (this.left === 0) throw { tag: "closed" };
    return 10_000n;
  }

  write(piece) {
    const len = Math.min(piece.length, this.left);
    this.left -= len;
    this.bytes.push(...piece.subarray(0, len));
  }

  blockingFlush() {}

  subscribe() {
    return new Pollable();
  }
}

class Pollable {
  block() {}
}

export const streams = { InputStream, OutputStream };
export const poll = { Pollable };
export const error = { Error: class {} };
