#include "store/spill_io.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include "base/strings.h"
#include "base/unique_fd.h"
#include "store/spill_file.h"

namespace raylet::store {
namespace {

// So many bytes are written at a time. Then their checksum is computed, while the processor's cache has them still. A
// checksum of bytes that come from memory takes half as long as their write.
constexpr size_t kStepBytes = size_t{256} << 10;
constexpr size_t kObjectsPerStep = 256;  // two pieces each: below IOV_MAX

// An object's bytes, wherever they come from.
struct Source {
  SpillRow row;  // without the checksums
  std::span<const std::byte> bytes;
};

// What to write, one after the other.
class Pieces {
 public:
  void Add(std::span<const std::byte> bytes) {
    if (!bytes.empty()) pieces_.push_back({const_cast<std::byte*>(bytes.data()), bytes.size()});
  }
  // With zeros up to where the next object begins.
  void AddLast(std::span<const std::byte> bytes) {
    static constexpr std::array<std::byte, kAlignment> kZeros{};
    Add(bytes);
    Add(std::span(kZeros).first(AlignUp(bytes.size()) - bytes.size()));
  }
  // Returns errno, or 0.
  int WriteTo(int fd, uint64_t offset) {
    auto at = static_cast<off_t>(offset);
    for (size_t first = 0; first < pieces_.size();) {
      const ssize_t wrote = ::pwritev(fd, &pieces_[first], static_cast<int>(pieces_.size() - first), at);
      if (wrote < 0 && errno == EINTR) continue;
      if (wrote <= 0) return wrote < 0 ? errno : ENOSPC;
      at += wrote;
      for (auto left = static_cast<size_t>(wrote); left > 0;) {
        iovec& piece = pieces_[first];
        const size_t done = std::min(left, piece.iov_len);
        piece.iov_base = static_cast<std::byte*>(piece.iov_base) + done;
        piece.iov_len -= done;
        left -= done;
        if (piece.iov_len == 0) ++first;
      }
    }
    return 0;
  }

 private:
  std::vector<iovec> pieces_;
};

// Each returns errno, or 0, and fills in the checksums.
int WriteLarge(int fd, Source& source) {
  RunningSpillChecksum checksum;
  for (size_t done = 0; done < source.bytes.size();) {
    const auto step = source.bytes.subspan(done, std::min(kStepBytes, source.bytes.size() - done));
    Pieces pieces;
    if (done + step.size() == source.bytes.size())
      pieces.AddLast(step);
    else
      pieces.Add(step);
    if (const int error = pieces.WriteTo(fd, source.row.offset + done); error != 0) return error;
    checksum.Add(step);
    done += step.size();
  }
  source.row.checksum = checksum.Take();
  return 0;
}

int WriteSmall(int fd, std::span<Source> sources) {
  Pieces pieces;
  for (const Source& source : sources) pieces.AddLast(source.bytes);
  if (const int error = pieces.WriteTo(fd, sources.front().row.offset); error != 0) return error;
  for (Source& source : sources) source.row.checksum = SpillChecksum(source.bytes);
  return 0;
}

int WriteBody(int fd, std::span<Source> sources) {
  while (!sources.empty()) {
    size_t count = 0;
    for (size_t bytes = 0; count < std::min(sources.size(), kObjectsPerStep) && bytes < kStepBytes; ++count) {
      if (sources[count].bytes.size() > kStepBytes) break;
      bytes += sources[count].bytes.size();
    }
    const int error = count > 0 ? WriteSmall(fd, sources.first(count)) : WriteLarge(fd, sources.front());
    if (error != 0) return error;
    sources = sources.subspan(std::max<size_t>(count, 1));
  }
  return 0;
}

// The head and the rows, which have the checksums: after all else.
int WriteTable(int fd, uint64_t file, std::span<Source> sources, uint64_t file_bytes) {
  std::vector<std::byte> table(SpillBodyOffset(sources.size()));
  SpillHead head{.rows = static_cast<uint32_t>(sources.size()), .file = file, .file_bytes = file_bytes};
  Finish(head);
  std::memcpy(table.data(), &head, sizeof head);
  for (size_t i = 0; i < sources.size(); ++i) {
    Finish(sources[i].row, file);
    std::memcpy(table.data() + SpillRowOffset(static_cast<uint32_t>(i)), &sources[i].row, sizeof(SpillRow));
  }
  Pieces pieces;
  pieces.Add(table);
  return pieces.WriteTo(fd, 0);
}

Result<uint64_t> WriteFile(const std::string& path, uint64_t file, std::span<Source> sources) {
  uint64_t end = SpillBodyOffset(sources.size());
  for (Source& source : sources) {
    source.row.offset = end;
    end += AlignUp(source.bytes.size());
  }
  // Not truncated at its beginning: the blocks and cached pages of a file that it replaces are taken over.
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  struct stat before {};
  if (!fd || ::fstat(fd.get(), &before) != 0) {
    const int error = errno;
    ::unlink(path.c_str());
    return FailErrno(StrCat("cannot make the spill file ", path), error);
  }
  int error = WriteBody(fd.get(), sources);
  if (error == 0) error = WriteTable(fd.get(), file, sources, end);
  if (error == 0 && static_cast<uint64_t>(before.st_size) > end && ::ftruncate(fd.get(), static_cast<off_t>(end)) != 0)
    error = errno;
  if (error != 0) {
    ::unlink(path.c_str());
    return FailErrno(StrCat("cannot write ", end, " bytes to the spill file ", path), error);
  }
  return end;
}

tl::unexpected<Error> Unreadable(const std::string& path, int error) {
  const bool passes = error == EMFILE || error == ENFILE || error == ENOMEM;
  return Fail(passes ? ErrorCode::kIo : ErrorCode::kNotFound,
              StrCat("cannot read the spill file ", path, ": ", std::strerror(error)));
}

// Reads all of `into`. A short file is kProtocolError.
Result<void> ReadAll(int fd, const std::string& path, uint64_t offset, std::span<std::byte> into) {
  for (size_t done = 0; done < into.size();) {
    const ssize_t got = ::pread(fd, into.data() + done, into.size() - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Unreadable(path, errno);
    if (got == 0) return Fail(ErrorCode::kProtocolError, StrCat("the spill file ", path, " is short"));
    done += static_cast<size_t>(got);
  }
  return {};
}

struct OpenFile {
  UniqueFd fd;
  SpillHead head;
};

Result<OpenFile> Open(const std::string& path, uint64_t file) {
  OpenFile open{UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC)), {}};
  struct stat status {};
  if (!open.fd || ::fstat(open.fd.get(), &status) != 0) return Unreadable(path, errno);
  std::array<std::byte, sizeof(SpillHead)> bytes{};
  RAYLET_RETURN_IF_ERROR(ReadAll(open.fd.get(), path, 0, bytes));
  const auto head = ParseSpillHead(bytes, file, static_cast<uint64_t>(status.st_size));
  if (!head) return Fail(head.error());
  open.head = *head;
  return open;
}

Result<SpillRow> ReadRow(const OpenFile& open, const std::string& path, uint32_t row) {
  if (row >= open.head.rows)
    return Fail(ErrorCode::kProtocolError, StrCat("the spill file ", path, " has no row ", row));
  std::array<std::byte, sizeof(SpillRow)> bytes{};
  RAYLET_RETURN_IF_ERROR(ReadAll(open.fd.get(), path, SpillRowOffset(row), bytes));
  return ParseSpillRow(bytes, open.head);
}

Result<void> ReadBytes(const OpenFile& open, const std::string& path, const SpillRow& row, std::span<std::byte> into) {
  RAYLET_RETURN_IF_ERROR(ReadAll(open.fd.get(), path, row.offset, into));
  if (SpillChecksum(into) == row.checksum) return {};
  return Fail(ErrorCode::kProtocolError,
              StrCat("the spill file ", path, " is rotten: its bytes have another checksum"));
}

}  // namespace

