#!/usr/bin/env bash
# A RUSTC_WRAPPER that makes compiled bytes independent of where a checkout lies. Cargo puts a hash of a package's
# absolute path into `-C metadata`, from which the compiler derives symbol names and their order. Name and version
# say the same thing in every checkout.
set -euo pipefail
arguments=()
for argument in "$@"; do
  case $argument in
    metadata=*) argument=metadata=${CARGO_PKG_NAME:-none}-${CARGO_PKG_VERSION:-0} ;;
    -Cmetadata=*) argument=-Cmetadata=${CARGO_PKG_NAME:-none}-${CARGO_PKG_VERSION:-0} ;;
  esac
  arguments+=("$argument")
done
exec "${arguments[@]}"
