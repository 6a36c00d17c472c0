// Reads a part of a file twice and says how fast: `touch FILE BYTES` prints "name value" lines in MB/s and ends.
// What it costs beside that (time to start, memory) is measured from outside. With IDLE defined it is the same
// program without the file: it fills its buffer and prints, and so shows what the program itself costs.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wasi/api.h>

enum { BLOCK = 64 * 1024 };
static uint8_t buffer[BLOCK];

#ifdef IDLE
int main(void) {
  memset(buffer, 7, BLOCK);
  __asm__ volatile("" ::: "memory");
  printf("idle %d\n", buffer[BLOCK - 1]);
  return 0;
}
#else
static void check(__wasi_errno_t error, const char *what) {
  if (error == 0) return;
  printf("touch: %s: error %d\n", what, error);
  exit(1);
}

static __wasi_timestamp_t now(void) {
  __wasi_timestamp_t time;
  check(__wasi_clock_time_get(__WASI_CLOCKID_MONOTONIC, 1, &time), "clock_time_get");
  return time;
}

// The first preopened directory whose name `path` starts with.
static __wasi_fd_t open_file(const char *path) {
  __wasi_prestat_t prestat;
  for (__wasi_fd_t dir = 3; __wasi_fd_prestat_get(dir, &prestat) == 0; dir++) {
    uint8_t name[256] = {0};
    size_t len = prestat.u.dir.pr_name_len;
    if (len >= sizeof name || __wasi_fd_prestat_dir_name(dir, name, len) != 0) continue;
    if (strncmp(path, (char *)name, len) != 0) continue;
    for (path += len; *path == '/'; path++) {}
    __wasi_fd_t file;
    check(__wasi_path_open(dir, 0, path, 0, __WASI_RIGHTS_FD_READ | __WASI_RIGHTS_FD_SEEK, 0, 0, &file), path);
    return file;
  }
  check(1, path);
  return 0;
}

static void read_through(const char *name, __wasi_fd_t file, uint64_t bytes) {
  uint64_t done = 0, sum = 0;
  __wasi_timestamp_t began = now();
  while (done < bytes) {
    __wasi_iovec_t part = {buffer, bytes - done < BLOCK ? bytes - done : BLOCK};
    __wasi_size_t n;
    check(__wasi_fd_pread(file, &part, 1, done, &n), "fd_pread");
    if (n == 0) break;
    sum += buffer[n - 1];
    done += n;
  }
  __wasi_timestamp_t spent = now() - began;
  printf("%s %.1f\n%s.bytes %llu\n%s.sum %llu\n", name, spent ? done * 1e3 / spent : 0, name, (unsigned long long)done, name, (unsigned long long)sum);
}

int main(int argc, char **argv) {
  if (argc < 3) check(1, "usage: touch FILE BYTES");
  __wasi_fd_t file = open_file(argv[1]);
  uint64_t bytes = strtoull(argv[2], NULL, 10);
  read_through("first", file, bytes);
  read_through("again", file, bytes);
  return 0;
}
#endif