Result<uint64_t> WriteSpillFile(const std::string& path, uint64_t file, std::span<const SpillDisk::Part> parts,
                                const std::byte* arena) {
  std::vector<Source> sources;
  sources.reserve(parts.size());
  for (const SpillDisk::Part& part : parts) {
    Source& source = sources.emplace_back();
    std::memcpy(source.row.id, part.id.data(), ObjectId::kSize);
    source.row.data_bytes = part.data_bytes;
    source.row.metadata_bytes = part.metadata_bytes;
    source.bytes = {arena + part.offset, SpilledBytes(part.data_bytes, part.metadata_bytes)};
  }
  return WriteFile(path, file, sources);
}

Result<uint64_t> CopySpillFile(const std::string& from_path, uint64_t from, std::span<const uint32_t> rows,
                               const std::string& path, uint64_t file) {
  const auto open = Open(from_path, from);
  if (!open) return Fail(open.error());
  std::vector<std::vector<std::byte>> bytes;
  std::vector<Source> sources;
  bytes.reserve(rows.size());
  for (const uint32_t number : rows) {
    const auto row = ReadRow(*open, from_path, number);
    if (!row) return Fail(row.error());
    std::vector<std::byte>& object = bytes.emplace_back(SpilledBytes(row->data_bytes, row->metadata_bytes));
    RAYLET_RETURN_IF_ERROR(ReadBytes(*open, from_path, *row, object));
    sources.push_back({*row, object});
  }
  return WriteFile(path, file, sources);
}

Result<void> ReadSpilledObject(const std::string& path, const DiskPlace& place, const SpillDisk::Part& into,
                               std::byte* arena) {
  const auto open = Open(path, place.file);
  if (!open) return Fail(open.error());
  const auto row = ReadRow(*open, path, place.row);
  if (!row) return Fail(row.error());
  if (std::memcmp(row->id, into.id.data(), ObjectId::kSize) != 0 || row->data_bytes != into.data_bytes ||
      row->metadata_bytes != into.metadata_bytes)
    return Fail(ErrorCode::kProtocolError,
                StrCat("row ", place.row, " of the spill file ", path, " is of another object"));
  return ReadBytes(*open, path, *row, {arena + into.offset, SpilledBytes(into.data_bytes, into.metadata_bytes)});
}

}  // namespace raylet::store
