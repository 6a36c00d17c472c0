// Calls a function of a component that jco has transpiled, in Node.js and in a page alike.
const sum = async (data) => {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", data));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
};

// An argument is `=TEXT`, `%FILE` (a file's text), `@FILE` (a file's bytes) or `-` (undefined); `fetchBytes` gets files.
async function value(arg, fetchBytes) {
  const rest = arg.slice(1);
  if (arg[0] === "=") return rest;
  if (arg[0] === "%") return new TextDecoder("utf-8", { ignoreBOM: true }).decode(await fetchBytes(rest));
  return arg[0] === "@" ? fetchBytes(rest) : undefined;
}

// Gives the lines that every caller prints: a sum and the length of each part of the result, or the failure.
export async function call(api, name, args, fetchBytes) {
  const values = [];
  for (const arg of args) values.push(await value(arg, fetchBytes));
  // The instance puts itself back between calls, so that the second one finds what the first one found.
  const first = await once(api[name], values);
  const second = await once(api[name], values);
  if (first !== second) throw new Error(`a second call of the same instance gives ${second}, not ${first}`);
  return first;
}

async function once(lifted, values) {
  let result;
  try {
    result = lifted(...values);
  } catch (error) {
    if (error.payload === undefined) throw error;
    return `failure ${error.payload.exitCode} ${error.payload.message}\n`;
  }
  const plain = typeof result === "string" || result instanceof Uint8Array;
  let lines = "";
  for (const [field, part] of plain ? [["result", result]] : Object.entries(result)) {
    const data = typeof part === "string" ? new TextEncoder().encode(part) : part;
    lines += `${field} ${await sum(data)} ${data.length}\n`;
  }
  return lines;
}
