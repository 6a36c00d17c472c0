"""Runs the programs of programs.json under weir and under stock wasmtime, and prints what came of it as a table.

Called by scripts/survey.sh, which fetches the packages first. Each program runs in a folder of its own with the
same files: mounted by weir, as a directory of the host for wasmtime. Then it is packed with these files and the
pack runs under both. A result is `same` when the exit code, all that was printed and every written file are.
"""

import argparse
import json
import pathlib
import shutil
import subprocess
import sys
import tarfile
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
WORK = ROOT / ".programs" / "survey"
LIST = pathlib.Path(__file__).with_name("programs.json")
DOC = ROOT / "docs" / "programs.md"
MARKS = ("<!-- the table of scripts/survey.sh -->\n", "<!-- its end -->\n")
# weir's own exit codes, and the one with which stock wasmtime ends after a trap.
OWN, TRAP, STOCK_TRAP = range(240, 250), 244, 134
LIMIT = 600


def main():
    parser = argparse.ArgumentParser(prog="survey.sh")
    parser.add_argument("--list", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--downloads", type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--wasmtime", help=argparse.SUPPRESS)
    parser.add_argument("--weir")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    programs = json.loads(LIST.read_text())
    if options.list:
        for download in sorted({listed(program) for program in programs}):
            print("\t".join(download))
        return
    unknown = set(options.names) - {program["name"] for program in programs}
    if unknown:
        sys.exit(f"survey: no program is called {unknown.pop()}; see {LIST}")
    weir = options.weir or built()
    rows = []
    for program in programs:
        if options.names and program["name"] not in options.names:
            continue
        row = Survey(program, weir, options).row()
        print("| " + " | ".join(row) + " |", flush=True)
        rows.append(row)
    if options.write:
        write(rows, programs)


def listed(program):
    """What survey.sh hands to the fetchers of downloads.sh."""
    registry, requirement = program["from"].split(":", 1)
    return registry, requirement, program["file"], program["sha256"], program.get("python", "")


def built():
    """The weir of this checkout."""
    command = ["cargo", "build", "--quiet", "--locked", "--package=weir", "--message-format=json"]
    lines = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    return next(path for path in (json.loads(line).get("executable") for line in lines) if path)


class Run:
    """What one run printed, wrote and ended with."""

    def __init__(self, command, stdin, folder, outputs):
        try:
            done = subprocess.run(command, input=stdin.encode(), capture_output=True, timeout=LIMIT)
            self.code, self.stdout, self.stderr = done.returncode, done.stdout, done.stderr
        except subprocess.TimeoutExpired:
            self.code, self.stdout, self.stderr = None, b"", b"no end within ten minutes"
        if self.code == -6:
            self.code = STOCK_TRAP
        self.files = {name: read(folder / name) for name in outputs}

    def last_word(self):
        """The line that says why it failed: weir's own or wasmtime's."""
        lines = self.stderr.decode(errors="replace").splitlines()
        said = [line for line in lines if line.startswith("weir: ")] or [line for line in lines if line.strip()] or [""]
        # What follows is the same in each row, and said below the table.
        short = said[0].removeprefix("weir: ").partition(", its exports are")[0].partition(", which nobody grants")[0]
        return short.replace("|", "\\|")

    def against(self, stock):
        """The result for the table."""
        if self.code in OWN and not (self.code == TRAP and stock.code == STOCK_TRAP):
            return f"{self.code}: {self.last_word()}"
        if self.code == TRAP:
            return "traps, as under wasmtime" if self.stdout == stock.stdout else "traps, prints differ"
        differ = [what for what in ("code", "stdout", "stderr") if getattr(self, what) != getattr(stock, what)]
        differ += [name for name in self.files if self.files[name] is None or self.files[name] != stock.files.get(name)]
        ends = "" if self.code == 0 else f", exit code {self.code}"
        if not (self.files or stock.stdout or stock.stderr):
            ends += ", prints nothing"
        return "differs: " + ", ".join(differ) if differ else "same" + ends


def read(path):
    return path.read_bytes() if path.is_file() else None


