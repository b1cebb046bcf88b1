#include "tools/objstat/processes.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>
#include <utility>

#include "base/strings.h"
#include "fbs/segment_layout.h"

namespace raylet::objstat {
namespace {

std::string ReadAll(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace

ProcessInfo LookAtProcess(pid_t pid) {
  ProcessInfo info;
  const std::string folder = StrCat("/proc/", pid);
  // Its state stands behind the name in parentheses.
  const std::string stat = ReadAll(folder + "/stat");
  const size_t name_end = stat.rfind(") ");
  if (pid <= 0 || name_end == std::string::npos || name_end + 2 >= stat.size()) return info;
  const char state = stat[name_end + 2];
  info.alive = state != 'Z' && state != 'X';
  info.stopped = state == 'T' || state == 't';
  std::error_code error;
  info.program = std::filesystem::read_symlink(folder + "/exe", error).filename().string();
  if (constexpr std::string_view kGone = " (deleted)"; info.program.ends_with(kGone))
    info.program.resize(info.program.size() - kGone.size());
  return info;
}

Memfds MemfdsOf(pid_t pid) {
  Memfds memfds;
  const std::string folder = StrCat("/proc/", pid, "/fd");
  DIR* const open = pid > 0 ? ::opendir(folder.c_str()) : nullptr;
  if (open == nullptr) return memfds;
  while (const dirent* entry = ::readdir(open)) {
    const std::string path = folder + "/" + entry->d_name;
    char target[256];
    const ssize_t size = ::readlink(path.c_str(), target, sizeof target);
    constexpr std::string_view kPrefix = "/memfd:", kSuffix = " (deleted)";
    std::string_view name(target, size < 0 ? 0 : static_cast<size_t>(size));
    if (!name.starts_with(kPrefix)) continue;
    name.remove_prefix(kPrefix.size());
    if (name.ends_with(kSuffix)) name.remove_suffix(kSuffix.size());
    memfds.emplace(name, path);
  }
  ::closedir(open);
  return memfds;
}

std::optional<Mapping> FindPinPage(const Memfds& memfds, uint32_t client) {
  std::map<ino_t, Mapping> pages;
  const auto [first, last] = memfds.equal_range(PinPageName(client));
  for (auto it = first; it != last; ++it) {
    const UniqueFd fd(::open(it->second.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat status {};
    if (!fd || ::fstat(fd.get(), &status) < 0 || static_cast<size_t>(status.st_size) < sizeof(PinPage)) continue;
    auto mapping = Mapping::Map(fd.get(), sizeof(PinPage), Mapping::Access::kReadOnly);
    if (!mapping) continue;
    const auto* page = mapping->As<PinPage>();
    if (page->magic == kPinsMagic && page->layout_version == kLayoutVersion && page->client == client)
      pages.emplace(status.st_ino, *std::move(mapping));
  }
  if (pages.size() != 1) return std::nullopt;
  return std::move(pages.begin()->second);
}

std::optional<std::string> FindArena(const Memfds& memfds, uint64_t arena_bytes) {
  std::map<ino_t, std::string> arenas;
  const auto [first, last] = memfds.equal_range(std::string(kArenaName));
  for (auto it = first; it != last; ++it) {
    struct stat status {};
    if (::stat(it->second.c_str(), &status) == 0 && static_cast<uint64_t>(status.st_size) == arena_bytes)
      arenas.emplace(status.st_ino, it->second);
  }
  if (arenas.size() != 1) return std::nullopt;
  return std::move(arenas.begin()->second);
}

std::optional<DescriptorUse> DescriptorsOf(pid_t pid) {
  DescriptorUse use;
  std::error_code error;
  for (auto it = std::filesystem::directory_iterator(StrCat("/proc/", pid, "/fd"), error);
       !error && it != std::filesystem::directory_iterator(); it.increment(error))
    ++use.open;
  if (error) return std::nullopt;
  std::istringstream limits(ReadAll(StrCat("/proc/", pid, "/limits")));
  constexpr std::string_view kName = "Max open files";
  for (std::string line; std::getline(limits, line);) {
    if (!line.starts_with(kName)) continue;
    if (std::istringstream(line.substr(kName.size())) >> use.most) return use;
  }
  return std::nullopt;
}

}  // namespace raylet::objstat
