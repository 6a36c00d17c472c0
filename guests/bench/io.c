// What one WASI call costs: `io DIR [FILE]` prints "name value" lines in nanoseconds per operation.
// DIR is written to. FILE, when given, is an existing file of at least 64 KiB inside the guest's tree (a mount),
// measured as `..._mounted`, beside the files that this program writes itself.
//
// Calls the functions directly, without the C library's buffers and path lookup, so the numbers are those of the
// runtime. Each value is the median of BATCHES batches; ".min" and ".max" lines give the spread.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wasi/api.h>

enum { BATCHES = 15, WINDOW = 64 * 1024, BLOCK = 4096, ENTRIES = 1000 };
static const __wasi_timestamp_t BATCH_NS = 10 * 1000 * 1000;

static __wasi_fd_t dir, file;
static const char *dir_name;
static uint8_t source[WINDOW], buffer[WINDOW];
static uint32_t turn;

static void check(__wasi_errno_t error, const char *what) {
  if (error == 0) return;
  fprintf(stderr, "io: %s: error %d\n", what, error);
  exit(1);
}

static __wasi_timestamp_t now(void) {
  __wasi_timestamp_t time;
  check(__wasi_clock_time_get(__WASI_CLOCKID_MONOTONIC, 1, &time), "clock_time_get");
  return time;
}

// Keeps the compiler from moving or dropping work on the buffers.
static void barrier(void) { __asm__ volatile("" ::: "memory"); }

static void do_memcpy_4k(void) {
  memcpy(buffer, source + turn++ % (WINDOW / BLOCK) * BLOCK, BLOCK);
  barrier();
}

static void do_memcpy_64(void) {
  memcpy(buffer, source + turn++ % (WINDOW / 64) * 64, 64);
  barrier();
}

static void do_clock(void) { now(); }

static void do_pread_4k(void) {
  __wasi_iovec_t part = {buffer, BLOCK};
  __wasi_size_t n;
  check(__wasi_fd_pread(file, &part, 1, turn++ % (WINDOW / BLOCK) * BLOCK, &n), "fd_pread");
}

static void rewind_now_and_then(void) {
  __wasi_filesize_t at;
  if (turn++ % (WINDOW / 64) == 0) check(__wasi_fd_seek(file, 0, __WASI_WHENCE_SET, &at), "fd_seek");
}

static void do_read_64(void) {
  __wasi_iovec_t part = {buffer, 64};
  __wasi_size_t n;
  rewind_now_and_then();
  check(__wasi_fd_read(file, &part, 1, &n), "fd_read");
}

static void do_write_64(void) {
  __wasi_ciovec_t part = {source, 64};
  __wasi_size_t n;
  rewind_now_and_then();
  check(__wasi_fd_write(file, &part, 1, &n), "fd_write");
}

static void do_seek(void) {
  __wasi_filesize_t at;
  check(__wasi_fd_seek(file, turn++ % WINDOW, __WASI_WHENCE_SET, &at), "fd_seek");
}

static void do_open_close(void) {
  __wasi_fd_t fd;
  check(__wasi_path_open(dir, __WASI_LOOKUPFLAGS_SYMLINK_FOLLOW, "bench/data", 0, __WASI_RIGHTS_FD_READ, 0, 0, &fd), "path_open");
  check(__wasi_fd_close(fd), "fd_close");
}

static void do_stat(void) {
  __wasi_filestat_t stat;
  check(__wasi_path_filestat_get(dir, __WASI_LOOKUPFLAGS_SYMLINK_FOLLOW, "bench/data", &stat), "path_filestat_get");
}

static void do_fstat(void) {
  __wasi_filestat_t stat;
  check(__wasi_fd_filestat_get(file, &stat), "fd_filestat_get");
}

