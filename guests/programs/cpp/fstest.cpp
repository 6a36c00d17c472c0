// A walk through std::filesystem and fstream: `fstest DIR` prints one line per step and cleans up after itself.
// Prints nothing that differs between hosts, so that its output under two runtimes can be compared byte by byte.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace fs = std::filesystem;

static void show(const char *step, const std::error_code &error, long long value = 0) {
  if (error)
    std::printf("%s: error %d\n", step, error.value());
  else
    std::printf("%s: %lld\n", step, value);
}

static void write_file(const fs::path &path, const std::string &text) {
  std::ofstream file(path);
  file << text;
}

static std::string read_file(const fs::path &path) {
  std::ifstream file(path);
  std::string line, text;
  while (std::getline(file, line)) text += line + "|";
  return text;
}

static void files(const fs::path &dir) {
  std::error_code error;
  write_file(dir / "a", "first line\nsecond line\n");
  std::printf("read: %s\n", read_file(dir / "a").c_str());
  show("file_size", error, (long long)fs::file_size(dir / "a", error));
  show("copy_file", error, fs::copy_file(dir / "a", dir / "b", error));
  show("copy_file again", error, fs::copy_file(dir / "a", dir / "b", error));
  show("overwrite", error, fs::copy_file(dir / "a", dir / "b", fs::copy_options::overwrite_existing, error));
  fs::resize_file(dir / "b", 5, error);
  show("resize_file", error);
  std::printf("read: %s\n", read_file(dir / "b").c_str());
  std::fstream both(dir / "a", std::ios::in | std::ios::out);
  both.seekp(6);
  both << "LINE";
  both.seekg(0);
  std::string word;
  both >> word;
  std::printf("fstream: %s %lld\n", word.c_str(), (long long)both.tellg());
  both.close();
  std::printf("read: %s\n", read_file(dir / "a").c_str());
}

static void names(const fs::path &dir) {
  std::error_code error;
  show("create_directories", error, fs::create_directories(dir / "x/y/z", error));
  show("create_directories again", error, fs::create_directories(dir / "x/y/z", error));
  fs::rename(dir / "b", dir / "x/b", error);
  show("rename", error);
  fs::rename(dir / "b", dir / "x/b", error);
  show("rename missing", error);
  fs::create_hard_link(dir / "a", dir / "x/y/hard", error);
  show("create_hard_link", error);
  show("hard_link_count", error, (long long)fs::hard_link_count(dir / "a", error));
  show("equivalent", error, fs::equivalent(dir / "a", dir / "x/y/hard", error));
  fs::create_symlink("a", dir / "soft", error);
  show("create_symlink", error);
  std::printf("read_symlink: %s\n", fs::read_symlink(dir / "soft", error).c_str());
  show("is_symlink", error, fs::is_symlink(dir / "soft", error));
  show("exists", error, fs::exists(dir / "soft", error));
  show("exists none", error, fs::exists(dir / "none", error));
  show("is_empty", error, fs::is_empty(dir / "x", error));
  show("remove full", error, fs::remove(dir / "x", error));
}

static void walk(const fs::path &dir) {
  std::error_code error;
  std::vector<std::string> lines;
  for (const auto &entry : fs::recursive_directory_iterator(dir, error))
    lines.push_back(entry.path().lexically_relative(dir).string() + (entry.is_directory() ? "/" : ""));
  std::sort(lines.begin(), lines.end());
  for (const auto &line : lines) std::printf("  %s\n", line.c_str());
  show("walk", error, (long long)lines.size());
}

int main(int argc, char **argv) {
  std::error_code error;
  fs::path dir = fs::path(argc > 1 ? argv[1] : ".") / "cpp-fstest";
  show("create_directory", error, fs::create_directory(dir, error));
  files(dir);
  names(dir);
  walk(dir);
  show("remove_all", error, (long long)fs::remove_all(dir, error));
  show("exists", error, fs::exists(dir, error));
}
