// A walk through the file calls of C: `fstest DIR` prints one line per step and cleans up after itself.
// Prints nothing that differs between hosts (no inode numbers, times or directory sizes), so that its output
// under two runtimes can be compared byte by byte. A step that fails prints the error and goes on.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static const char *base;

// A path below the directory under test; eight results can be in use at once.
static const char *at(const char *name) {
  static char paths[8][512];
  static int turn;
  char *path = paths[turn++ % 8];
  snprintf(path, sizeof paths[0], "%s/%s", base, name);
  return path;
}

static void show(const char *step, long result) {
  if (result < 0)
    printf("%s: %s\n", step, strerror(errno));
  else
    printf("%s: %ld\n", step, result);
}

#define STEP(call) show(#call, (long)(call))

static void show_file(const char *name) {
  char data[256];
  int fd = open(at(name), O_RDONLY);
  if (fd < 0) {
    show(name, -1);
    return;
  }
  ssize_t n = read(fd, data, sizeof data);
  printf("%s holds %zd:", name, n);
  for (ssize_t i = 0; i < n; i++) printf(data[i] >= ' ' && data[i] < 127 ? " %c" : " %02x", (unsigned char)data[i]);
  printf("\n");
  close(fd);
}

static const char *type_name(mode_t mode) {
  return S_ISREG(mode) ? "file" : S_ISDIR(mode) ? "directory" : S_ISLNK(mode) ? "link" : "other";
}