// Lists the whole directory through a buffer of 4 KiB, as C libraries do.
static void do_readdir(void) {
  __wasi_dircookie_t cookie = 0;
  uint32_t entries = 0;
  for (;;) {
    __wasi_size_t used, at = 0;
    check(__wasi_fd_readdir(file, buffer, BLOCK, cookie, &used), "fd_readdir");
    while (at + sizeof(__wasi_dirent_t) <= used) {
      __wasi_dirent_t entry;
      memcpy(&entry, buffer + at, sizeof entry);
      if (at + sizeof entry + entry.d_namlen > used) break;
      at += sizeof entry + entry.d_namlen;
      cookie = entry.d_next;
      entries++;
    }
    if (used < BLOCK) break;
  }
  if (entries != ENTRIES + 2) check(1, "fd_readdir lost entries");
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void measure(const char *name, void (*operation)(void), double per_call) {
  double values[BATCHES];
  uint32_t count = 1;
  for (__wasi_timestamp_t spent = 0; spent < BATCH_NS / 2 && count < 1u << 28; count *= 2) {
    __wasi_timestamp_t start = now();
    for (uint32_t i = 0; i < count; i++) operation();
    spent = now() - start;
  }
  for (int batch = 0; batch < BATCHES; batch++) {
    turn = 0;
    __wasi_timestamp_t start = now();
    for (uint32_t i = 0; i < count; i++) operation();
    values[batch] = (double)(now() - start) / count / per_call;
  }
  qsort(values, BATCHES, sizeof *values, by_value);
  printf("%s %.2f\n%s.min %.2f\n%s.max %.2f\n", name, values[BATCHES / 2], name, values[0], name, values[BATCHES - 1]);
}

static __wasi_fd_t open_at(const char *path, __wasi_oflags_t how, __wasi_rights_t rights) {
  __wasi_fd_t fd;
  check(__wasi_path_open(dir, __WASI_LOOKUPFLAGS_SYMLINK_FOLLOW, path, how, rights, 0, 0, &fd), path);
  return fd;
}

// The preopened directory with the longest name that `path` starts with; what is left of the path goes to `rest`.
static __wasi_fd_t preopen_of(const char *path, const char **rest) {
  __wasi_fd_t best = 0;
  size_t best_len = 0;
  __wasi_prestat_t prestat;
  for (__wasi_fd_t fd = 3; __wasi_fd_prestat_get(fd, &prestat) == 0; fd++) {
    uint8_t name[256] = {0};
    size_t len = prestat.u.dir.pr_name_len;
    if (len >= sizeof name || __wasi_fd_prestat_dir_name(fd, name, len) != 0) continue;
    if (strncmp(path, (char *)name, len) != 0 || (best != 0 && len < best_len)) continue;
    best = fd;
    best_len = len;
  }
  if (best == 0) check(1, path);
  for (path += best_len; *path == '/';) path++;
  *rest = *path ? path : ".";
  return best;
}

static void prepare(void) {
  const char *rest;
  __wasi_rights_t rights = __WASI_RIGHTS_FD_READ | __WASI_RIGHTS_FD_WRITE | __WASI_RIGHTS_FD_SEEK | __WASI_RIGHTS_FD_FILESTAT_GET;
  __wasi_fd_t preopen = preopen_of(dir_name, &rest);
  __wasi_fdstat_t stat;
  check(__wasi_fd_fdstat_get(preopen, &stat), "fd_fdstat_get");
  check(__wasi_path_open(preopen, 0, rest, __WASI_OFLAGS_DIRECTORY, stat.fs_rights_base, stat.fs_rights_inheriting, 0, &dir), dir_name);
  check(__wasi_path_create_directory(dir, "bench"), "create bench");
  file = open_at("bench/data", __WASI_OFLAGS_CREAT, rights);
  for (int i = 0; i < WINDOW; i++) source[i] = (uint8_t)(i * 7);
  __wasi_ciovec_t all = {source, WINDOW};
  __wasi_size_t n;
  check(__wasi_fd_write(file, &all, 1, &n), "fd_write");
}

static void measure_directory(void) {
  char name[64];
  check(__wasi_path_create_directory(dir, "bench/many"), "create many");
  for (int i = 0; i < ENTRIES; i++) {
    snprintf(name, sizeof name, "bench/many/entry-%04d.txt", i);
    check(__wasi_fd_close(open_at(name, __WASI_OFLAGS_CREAT, __WASI_RIGHTS_FD_WRITE)), "fd_close");
  }
  __wasi_fd_t data = file;
  file = open_at("bench/many", __WASI_OFLAGS_DIRECTORY, __WASI_RIGHTS_FD_READDIR);
  measure("readdir_entry", do_readdir, ENTRIES);
  check(__wasi_fd_close(file), "fd_close");
  file = data;
}

static void clean_up(void) {
  char name[64];
  for (int i = 0; i < ENTRIES; i++) {
    snprintf(name, sizeof name, "bench/many/entry-%04d.txt", i);
    check(__wasi_path_unlink_file(dir, name), name);
  }
  check(__wasi_path_remove_directory(dir, "bench/many"), "remove many");
  check(__wasi_path_unlink_file(dir, "bench/data"), "remove data");
  check(__wasi_path_remove_directory(dir, "bench"), "remove bench");
}

int main(int argc, char **argv) {
  dir_name = argc > 1 ? argv[1] : "/";
  prepare();
  measure("memcpy_64", do_memcpy_64, 1);
  measure("memcpy_4k", do_memcpy_4k, 1);
  measure("clock_time_get", do_clock, 1);
  measure("read_64", do_read_64, 1);
  measure("pread_4k", do_pread_4k, 1);
  measure("write_64", do_write_64, 1);
  measure("seek", do_seek, 1);
  measure("open_close", do_open_close, 1);
  measure("stat", do_stat, 1);
  measure("fstat", do_fstat, 1);
  measure_directory();
  if (argc > 2) {
    const char *rest;
    __wasi_fd_t preopen = preopen_of(argv[2], &rest);
    check(__wasi_path_open(preopen, __WASI_LOOKUPFLAGS_SYMLINK_FOLLOW, rest, 0, __WASI_RIGHTS_FD_READ | __WASI_RIGHTS_FD_SEEK, 0, 0, &file), argv[2]);
    measure("read_64_mounted", do_read_64, 1);
    measure("pread_4k_mounted", do_pread_4k, 1);
  }
  clean_up();
  return 0;
}
