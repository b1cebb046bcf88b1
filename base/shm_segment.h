// Shared memory: a memfd or a named file in /dev/shm, and mappings of it.
// Always holds: each object owns what it holds; its destructor only unmaps and closes. Only
// Unlink() unlinks a named segment; no destructor does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace raylet {

// One mapping, as Boost.Interprocess's mapped_region. This one never throws and never maps past the
// file's end. A child of fork() inherits it only where it cannot be written.
class Mapping {
 public:
  enum class Access { kReadOnly, kReadWrite };

  Mapping() = default;
  // Maps `size` bytes of fd, from `offset` on, which is a multiple of a page.
  static Result<Mapping> Map(int fd, size_t size, Access access, size_t offset = 0);
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&& other) noexcept;
  ~Mapping();

  std::byte* data() const { return data_; }
  size_t size() const { return size_; }
  explicit operator bool() const { return data_ != nullptr; }
  template <class T>
  T* As() const {
    return reinterpret_cast<T*>(data_);
  }

 private:
  static constexpr uint64_t kInherited = ~uint64_t{0};
  Mapping(std::byte* data, size_t size, size_t mapped_bytes, uint64_t generation)
      : data_(data), size_(size), mapped_bytes_(mapped_bytes), generation_(generation) {}
  void Unmap();

  std::byte* data_ = nullptr;
  size_t size_ = 0;
  size_t mapped_bytes_ = 0;           // whole pages, which may be huge ones
  uint64_t generation_ = kInherited;  // the ForkGeneration that maps it: in a child something else may lie there
};

// A memfd of `size` zero bytes, mode 0600, sealed against shrinking and growing. `reserve` takes all its pages
// now (fallocate). A full machine is then an error here (kFull, with the numbers) and never a
// SIGBUS later.
Result<UniqueFd> CreateMemfd(const std::string& name, size_t size, bool reserve);

// The same memory through a descriptor that maps for reading only (reopened through /proc/self/fd).
Result<UniqueFd> ReopenReadOnly(int fd);

// Size of the file behind fd.
Result<size_t> FileSize(int fd);

// Bytes of memory that the kernel can still give us: the smaller of MemAvailable and what the
// cgroup leaves.
size_t AvailableMemoryBytes();

// A named segment in /dev/shm, mode 0600. Create replaces nothing: an existing name is
// kAlreadyExists. The creator holds an exclusive flock on the descriptor while it lives, and the
// kernel drops that lock however the creator dies. So LockedByOwner tells a live segment from an
// abandoned one.
Result<UniqueFd> CreateNamedSegment(const std::string& name, size_t size);
Result<UniqueFd> OpenNamedSegmentReadOnly(const std::string& name);
void UnlinkNamedSegment(const std::string& name);
bool LockedByOwner(int fd);  // true while the creator of the segment lives

}  // namespace raylet