class Survey:
    """One program and where it runs."""

    def __init__(self, program, weir, options):
        self.program, self.weir = program, weir
        self.package = unpacked(options.downloads / program["file"])
        self.wasm = self.package / program["member"]
        self.outputs = program.get("outputs", [])
        # Imports of an embedder that the program does not call here.
        trap = program.get("trap", False)
        self.weir_run = [weir, "run", *(["--unknown-imports", "trap"] if trap else [])]
        self.stock_run = [options.wasmtime, "run", "-C", "cache=y", *(["-W", "unknown-imports-trap=y"] if trap else [])]
        self.folder = WORK / "runs" / program["name"].replace(" ", "-")
        if self.folder.exists():
            shutil.rmtree(self.folder)

    def row(self):
        program = self.program
        weir = self.mounted()
        if program.get("alone") and weir.code in OWN:
            return self.cells(f"{weir.code}: {weir.last_word()}", "–", "")
        # Where weir refuses it at once, only the answer of wasmtime matters, not the speed of its code.
        stock = self.stock(["-O", "opt-level=0"] if weir.code in (241, 243) else [])
        run = weir.against(stock)
        pack = self.packed(stock) if run.startswith(("same", "traps, as")) else "–"
        beside = self.said_stock(stock) if weir.code in OWN and not run.startswith("traps, as") else ""
        return self.cells(run, pack, beside)

    def cells(self, run, pack, beside):
        program, (registry, requirement) = self.program, self.program["from"].split(":", 1)
        where = {"pypi": "PyPI", "npm": "npm"}[registry] + f" `{requirement}`"
        remark = ". ".join(part for part in (beside, program.get("remark", "")) if part)
        return [f"`{program['name']}`", where, program["toolchain"], run, pack, remark]

    def said_stock(self, stock):
        if stock.code == 0:
            return "wasmtime ends with 0" + ("" if stock.stdout or any(stock.files.values()) else " and prints nothing")
        return "wasmtime refuses it, too" if stock.code == 1 else f"wasmtime ends with {stock.code}"

    def lay_out(self, name):
        """A folder with the inputs: text, `@` and a file of benches/programs, or `PROGRAM:OUTPUT` of a run before."""
        folder = self.folder / name
        folder.mkdir(parents=True)
        for path, content in self.program.get("files", {}).items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            before, _, output = content.partition(":")
            if content.startswith("@"):
                shutil.copyfile(ROOT / "benches/programs" / content[1:], target)
            elif output and "\n" not in content:
                shutil.copyfile(WORK / "runs" / before / "stock" / output, target)
            else:
                target.write_text(content)
        return folder

    def directories(self, folder):
        """Guest and host of each folder that the program sees."""
        yield "/w", folder
        for guest, inside in self.program.get("folders", {}).items():
            yield guest, folder / inside
        for guest, inside in self.program.get("data", {}).items():
            yield guest, self.package / inside

    def grants(self, folder):
        for guest, host in self.directories(folder):
            yield from ("--mount", f"{guest}={host}")
        for guest in self.program.get("scratch", []):
            yield from ("--scratch", guest)

    def mounted(self):
        folder, saved = self.lay_out("mounted"), self.folder / "saved"
        saved.mkdir()
        saves = [word for name in self.outputs for word in ("--save", f"/w/{name}={saved / name}")]
        return self.run([*self.weir_run, *self.grants(folder), *saves, str(self.wasm), *self.program["args"]], saved)

    def stock(self, options):
        folder = self.lay_out("stock")
        dirs = [f"--dir={host}::{guest}" for guest, host in self.directories(folder)]
        for guest in self.program.get("scratch", []):
            scratch = self.folder / "scratch" / guest.strip("/")
            scratch.mkdir(parents=True)
            dirs.append(f"--dir={scratch}::{guest}")
        return self.run([*self.stock_run, *options, *dirs, str(self.wasm), *self.program["args"]], folder)

    def packed(self, stock):
        """The pack holds inputs and arguments; what it writes stays inside, so what it prints is compared."""
        pack, folder = self.folder / "pack.wasm", self.lay_out("packed")
        made = self.run([self.weir, "pack", *self.grants(folder), "-o", str(pack), str(self.wasm), "--", *self.program["args"]], folder)
        if made.code:
            return f"{made.code}: {made.last_word()}"
        results = []
        for command in (self.weir_run, self.stock_run):
            run = self.run([*command, str(pack)], None)
            # Under wasmtime a trap of the pack ends as one of the program does.
            run.code = TRAP if run.code == STOCK_TRAP else run.code
            results.append(run.against(stock))
        pack.unlink()
        return results[0] if results[0] == results[1] else f"weir: {results[0]}; wasmtime: {results[1]}"

    def run(self, command, folder):
        return Run(command, self.program.get("stdin", ""), folder or self.folder, self.outputs if folder else [])


def unpacked(archive):
    """The folder of a package's files."""
    folder = WORK / "packages" / archive.name
    if not folder.exists():
        partial = folder.with_name(folder.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        if archive.suffix == ".whl":
            zipfile.ZipFile(archive).extractall(partial)
        else:
            tarfile.open(archive).extractall(partial, filter="data")
        partial.rename(folder)
    return folder


def write(rows, programs):
    """Puts the rows between the marks of the document; those of programs that did not run stay."""
    before, rest = DOC.read_text().split(MARKS[0])
    table, after = rest.split(MARKS[1])
    lines = {line.split("`")[1]: line for line in table.splitlines() if line.startswith("| `")}
    lines.update((row[0].strip("`"), "| " + " | ".join(row) + " |") for row in rows)
    head = ["program", "package", "toolchain", "run", "pack", "remark"]
    body = [lines[program["name"]] for program in programs if program["name"] in lines]
    whole = ["| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head)]] + body
    DOC.write_text(before + MARKS[0] + "\n" + "\n".join(whole) + "\n\n" + MARKS[1] + after)


if __name__ == "__main__":
    main()
