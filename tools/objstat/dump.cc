#include "tools/objstat/dump.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <vector>

#include "base/strings.h"

namespace raylet::objstat {
namespace {

constexpr size_t kPieceBytes = size_t{1} << 20;
constexpr int kReadsMax = 100;  // an object may move, and then it is read where it lies now

Result<void> ReadAt(int fd, uint64_t offset, std::span<char> out) {
  while (!out.empty()) {
    const ssize_t got = ::pread(fd, out.data(), out.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return FailErrno("cannot read the store's memory", errno);
    if (got == 0) return Fail(ErrorCode::kIo, StrCat("the store's memory ends at ", offset));
    offset += static_cast<uint64_t>(got);
    out = out.subspan(static_cast<size_t>(got));
  }
  return {};
}

}  // namespace

Result<void> Dump(const OpenIndex& open, const Snapshot& snapshot, const Object& object, Part part,
                  const std::function<Result<void>(std::span<const char>)>& write) {
  const std::string name = StrCat("object ", object.id.hex());
  if (object.place == Place::kUnsealed)
    return Fail(ErrorCode::kWrongState, StrCat(name, " is not sealed: its bytes are still being written"));
  if (object.place == Place::kSpilled)
    return Fail(ErrorCode::kWrongState, StrCat(name, object.lost ? " is lost: its bytes on disk cannot be read any more"
                                                                 : " is on disk: get it, and the store reads it back"));
  if (!snapshot.arena_path)
    return Fail(ErrorCode::kUnavailable,
                StrCat("no process that has the memory of ", snapshot.socket_path,
                       " lets this one read it: run objstat as the store's user, while the store or a client lives"));
  const UniqueFd arena(::open(snapshot.arena_path->c_str(), O_RDONLY | O_CLOEXEC));
  if (!arena) return FailErrno(StrCat("cannot open the store's memory, ", *snapshot.arena_path), errno);
  const uint64_t bytes = part == Part::kData ? object.data_bytes : object.metadata_bytes;
  std::vector<char> piece;
  int tries = 0;
  for (uint64_t at = 0; at < bytes;) {
    const auto before = open.index.Read(object.entry);
    const bool same = before && before->id == object.id && before->created_ms == object.created_ms &&
                      before->data_bytes == object.data_bytes && before->metadata_bytes == object.metadata_bytes &&
                      before->state() != EntryState::kUnsealed && !IsOnDisk(before->offset);
    if (!same || ++tries > kReadsMax) return Fail(ErrorCode::kNotFound, StrCat(name, " went while it was read"));
    piece.resize(std::min<uint64_t>(bytes - at, kPieceBytes));
    const uint64_t start = part == Part::kData ? before->offset : MetadataOffset(before->offset, before->data_bytes);
    RAYLET_RETURN_IF_ERROR(ReadAt(arena.get(), start + at, piece));
    // The daemon changes the word before it gives the memory to another object.
    std::atomic_thread_fence(std::memory_order_acquire);
    const auto after = open.index.Read(object.entry);
    if (!after || after->word != before->word) continue;
    RAYLET_RETURN_IF_ERROR(write(piece));
    at += piece.size();
    tries = 0;
  }
  return {};
}

}  // namespace raylet::objstat
