// Reads, writes, lists, renames and removes files, then computes.
import * as std from "qjs:std";
import * as os from "qjs:os";
import { fibonacci, digest } from "./lib.js";

const data = JSON.parse(std.loadFile("/w/data.json"));
data.rivers.sort((a, b) => a.km - b.km);
const file = std.open("/w/part.txt", "w");
for (const river of data.rivers) file.puts(`${river.name}\t${river.km}\n`);
file.close();
os.rename("/w/part.txt", "/w/out.txt");

const appended = std.open("/w/out.txt", "a+");
appended.puts("end\n");
appended.seek(0, std.SEEK_SET);
let lines = 0;
while (appended.getline() !== null) lines++;
appended.close();

os.mkdir("/w/temporary");
const [names, error] = os.readdir("/w");
const missing = std.open("/w/no-such-file", "r");
os.remove("/w/temporary");
print(names.sort().join(" "), error, lines, missing);
print(os.stat("/w/out.txt")[0].size, digest(std.loadFile("/w/out.txt")), fibonacci(22));
