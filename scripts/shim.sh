#!/usr/bin/env bash
# Builds what `weir` links into programs and commits as bytes, in crates/link:
#
#   shim.wasm               from guests/shim                         linked into modules
#   lift-shim.wasm          from the same, with what lifts programs  linked into lifted programs
#   component-shim-p2.wasm  from guests/component-shim               composed with components of WASI 0.2
#   component-shim.wasm     from the same, with 0.3                  composed with those that use 0.3
#   component-bridge.wasm   from guests/component-shim/bridge.wat    beside it, for WASI 0.3
#
#   scripts/shim.sh                    build, and replace the committed bytes that changed
#   scripts/shim.sh --check            build, and fail if the committed bytes are not these
#   scripts/shim.sh [--check] --rustup use rustup's compiler with its wasm32-unknown-unknown target
#
# The bytes depend on the source and the compiler only, not on where the checkout, cargo or the compiler live:
# paths are remapped, package hashes replaced, and core and alloc are built along from the compiler's own source.
# crates/link/shim.toolchain names the compiler of the committed bytes. Another compiler makes other bytes, so
# --check then says "skipped" and exits 0.
set -euo pipefail
. "$(dirname "$0")/common.sh"

check=no rustup=no
for option in "$@"; do
  case $option in
    --check) check=yes ;;
    --rustup) rustup=yes ;;
    *) fail "usage: scripts/shim.sh [--check] [--rustup]" ;;
  esac
done

TARGET=wasm32-unknown-unknown
LINK=$ROOT/crates/link
TOOLCHAIN=$ROOT/crates/link/shim.toolchain
need cargo "install Rust from https://rustup.rs"

build_std=()
if [ "$rustup" = yes ]; then
  need rustup "--rustup asks for it"
  rustup target list --installed | grep -qx "$TARGET" || fail "the target is missing: rustup target add $TARGET"
  rustc=$(rustup which rustc)
elif [ -f "$RUST_GUEST/env.sh" ]; then
  . "$RUST_GUEST/env.sh"
  rustc=$RUSTC
  build_std=(-Zbuild-std=core,alloc)
  export RUSTC_BOOTSTRAP=1
elif [ "$check" = yes ]; then
  say "skipped: no guest compiler here (scripts/tools.sh --guests makes one); the committed bytes were NOT compared"
  exit 0
else
  fail "no guest compiler here: run scripts/tools.sh --guests, or use --rustup"
fi
export RUSTC=$rustc
compiler=$("$rustc" -vV | grep -E '^(rustc|LLVM version:)')

if [ "$check" = yes ] && [ -f "$TOOLCHAIN" ] && [ "$compiler" != "$(cat "$TOOLCHAIN")" ]; then
  say "skipped: the committed bytes were made by another compiler and were NOT compared"
  say "committed: $(tr '\n' ' ' <"$TOOLCHAIN")"
  say "here:      $(tr '\n' ' ' <<<"$compiler")"
  exit 0
fi

wasm_tools=$VENV/bin/wasm-tools
[ -x "$wasm_tools" ] || fail "no wasm-tools: run scripts/tools.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sysroot=$("$rustc" --print sysroot)
remap() { printf ' --remap-path-prefix=%s=%s' "$1" "$2"; }
# A separate folder, so that no other build's cache or flags take part. Kept, so that core is built once.
export CARGO_TARGET_DIR=$CACHE/shim-target
# Later ones win, so the folders that hold others come first.
RUSTFLAGS="$(remap "$HOME" /home)$(remap "${CARGO_HOME:-$HOME/.cargo}" /cargo)$(remap "$RUST_GUEST" /toolchain)$(remap "$sysroot" /toolchain/usr)$(remap "$CARGO_TARGET_DIR" /target)$(remap "$ROOT" /weir)"
# The name of the registry's folder differs between versions of cargo; it exists once the crates are fetched.
for package in shim component-shim; do
  (cd "$ROOT/guests/$package" && cargo fetch --quiet --locked --target "$TARGET") || offline "cargo could not fetch the crates of guests/$package"
done
for registry in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/; do RUSTFLAGS+=$(remap "${registry%/}" /cargo/registry); done
export RUSTFLAGS
export CARGO_PROFILE_RELEASE_OPT_LEVEL=3 CARGO_PROFILE_RELEASE_LTO=fat CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1
export CARGO_PROFILE_RELEASE_PANIC=abort CARGO_PROFILE_RELEASE_DEBUG=false
export RUSTC_WRAPPER=$ROOT/scripts/guest-toolchain/stable-rustc.sh
unset CARGO_ENCODED_RUSTFLAGS RUSTC_WORKSPACE_WRAPPER

# Builds guests/NAME. Full stripping would take the section with the types of a component's interfaces along.
build_crate() { # NAME STRIP [OPTION...]
  local name=$1 strip=$2
  shift 2
  (
    cd "$ROOT/guests/$name"
    CARGO_PROFILE_RELEASE_STRIP=$strip cargo build --quiet --locked --release --target "$TARGET" \
      ${build_std[@]+"${build_std[@]}"} "$@" --message-format=json-render-diagnostics
  ) >"$work/messages" || fail "guests/$name does not build"
  local built
  built=$(grep -oE '"[^"]*\.wasm"' "$work/messages" | tr -d '"' | sort -u)
  [ -f "$built" ] || fail "expected guests/$name to make one .wasm file, got: ${built:-none}"
  cp "$built" "$work/$name.wasm"
}

# Names of functions, which nobody reads here.
strip_names() { # NAME
  "$wasm_tools" strip --delete '^name$' "$work/$1.wasm" -o "$work/stripped" && mv "$work/stripped" "$work/$1.wasm"
}

build_bridge() {
  "$wasm_tools" parse "$ROOT/guests/component-shim/bridge.wat" | "$wasm_tools" strip --all -o "$work/component-bridge.wasm"
}

# Compares crates/link/NAME.wasm with what was built, or replaces it.
settle() { # NAME
  local built=$work/$1.wasm committed=$LINK/$1.wasm
  if cmp -s "$built" "$committed"; then
    say "crates/link/$1.wasm is what its source builds to ($(wc -c <"$built" | tr -d ' ') bytes)"
  elif [ "$check" = yes ]; then
    fail "crates/link/$1.wasm is not what its source builds to: run scripts/shim.sh and commit the result"
  else
    cp "$built" "$committed.new"
    chmod 644 "$committed.new"
    mv "$committed.new" "$committed"
    say "written: crates/link/$1.wasm, $(wc -c <"$committed" | tr -d ' ') bytes"
  fi
}

build_crate shim symbols
settle shim
# Memory enough for most calls from the start: growing it costs two system calls in every instance. Not more than that:
# after each call the engine looks at every page of it.
RUSTFLAGS="$RUSTFLAGS -Clink-arg=-zstack-size=$((256 << 10)) -Clink-arg=--initial-memory=$((512 << 10))" build_crate shim symbols --features lift
mv "$work/shim.wasm" "$work/lift-shim.wasm"
settle lift-shim
build_crate component-shim debuginfo --no-default-features --features p2
strip_names component-shim
mv "$work/component-shim.wasm" "$work/component-shim-p2.wasm"
settle component-shim-p2
build_crate component-shim debuginfo
strip_names component-shim
settle component-shim
build_bridge
settle component-bridge
[ "$check" = yes ] || printf '%s\n' "$compiler" >"$TOOLCHAIN"
