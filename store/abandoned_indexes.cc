#include "store/abandoned_indexes.h"

#include <cstring>
#include <filesystem>
#include <string>

#include "base/log.h"
#include "base/shm_segment.h"
#include "fbs/segment_layout.h"

namespace raylet::store {
namespace {

namespace fs = std::filesystem;

// The socket path of the dead daemon that made this index. Empty where the daemon lives, or where
// this is no index of ours.
std::string SocketOfTheDead(const std::string& segment) {
  const auto fd = OpenNamedSegmentReadOnly(segment);
  if (!fd || LockedByOwner(fd->get())) return {};
  const auto mapping = Mapping::Map(fd->get(), sizeof(IndexHeader), Mapping::Access::kReadOnly);
  if (!mapping) return {};
  const auto* header = mapping->As<const IndexHeader>();
  if (header->magic != kIndexMagic || header->layout_version != kLayoutVersion) return {};
  std::string socket(header->socket_path, ::strnlen(header->socket_path, sizeof header->socket_path));
  return IndexSegmentName(socket) == segment ? socket : std::string();
}

}  // namespace

size_t RemoveAbandonedIndexes() {
  size_t removed = 0;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/dev/shm", error)) {
    const std::string segment = entry.path().filename();
    if (!segment.starts_with(kIndexSegmentPrefix)) continue;
    const std::string socket = SocketOfTheDead(segment);
    if (socket.empty() || fs::exists(fs::path(socket).parent_path(), error) || error) continue;
    UnlinkNamedSegment(segment);
    RAYLET_LOG(kInfo, "removed the index of a killed store whose folder is gone: ", socket);
    ++removed;
  }
  return removed;
}

}  // namespace raylet::store