static void show_stat(const char *name) {
  struct stat st;
  if (lstat(at(name), &st) < 0)
    show(name, -1);
  else if (S_ISDIR(st.st_mode))
    printf("%s is a directory\n", name);
  else
    printf("%s is a %s of %lld bytes with %d names\n", name, type_name(st.st_mode), (long long)st.st_size, (int)st.st_nlink);
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void show_directory(const char *name) {
  char *names[2048];
  int count = 0;
  DIR *dir = opendir(at(name));
  if (!dir) {
    show(name, -1);
    return;
  }
  for (struct dirent *entry; (entry = readdir(dir)) && count < 2048;) names[count++] = strdup(entry->d_name);
  closedir(dir);
  qsort(names, count, sizeof *names, by_name);
  printf("%s lists %d:", name, count);
  for (int i = 0; i < count; i++) {
    if (i < 12) printf(" %s", names[i]);
    free(names[i]);
  }
  printf("\n");
}

static void directories(void) {
  STEP(mkdir(at("d"), 0777));
  STEP(mkdir(at("d"), 0777));
  STEP(mkdir(at("d/e/f"), 0777));
  STEP(mkdir(at("d/e"), 0777));
  STEP(rmdir(at("d")));
  STEP(rmdir(at("d/e")));
  STEP(rmdir(at("d/none")));
  STEP(unlink(at("d")));
  show_directory("d");
  show_stat("d");
  STEP(rmdir(at("d")));
}

// A runtime may write any number of the parts at once, so this goes on until all are written.
static void write_parts(int fd) {
  struct iovec parts[3] = {{"one", 3}, {"", 0}, {"two", 3}};
  ssize_t done = 0, n;
  for (int next = 0; next < 3 && (n = writev(fd, parts + next, 3 - next)) >= 0; done += n) {
    for (; next < 3 && (size_t)n >= parts[next].iov_len; next++) n -= parts[next].iov_len, done += parts[next].iov_len;
    if (next < 3) parts[next].iov_base = (char *)parts[next].iov_base + n, parts[next].iov_len -= n;
  }
  show("writev", done);
}

static void reading_and_writing(void) {
  char data[64];
  int fd = open(at("a"), O_CREAT | O_EXCL | O_RDWR, 0666);
  show("create", fd < 0 ? -1 : 0);
  STEP(open(at("a"), O_CREAT | O_EXCL | O_RDWR, 0666));
  STEP(write(fd, "hello, world", 12));
  STEP(lseek(fd, -5, SEEK_CUR));
  STEP(read(fd, data, 99 > sizeof data ? sizeof data : 99));
  STEP(lseek(fd, 0, SEEK_END));
  STEP(lseek(fd, -1, SEEK_SET));
  STEP(pwrite(fd, "HE", 2, 0));
  STEP(pread(fd, data, 5, 3));
  STEP(pread(fd, data, 5, 100));
  write_parts(fd);
  show_file("a");
  STEP(ftruncate(fd, 5));
  show_file("a");
  STEP(ftruncate(fd, 8));
  show_file("a");
  STEP(lseek(fd, 12, SEEK_SET));
  STEP(write(fd, "!", 1));
  show_file("a");
  STEP(fsync(fd));
  STEP(fdatasync(fd));
  STEP(close(fd));
  STEP(close(fd));
  show_stat("a");
}

static void open_flags(void) {
  char data[8];
  int fd = open(at("a"), O_RDONLY);
  STEP(write(fd, "x", 1));
  STEP(ftruncate(fd, 0));
  close(fd);
  fd = open(at("a"), O_WRONLY | O_APPEND);
  STEP(read(fd, data, 1));
  STEP(write(fd, "+", 1));
  STEP(lseek(fd, 0, SEEK_SET));
  STEP(write(fd, "+", 1));
  STEP(lseek(fd, 0, SEEK_CUR));
  close(fd);
  show_stat("a");
  fd = open(at("a"), O_WRONLY | O_TRUNC);
  close(fd);
  show_stat("a");
  STEP(open(at("none"), O_RDONLY));
  STEP(open(at("a/under"), O_RDONLY));
  STEP(open(at("a/"), O_RDONLY));
  STEP(open(at("a"), O_RDONLY | O_DIRECTORY));
  STEP(open(base, O_WRONLY));
  STEP(unlink(at("a")));
}

static void write_file(const char *name, const char *text) {
  FILE *file = fopen(at(name), "w");
  if (!file) {
    show(name, -1);
    return;
  }
  fputs(text, file);
  fclose(file);
}

static void links(void) {
  char target[64] = {0};
  write_file("a", "linked");
  STEP(link(at("a"), at("b")));
  STEP(link(at("a"), at("b")));
  STEP(link(at("none"), at("c")));
  show_stat("b");
  STEP(unlink(at("a")));
  show_file("b");
  show_stat("b");
  STEP(symlink("b", at("s")));
  STEP(symlink("b", at("s")));
  STEP(readlink(at("s"), target, sizeof target));
  printf("s points to %s\n", target);
  STEP(readlink(at("b"), target, sizeof target));
  show_stat("s");
  show_file("s");
  STEP(open(at("s"), O_RDONLY | O_NOFOLLOW));
  STEP(symlink("loop", at("loop")));
  STEP(open(at("loop"), O_RDONLY));
  STEP(symlink("gone", at("dangling")));
  STEP(open(at("dangling"), O_RDONLY));
  STEP(unlink(at("s")) | unlink(at("loop")) | unlink(at("dangling")) | unlink(at("b")));
}

static void renames(void) {
  write_file("a", "first");
  write_file("b", "second");
  STEP(mkdir(at("d"), 0777) | mkdir(at("e"), 0777));
  STEP(rename(at("a"), at("a")));
  STEP(rename(at("a"), at("b")));
  show_file("b");
  STEP(rename(at("a"), at("c")));
  STEP(rename(at("b"), at("d")));
  STEP(rename(at("d"), at("b")));
  STEP(rename(at("b"), at("d/b")));
  STEP(rename(at("d"), at("d/inside")));
  STEP(rename(at("e"), at("d")));
  STEP(rename(at("d"), at("e")));
  show_directory("e");
  int fd = open(at("e/b"), O_RDONLY);
  char data[16] = {0};
  STEP(rename(at("e/b"), at("moved")));
  STEP(unlink(at("moved")));
  STEP(read(fd, data, sizeof data));
  printf("still reads %s\n", data);
  close(fd);
  STEP(rmdir(at("e")));
}

static void times(void) {
  struct stat st;
  struct timespec given[2] = {{1000000000, 5000}, {1234567890, 123456000}};
  write_file("t", "time");
  STEP(utimensat(AT_FDCWD, at("t"), given, 0));
  stat(at("t"), &st);
  printf("t was changed at %lld.%09ld\n", (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
  given[1].tv_nsec = UTIME_OMIT;
  given[0].tv_sec = 7;
  int fd = open(at("t"), O_RDWR);
  STEP(futimens(fd, given));
  fstat(fd, &st);
  printf("t was read at %lld, changed at %lld\n", (long long)st.st_atim.tv_sec, (long long)st.st_mtim.tv_sec);
  close(fd);
  STEP(unlink(at("t")));
}

static void many_entries(void) {
  char name[32];
  mkdir(at("many"), 0777);
  for (int i = 0; i < 300; i++) {
    snprintf(name, sizeof name, "many/entry-%03d", i);
    close(open(at(name), O_CREAT | O_WRONLY, 0666));
  }
  show_directory("many");
  for (int i = 0; i < 300; i++) {
    snprintf(name, sizeof name, "many/entry-%03d", i);
    unlink(at(name));
  }
  show_directory("many");
  STEP(rmdir(at("many")));
}

static void escapes(void) {
  STEP(open(at("../../../../../etc/passwd"), O_RDONLY));
  STEP(symlink("../../../../../etc/passwd", at("out")));
  STEP(open(at("out"), O_RDONLY));
  STEP(unlink(at("out")));
  STEP(open("/no/such/preopen", O_RDONLY));
}

int main(int argc, char **argv) {
  base = argc > 1 ? argv[1] : ".";
  directories();
  reading_and_writing();
  open_flags();
  links();
  renames();
  times();
  many_entries();
  escapes();
  show_directory(".");
  return 0;
}
