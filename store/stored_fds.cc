#include "store/stored_fds.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "base/shm_segment.h"
#include "base/strings.h"
#include "fbs/segment_layout.h"
#include "store/service_manager.h"

namespace raylet::store {
namespace {

constexpr int kFirstFd = 3;
constexpr uint32_t kFdsMost = 1 << 20;
constexpr std::string_view kPinsPrefix = "plasma-pins-", kSocketPrefix = "plasma-socket-";

std::optional<uint32_t> NumberIn(std::string_view text) {
  uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}
std::optional<uint32_t> NumberAfter(std::string_view prefix, std::string_view name) {
  return name.starts_with(prefix) ? NumberIn(name.substr(prefix.size())) : std::nullopt;
}

void Put(Kept& kept, std::string_view name, UniqueFd fd) {
  if (name == kListeningName) {
    kept.listening = std::move(fd);
  } else if (name == kStoredArenaName) {
    kept.arena = std::move(fd);
  } else if (name == kStoredIndexName) {
    kept.index = std::move(fd);
  } else if (const auto of_pins = NumberAfter(kPinsPrefix, name)) {
    kept.clients[*of_pins].pins = std::move(fd);
  } else if (const auto of_socket = NumberAfter(kSocketPrefix, name)) {
    kept.clients[*of_socket].socket = std::move(fd);
  }
}

struct MappedIndex {
  Mapping mapping;
  const IndexHeader* header = nullptr;
};

Result<MappedIndex> MapIndex(const Kept& kept) {
  const auto bytes = FileSize(kept.index.get());
  if (!bytes) return Fail(bytes.error());
  auto mapping = Mapping::Map(kept.index.get(), *bytes, Mapping::Access::kReadOnly);
  if (!mapping) return Fail(mapping.error());
  const auto header = CheckIndexSegment(mapping->data(), mapping->size());
  if (!header) return Fail(header.error());
  return MappedIndex{*std::move(mapping), *header};
}

// Of the socket, where one is there. A strict store's lets others in.
std::optional<mode_t> ModeOf(const std::string& socket_path) {
  struct stat status {};
  if (::stat(socket_path.c_str(), &status) != 0 || !S_ISSOCK(status.st_mode)) return std::nullopt;
  return status.st_mode;
}

}  // namespace

std::string PinsName(uint32_t client) { return StrCat(kPinsPrefix, client); }
std::string SocketName(uint32_t client) { return StrCat(kSocketPrefix, client); }

Kept TakeStoredFds() {
  Kept kept;
  const auto pid = NumberIn(TakeVariable("LISTEN_PID")), count = NumberIn(TakeVariable("LISTEN_FDS"));
  const std::string names = TakeVariable("LISTEN_FDNAMES");
  if (!pid || *pid != static_cast<uint32_t>(::getpid()) || !count || *count > kFdsMost) return kept;
  std::string_view left = names;
  for (int fd = kFirstFd; fd < kFirstFd + static_cast<int>(*count); ++fd) {
    const std::string_view name = left.substr(0, left.find(':'));
    left.remove_prefix(std::min(left.size(), name.size() + 1));
    if (::fcntl(fd, F_SETFD, FD_CLOEXEC) == 0) Put(kept, name, UniqueFd(fd));
  }
  std::erase_if(kept.clients, [](const auto& client) { return !client.second.pins || !client.second.socket; });
  return kept;
}

bool IsWhole(const Kept& kept) { return kept.listening && kept.arena && kept.index; }

Result<uint64_t> CapacityOf(const Kept& kept, const std::string& socket_path) {
  const auto index = MapIndex(kept);
  if (!index) return Fail(index.error());
  const IndexHeader& header = *index->header;
  const std::string_view path(header.socket_path, ::strnlen(header.socket_path, sizeof header.socket_path));
  if (path != socket_path)
    return Fail(ErrorCode::kInvalid, StrCat("they are of the store at ", path, ", and this one serves ", socket_path));
  const auto arena_bytes = FileSize(kept.arena.get());
  if (!arena_bytes || *arena_bytes < header.arena_bytes)
    return Fail(ErrorCode::kProtocolError, "its arena is shorter than its index says");
  if (!ModeOf(socket_path))
    return Fail(ErrorCode::kInvalid, StrCat("the socket at ", socket_path, " has been removed"));
  return header.capacity_bytes;
}

Result<void> CheckFlags(const Kept& kept, const std::string& socket_path, bool strict,
                        const std::string& spill_folder) {
  const auto index = MapIndex(kept);
  if (!index) return Fail(index.error());
  const auto refused = [&](auto... why) {
    return Fail(ErrorCode::kInvalid, StrCat("the service manager has the objects of the store at ", socket_path, ", ",
                                            why..., ", or stop the service, which drops the objects"));
  };
  const auto mode = ModeOf(socket_path);
  if (const bool was_strict = mode && (*mode & S_IWOTH) != 0; was_strict != strict)
    return refused("which ran with --isolation=", was_strict ? "strict" : "user",
                   ", and its clients have their access already: say the same");
  const uint64_t spilled = index->header->counters.spilled_count.load(std::memory_order_relaxed);
  if (spilled == 0) return {};
  if (spill_folder.empty()) return refused("and ", spilled, " of them are on disk: say the same --spill-dir or -e");
  if (::access(spill_folder.c_str(), F_OK) != 0)
    return refused("and ", spilled, " of them are on disk, but not in ", spill_folder,
                   ", which does not exist: say the same --spill-dir or -e");
  return {};
}

}  // namespace raylet::store
