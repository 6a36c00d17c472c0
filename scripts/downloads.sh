# Shared by the scripts that fetch things: pinned by version and SHA-256, kept in $WEIR_CACHE/downloads.
# Sourced, never run, after common.sh. The caller sets `scratch` to a folder that it removes.

DOWNLOADS=$CACHE/downloads

sha256() { sha256sum "$1" 2>/dev/null | cut -d' ' -f1 || shasum -a 256 "$1" | cut -d' ' -f1; }

# True when the download is there and right. A wrong one is removed and fetched again.
downloaded() { # FILE SHA256
  [ -f "$DOWNLOADS/$1" ] || return 1
  [ "$(sha256 "$DOWNLOADS/$1")" = "$2" ] && return
  say "$1 in $DOWNLOADS is damaged: fetching it again"
  rm "$DOWNLOADS/$1"
  return 1
}

check() { # FILE SHA256
  local got
  got=$(sha256 "$1")
  [ "$got" = "$2" ] || fail "$(basename "$1") has SHA-256 $got, expected $2; it is not what was pinned and was not used"
}

# Both fetchers leave the file in $DOWNLOADS under its own name, and only after its digest was right.
keep() { # FOLDER FILE SHA256
  check "$1/$2" "$3"
  mv "$1/$2" "$DOWNLOADS/$2"
}

from_pypi() { # REQUIREMENT FILE SHA256 [PYTHON_VERSION, where the package wants a newer one than is here]
  if downloaded "$2" "$3"; then return; fi
  say "downloading $1 from PyPI"
  local python=$VENV/bin/python
  [ -x "$python" ] || python=python3
  mkdir -p "$scratch/pypi" "$DOWNLOADS"
  "$python" -m pip download --quiet --disable-pip-version-check --no-deps --retries 1 --dest "$scratch/pypi" \
    ${4:+--python-version "$4" --only-binary=:all:} "$1" ||
    offline "pip could not download $1"
  keep "$scratch/pypi" "$2" "$3"
}

from_npm() { # PACKAGE@VERSION FILE SHA256
  if downloaded "$2" "$3"; then return; fi
  need npm "install Node.js"
  say "downloading $1 from npm"
  mkdir -p "$scratch/npm" "$DOWNLOADS"
  (cd "$scratch/npm" && npm pack --silent "$1" >/dev/null) || offline "npm could not download $1"
  keep "$scratch/npm" "$2" "$3"
}
