// A walk through Go's os package: `fstest DIR` prints one line per step and cleans up after itself.
// Prints nothing that differs between hosts (no inode numbers, times or directory sizes), so that its output
// under two runtimes can be compared byte by byte.
package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

func show(step string, err error, values ...any) {
	if err == nil {
		fmt.Println(append([]any{step + ":"}, values...)...)
		return
	}
	var inner error = err
	for errors.Unwrap(inner) != nil {
		inner = errors.Unwrap(inner)
	}
	fmt.Println(step+":", inner, errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrExist))
}

func files(dir string) {
	a := filepath.Join(dir, "a")
	show("WriteFile", os.WriteFile(a, []byte("hello, world"), 0o644))
	data, err := os.ReadFile(a)
	show("ReadFile", err, string(data))
	file, err := os.OpenFile(a, os.O_RDWR, 0)
	show("OpenFile", err)
	n, err := file.WriteAt([]byte("HE"), 0)
	show("WriteAt", err, n)
	buffer := make([]byte, 5)
	n, err = file.ReadAt(buffer, 7)
	show("ReadAt", err, n, string(buffer))
	n, err = file.ReadAt(buffer, 10)
	show("ReadAt end", err, n, string(buffer))
	at, err := file.Seek(-4, io.SeekEnd)
	show("Seek", err, at)
	rest, err := io.ReadAll(file)
	show("ReadAll", err, string(rest))
	show("Truncate", file.Truncate(3))
	show("Truncate", os.Truncate(a, 6))
	data, err = os.ReadFile(a)
	show("ReadFile", err, data)
	show("Sync", file.Sync())
	show("Close", file.Close())
	show("Close again", file.Close())
	file, err = os.OpenFile(a, os.O_APPEND|os.O_WRONLY, 0)
	show("append", err)
	_, err = file.WriteString("+tail")
	show("WriteString", err)
	_, err = file.Read(buffer)
	show("Read", err)
	file.Close()
	_, err = os.OpenFile(a, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	show("exclusive", err)
	_, err = os.ReadFile(filepath.Join(dir, "none"))
	show("missing", err)
	when := time.Unix(1234567890, 5000)
	show("Chtimes", os.Chtimes(a, when, when))
	info, err := os.Stat(a)
	show("Stat", err, info.Name(), info.Size(), info.IsDir(), info.ModTime().Equal(when))
}

func names(dir string) {
	at := func(name string) string { return filepath.Join(dir, name) }
	show("Mkdir", os.Mkdir(at("d"), 0o755))
	show("Mkdir again", os.Mkdir(at("d"), 0o755))
	show("MkdirAll", os.MkdirAll(at("d/e/f"), 0o755))
	show("Rename", os.Rename(at("a"), at("d/a")))
	show("Rename missing", os.Rename(at("a"), at("d/a")))
	show("Rename dir", os.Rename(at("d/e"), at("e")))
	show("Link", os.Link(at("d/a"), at("b")))
	show("Symlink", os.Symlink("d/a", at("s")))
	target, err := os.Readlink(at("s"))
	show("Readlink", err, target)
	data, err := os.ReadFile(at("s"))
	show("through link", err, len(data))
	info, err := os.Lstat(at("s"))
	show("Lstat", err, info.Mode()&fs.ModeSymlink != 0)
	one, _ := os.Stat(at("b"))
	two, _ := os.Stat(at("d/a"))
	show("SameFile", nil, os.SameFile(one, two))
	show("Remove full", os.Remove(at("d")))
	show("Remove missing", os.Remove(at("none")))
	entries, err := os.ReadDir(dir)
	show("ReadDir", err, len(entries))
	for _, entry := range entries {
		fmt.Println(" ", entry.Name(), entry.IsDir(), entry.Type())
	}
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		fmt.Println("  walk", strings.TrimPrefix(path, dir), entry.IsDir(), err)
		return nil
	})
	show("WalkDir", err)
}

func many(dir string) {
	many := filepath.Join(dir, "many")
	show("Mkdir", os.Mkdir(many, 0o755))
	for index := range 400 {
		os.WriteFile(filepath.Join(many, fmt.Sprintf("file-%03d", index)), make([]byte, index), 0o644)
	}
	opened, err := os.Open(many)
	show("Open", err)
	total := 0
	for {
		batch, err := opened.Readdirnames(37)
		total += len(batch)
		if err != nil {
			show("Readdirnames", err, total)
			break
		}
	}
	opened.Close()
	fmt.Println("names:", total)
	show("RemoveAll", os.RemoveAll(many))
}

func main() {
	base := "."
	if len(os.Args) > 1 {
		base = os.Args[1]
	}
	dir := filepath.Join(base, "go-fstest")
	show("Mkdir", os.Mkdir(dir, 0o755))
	files(dir)
	names(dir)
	many(dir)
	temporary, err := os.MkdirTemp(dir, "tmp-*")
	show("MkdirTemp", err, strings.HasPrefix(filepath.Base(temporary), "tmp-"))
	show("RemoveAll", os.RemoveAll(dir))
	_, err = os.Stat(dir)
	show("gone", err)
	_, err = os.ReadFile(filepath.Join(base, "../../../../../etc/passwd"))
	show("escape", err)
}
