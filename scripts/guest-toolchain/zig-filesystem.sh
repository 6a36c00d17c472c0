#!/usr/bin/env bash
# Builds std::filesystem and fstream for zig's wasm32-wasi libc++, which ships their source but leaves them out:
#
#   zig-filesystem.sh DIR      makes DIR/libfilesystem.a
#
# Programs then need -U_LIBCPP_HAS_FILESYSTEM -D_LIBCPP_HAS_FILESYSTEM=1 and the archive.
set -euo pipefail
. "$(dirname "$0")/../common.sh"

[ $# = 1 ] || fail "usage: zig-filesystem.sh DIR"
out=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
source=$(venv_package ziglang)/lib/libcxx/src
zig() { ZIG_GLOBAL_CACHE_DIR=$CACHE/zig "$VENV/bin/python" -m ziglang "$@"; }
compile() { # SOURCE
  zig c++ -target wasm32-wasi -std=c++23 -fno-exceptions -O2 -w -U_LIBCPP_HAS_FILESYSTEM -D_LIBCPP_HAS_FILESYSTEM=1 \
    -D_LIBCPP_BUILDING_LIBRARY "-I$source" "-I$source/filesystem" -c "$1" -o "$work/$(basename "$1" .cpp).o"
}

cat >"$work/streams.cpp" <<'CPP'
#include <fstream>
_LIBCPP_BEGIN_NAMESPACE_STD
template class basic_ifstream<char>;
template class basic_ofstream<char>;
template class basic_filebuf<char>;
_LIBCPP_END_NAMESPACE_STD
CPP
# The source takes musl for Linux and calls copy_file_range and sendfile, which WASI has not.
sed -e 's/^#if _LIBCPP_GLIBC_PREREQ(2, 27).*/#if 0/' -e 's/^#if __has_include(<sys\/sendfile.h>)/#if 0/' \
  "$source/filesystem/operations.cpp" >"$work/operations.cpp"
for name in directory_entry directory_iterator filesystem_clock filesystem_error path int128_builtins; do
  compile "$source/filesystem/$name.cpp"
done
compile "$source/fstream.cpp"
compile "$work/streams.cpp"
compile "$work/operations.cpp"
zig ar rcs "$work/libfilesystem.a" "$work"/*.o
mkdir -p "$out"
mv "$work/libfilesystem.a" "$out/libfilesystem.a"
