#include "base/available_memory.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>
#include <string_view>

#include "base/shm_segment.h"

namespace raylet {
namespace {

constexpr uint64_t kUnlimited = std::numeric_limits<uint64_t>::max();

std::optional<std::string> ReadText(const std::string& path) {
  std::ifstream file(path);
  if (!file) return std::nullopt;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// The number at the start of `text`, after any blanks. Returns nothing for "max" and other texts.
std::optional<uint64_t> ParseNumber(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end == text.data()) return std::nullopt;
  return value;
}

// The number behind `key` in a file of lines "key 123".
std::optional<uint64_t> ReadKeyed(const std::string& path, std::string_view key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.size() > key.size() && line.compare(0, key.size(), key) == 0 && (line[key.size()] == ' ')) {
      return ParseNumber(std::string_view(line).substr(key.size()));
    }
  }
  return std::nullopt;
}

struct CgroupFiles {
  const char* limit;
  const char* usage;
  const char* reclaimable;  // key in memory.stat
};
constexpr CgroupFiles kV2 = {"/memory.max", "/memory.current", "inactive_file"};
constexpr CgroupFiles kV1 = {"/memory.limit_in_bytes", "/memory.usage_in_bytes", "total_inactive_file"};

uint64_t LeftInFolder(const std::string& folder, const CgroupFiles& files) {
  const auto limit_text = ReadText(folder + files.limit);
  const auto usage_text = ReadText(folder + files.usage);
  const auto limit = limit_text ? ParseNumber(*limit_text) : std::nullopt;
  const auto usage = usage_text ? ParseNumber(*usage_text) : std::nullopt;
  if (!limit || !usage) return kUnlimited;
  const uint64_t reclaimable = ReadKeyed(folder + "/memory.stat", files.reclaimable).value_or(0);
  const uint64_t used = *usage - std::min(*usage, reclaimable);
  return *limit > used ? *limit - used : 0;
}

// The least that `group` and every group above it leave.
// Inside a container the group's path may not exist below the mount. Its root is then the
// container's own group.
uint64_t LeftInGroup(const std::string& mount, std::string group, const CgroupFiles& files) {
  uint64_t left = LeftInFolder(mount, files);
  while (group.size() > 1) {
    left = std::min(left, LeftInFolder(mount + group, files));
    group.resize(group.rfind('/'));
  }
  return left;
}

bool HasController(std::string_view controllers, std::string_view wanted) {
  while (!controllers.empty()) {
    const size_t comma = std::min(controllers.find(','), controllers.size());
    if (controllers.substr(0, comma) == wanted) return true;
    controllers.remove_prefix(std::min(comma + 1, controllers.size()));
  }
  return false;
}

}  // namespace

size_t AvailableMemoryBytesBelow(const std::string& root) {
  uint64_t left = kUnlimited;
  if (const auto available_kib = ReadKeyed(root + "/proc/meminfo", "MemAvailable:")) left = *available_kib * 1024;

  // Each line is "hierarchy:controllers:/group". v2 has hierarchy 0 and no controllers.
  std::ifstream groups(root + "/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos || second + 1 >= line.size() || line[second + 1] != '/') continue;
    const std::string_view controllers = std::string_view(line).substr(first + 1, second - first - 1);
    const std::string group = line.substr(second + 1);
    if (controllers.empty()) {
      left = std::min(left, LeftInGroup(root + "/sys/fs/cgroup", group, kV2));
    } else if (HasController(controllers, "memory")) {
      left = std::min(left, LeftInGroup(root + "/sys/fs/cgroup/memory", group, kV1));
    }
  }
  return left;
}

size_t AvailableMemoryBytes() { return AvailableMemoryBytesBelow(""); }

}  // namespace raylet
