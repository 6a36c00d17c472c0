#!/usr/bin/env bash
# Builds guests/shim into crates/link/shim.wasm, the bytes that `weir` links into programs:
#
#   scripts/shim.sh                    build, and replace the committed bytes if they changed
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
COMMITTED=$ROOT/crates/link/shim.wasm
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

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sysroot=$("$rustc" --print sysroot)
remap() { printf ' --remap-path-prefix=%s=%s' "$1" "$2"; }
# A separate folder, so that no other build's cache or flags take part. Kept, so that core is built once.
export CARGO_TARGET_DIR=$CACHE/shim-target
# Later ones win, so the folders that hold others come first.
RUSTFLAGS="$(remap "$HOME" /home)$(remap "${CARGO_HOME:-$HOME/.cargo}" /cargo)$(remap "$RUST_GUEST" /toolchain)$(remap "$sysroot" /toolchain/usr)$(remap "$CARGO_TARGET_DIR" /target)$(remap "$ROOT" /weir)"
# The name of the registry's folder differs between versions of cargo; it exists once the crates are fetched.
(cd "$ROOT/guests/shim" && cargo fetch --quiet --locked --target "$TARGET") || offline "cargo could not fetch the shim's crates"
for registry in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/; do RUSTFLAGS+=$(remap "${registry%/}" /cargo/registry); done
export RUSTFLAGS
export CARGO_PROFILE_RELEASE_OPT_LEVEL=3 CARGO_PROFILE_RELEASE_LTO=fat CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1
export CARGO_PROFILE_RELEASE_PANIC=abort CARGO_PROFILE_RELEASE_STRIP=symbols CARGO_PROFILE_RELEASE_DEBUG=false
export RUSTC_WRAPPER=$ROOT/scripts/guest-toolchain/stable-rustc.sh
unset CARGO_ENCODED_RUSTFLAGS RUSTC_WORKSPACE_WRAPPER
(
  cd "$ROOT/guests/shim"
  cargo build --quiet --locked --release --target "$TARGET" ${build_std[@]+"${build_std[@]}"} --message-format=json-render-diagnostics
) >"$work/messages" || fail "the shim does not build"
built=$(grep -oE '"[^"]*\.wasm"' "$work/messages" | tr -d '"' | sort -u)
[ -f "$built" ] || fail "expected the build to make one .wasm file, got: ${built:-none}"

if [ "$check" = yes ]; then
  if cmp -s "$built" "$COMMITTED"; then
    say "crates/link/shim.wasm is what guests/shim builds to ($(wc -c <"$built" | tr -d ' ') bytes)"
    exit 0
  fi
  fail "crates/link/shim.wasm is not what guests/shim builds to: run scripts/shim.sh and commit the result"
fi

if cmp -s "$built" "$COMMITTED"; then
  say "unchanged: crates/link/shim.wasm"
else
  cp "$built" "$COMMITTED.new"
  chmod 644 "$COMMITTED.new"
  mv "$COMMITTED.new" "$COMMITTED"
  say "written: crates/link/shim.wasm, $(wc -c <"$COMMITTED" | tr -d ' ') bytes"
fi
printf '%s\n' "$compiler" >"$TOOLCHAIN"
