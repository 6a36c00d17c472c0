# Shared by the scripts in this folder: where things are kept and how they talk.
# Sourced, never run. Sets ROOT (the checkout), CACHE (downloads and tools), VENV.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${WEIR_CACHE:-$HOME/.cache/weir}
VENV=$CACHE/tools/v
RUST_GUEST=$CACHE/rust-guest

# Exit code of a script that could not reach a package registry.
OFFLINE=3

say() { printf '%s: %s\n' "$(basename "$0" .sh)" "$*"; }
fail() { printf '%s: error: %s\n' "$(basename "$0" .sh)" "$*" >&2; exit 1; }
offline() { printf '%s: offline: %s\n' "$(basename "$0" .sh)" "$*" >&2; exit "$OFFLINE"; }
need() { command -v "$1" >/dev/null 2>&1 || fail "$1 is needed: $2"; }

# The Python of the tools folder, which knows the paths of its packages.
venv_package() { # NAME -> folder of an importable package
  "$VENV/bin/python" -c "import importlib.util as u; print(u.find_spec('$1').submodule_search_locations[0])"
}
venv_has() { # DISTRIBUTION VERSION
  compgen -G "$VENV/lib/python3*/site-packages/${1//-/_}-$2.dist-info" >/dev/null
}
