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
    print(name, hashlib.sha256(data).hexdigest(), len(data))


path, name, *args = sys.argv[1:]
config = wasmtime.Config()
config.wasm_exceptions = True
config.wasm_multi_memory = True
engine = wasmtime.Engine(config)
lifted = component.Component.from_file(engine, path)

# A store and an instance for each call: an instance can run its program once.
store = wasmtime.Store(engine)
instance = component.Linker(engine).instantiate(store, lifted)
interface = instance.get_export_index(store, "weir:lifted/api")
function = instance.get_func(store, instance.get_export_index(store, name, interface))
result = function(store, *[value(arg) for arg in args])

# A result whose two cases look alike in Python comes with its case.
if isinstance(result, component.Variant):
    result = result.payload
if hasattr(result, "message"):
    print("failure", getattr(result, "exit-code"), result.message)
elif isinstance(result, (str, bytes)):
    show("result", result)
else:
    for field, part in vars(result).items():
        show(field, part)
