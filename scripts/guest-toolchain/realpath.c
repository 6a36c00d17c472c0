// realpath(3) for Debian's wasi-libc of 2022, which lacks it while Rust's std needs it.
// Resolves one component at a time with readlink; symlink targets are pushed back onto what is left to do.
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINKS_MAX = 40 };

struct walk {
  char todo[PATH_MAX];
  char done[PATH_MAX];
  int links;
};

static int give_up(int code) {
  errno = code;
  return -1;
}

// Puts a link's target in front of what is left to do; base_len is where the link's own name began.
static int follow(struct walk *w, const char *target, size_t target_len, size_t base_len) {
  char next[PATH_MAX];
  size_t rest_len = strlen(w->todo);
  if (++w->links > LINKS_MAX) return give_up(ELOOP);
  if (target_len + rest_len + 1 > sizeof next) return give_up(ENAMETOOLONG);
  memcpy(next, target, target_len);
  memcpy(next + target_len, w->todo, rest_len + 1); // empty, or begins with a slash
  memcpy(w->todo, next, target_len + rest_len + 1);
  w->done[target[0] == '/' ? 0 : base_len] = 0;
  return 0;
}

static int step(struct walk *w) {
  char target[PATH_MAX], name[PATH_MAX];
  size_t skip = strspn(w->todo, "/"), len = strcspn(w->todo + skip, "/"), base_len = strlen(w->done);
  memcpy(name, w->todo + skip, len);
  name[len] = 0;
  memmove(w->todo, w->todo + skip + len, strlen(w->todo + skip + len) + 1);
  if (len == 0 || strcmp(name, ".") == 0) return 0;
  if (strcmp(name, "..") == 0) {
    char *slash = strrchr(w->done, '/');
    if (slash) *slash = 0;
    return 0;
  }
  if (base_len + len + 2 > sizeof w->done) return give_up(ENAMETOOLONG);
  w->done[base_len] = '/';
  memcpy(w->done + base_len + 1, name, len + 1);
  ssize_t target_len = readlink(w->done, target, sizeof target - 1);
  if (target_len > 0) return follow(w, target, target_len, base_len);
  // EINVAL: not a link. ENOTCAPABLE, EPERM: a directory above the preopens, which cannot be read but exists.
  if (errno != EINVAL && errno != ENOTCAPABLE && errno != EPERM) return -1;
  struct stat st;
  if (w->todo[0] && lstat(w->done, &st) == 0 && !S_ISDIR(st.st_mode)) return give_up(ENOTDIR);
  return 0;
}

char *realpath(const char *restrict path, char *restrict resolved) {
  struct walk w = {.links = 0};
  if (!path) return give_up(EINVAL), NULL;
  if (!*path) return give_up(ENOENT), NULL;
  if (strlen(path) >= sizeof w.todo) return give_up(ENAMETOOLONG), NULL;
  strcpy(w.todo, path);
  if (*path != '/' && !getcwd(w.done, sizeof w.done)) return NULL;
  if (strcmp(w.done, "/") == 0) w.done[0] = 0;
  while (w.todo[0])
    if (step(&w) < 0) return NULL;
  if (!w.done[0]) strcpy(w.done, "/");
  return resolved ? strcpy(resolved, w.done) : strdup(w.done);
}
