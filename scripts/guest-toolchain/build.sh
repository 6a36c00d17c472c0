#!/usr/bin/env bash
# Puts together a Rust compiler for WebAssembly guests from Debian 12's packages:
#
#   build.sh DIR TARGET...     then: . DIR/env.sh; cargo build --release --target wasm32-wasip1
#
# Debian ships the compiler (rustc-web) and the library's source (rust-web-src) without the WebAssembly
# targets. The packages are unpacked, not installed, so that nothing on PATH changes; then std is built
# once per target with -Zbuild-std and laid where the compiler looks for it. Needs root (apt-get),
# cargo and rustup (for wasm-component-ld). A build that is cut short leaves nothing in DIR.
set -euo pipefail
. "$(dirname "$0")/../common.sh"

[ $# -ge 2 ] || fail "usage: build.sh DIR TARGET..."
final=$1
shift
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$(dirname "$final")"
work=$(mktemp -d "$final.building.XXXXXX")
trap 'rm -rf "$work"' EXIT

export DEBIAN_FRONTEND=noninteractive
# Downloads into a private folder, which apt's own user may not enter.
as_root='-o APT::Sandbox::User=root'
fetch_packages() {
  local archiver=
  compgen -G '/usr/lib/llvm-*/bin/llvm-ar' >/dev/null || archiver=llvm-22
  apt-get install -y -q --no-install-recommends libllvm22 clang-22 lld-22 wasi-libc $archiver >/dev/null || return 1
  mkdir "$work/debs"
  cd "$work/debs"
  apt-get $as_root download -q rustc-web libstd-rust-web-dev rust-web-src >/dev/null || return 1
  local version
  version=$(dpkg-deb -f rustc-web_*.deb Version | cut -d. -f1,2)
  apt-get $as_root download -q "libstd-rust-web-$version" >/dev/null
}
(fetch_packages) || { apt-get update -q >/dev/null 2>&1 || true; rm -rf "$work/debs"; (fetch_packages); } ||
  offline "apt-get could not fetch Debian's rustc-web and clang-22"
for package in "$work"/debs/*.deb; do dpkg -x "$package" "$work"; done
rm -r "$work/debs" "$work/usr/share/doc"

# A libc for std: Debian's wasi-libc of 2022 lacks realpath, and its crt1 runs constructors at every export.
libc=$work/self-contained
mkdir "$libc"
cp /usr/lib/wasm32-wasi/libc.a "$libc/"
clang-22 --target=wasm32-wasi -Wno-deprecated -O2 -c "$here/crt1-command.c" -o "$libc/crt1-command.o"
clang-22 --target=wasm32-wasi -Wno-deprecated -O2 -c "$here/realpath.c" -o "$libc/realpath.o"
"$(compgen -G '/usr/lib/llvm-*/bin/llvm-ar' | tail -n 1)" rcs "$libc/libc.a" "$libc/realpath.o"
rm "$libc/realpath.o"

need rustup "it ships wasm-component-ld, the linker of wasm32-wasip2"
host_bin=$(rustup run stable rustc --print sysroot)/lib/rustlib/x86_64-unknown-linux-gnu/bin
write_env() { # DIR: the settings that make cargo drive the compiler in DIR
  cat <<ENV
export RUSTC=$1/usr/bin/rustc LD_LIBRARY_PATH=$1/usr/lib/x86_64-linux-gnu
export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=wasm-ld-22 CARGO_TARGET_WASM32_WASIP1_LINKER=wasm-ld-22 CARGO_TARGET_WASM32_WASIP2_LINKER=$host_bin/wasm-component-ld
export PATH=\$PATH:$host_bin/gcc-ld
ENV
}

empty=$work/empty
mkdir -p "$empty/src"
: >"$empty/src/lib.rs"
printf '[package]\nname = "empty"\nversion = "0.0.0"\nedition = "2021"\n[workspace]\n[profile.release]\npanic = "abort"\n' >"$empty/Cargo.toml"
write_env "$work" >"$work/env.sh"
for target in "$@"; do
  say "building std for $target"
  (
    cd "$empty"
    . "$work/env.sh"
    export RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Cembed-bitcode=yes CARGO_TARGET_DIR=$empty/target
    cargo build --quiet --release -Zbuild-std=std,panic_abort,proc_macro --target "$target"
  ) || fail "building std for $target failed"
  lib=$work/usr/lib/rustlib/$target/lib
  mkdir -p "$lib"
  cp "$empty/target/$target/release/deps/"*.rlib "$lib/"
  rm -f "$lib"/libempty-*.rlib
  case $target in *wasi*) mkdir -p "$lib/self-contained" && cp "$libc"/* "$lib/self-contained/" ;; esac
done
rm -rf "$empty"
write_env "$final" >"$work/env.sh"
rm -rf "$final"
mv "$work" "$final"
trap - EXIT
