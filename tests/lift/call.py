"""Calls a lifted program from Python, through the package `wasmtime` (50 or newer):

    python call.py render.wasm render %drawing.svg -

An argument is `=TEXT`, `%FILE` (a file's text), `@FILE` (a file's bytes) or `-` (None). Prints a sum and the length of
each part of the result, or the failure.
"""

import hashlib
import sys

import wasmtime
from wasmtime import component


def value(arg):
    kind, rest = arg[:1], arg[1:]
    if kind == "=":
        return rest
    if kind == "%":
        return open(rest, encoding="utf-8", newline="").read()
    return open(rest, "rb").read() if kind == "@" else None


def show(name, part):
    data = part.encode() if isinstance(part, str) else bytes(part)
    return f"{name} {hashlib.sha256(data).hexdigest()} {len(data)}"


def plain(result):
    # A result whose two cases look alike in Python comes with its case.
    return result.payload if isinstance(result, component.Variant) else result


def lines(result):
    if hasattr(result, "message"):
        return [f"failure {getattr(result, 'exit-code')} {result.message}"]
    if isinstance(result, (str, bytes)):
        return [show("result", result)]
    return [show(field, part) for field, part in vars(result).items()]


path, name, *args = sys.argv[1:]
config = wasmtime.Config()
config.wasm_exceptions = True
config.wasm_multi_memory = True
engine = wasmtime.Engine(config)
lifted = component.Component.from_file(engine, path)

store = wasmtime.Store(engine)
instance = component.Linker(engine).instantiate(store, lifted)
interface = instance.get_export_index(store, "weir:lifted/api")
function = instance.get_func(store, instance.get_export_index(store, name, interface))
# The instance puts itself back between calls, so that the second one finds what the first one found.
result, again = (plain(function(store, *[value(arg) for arg in args])) for _ in range(2))
if lines(result) != lines(again):
    sys.exit("a second call of the same instance gives something else")
print("\n".join(lines(result)))
