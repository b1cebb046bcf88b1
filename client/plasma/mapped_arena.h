// MappedArena: the store's memory in this process. Two mappings, each made at its first use: one
// that can only be read, behind every view, and one that can be written, for creators. Both are of
// one memfd. With --isolation=strict the second is this client's own memory, which the daemon copies
// at each seal. Shared by a StoreSession and its writers; any thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/mutex.h"
#include "base/result.h"
#include "base/shm_segment.h"
#include "base/unique_fd.h"

namespace raylet::client {

class MappedArena {
 public:
  // `read_only` can only be mapped for reading; `bytes` is the arena's size. In `writing` it begins at
  // `writing_offset`.
  static Result<std::shared_ptr<MappedArena>> Open(UniqueFd read_only, UniqueFd writing, uint64_t writing_offset,
                                                   uint64_t bytes);

  uint64_t bytes() const { return bytes_; }
  // The start of the mapping. No system call but the first time.
  Result<const std::byte*> ForReading() {
    const std::byte* const base = reading_base_.load(std::memory_order_acquire);  // with the release in Map
    if (base != nullptr) [[likely]]
      return base;
    return MapForReading();
  }
  Result<std::byte*> ForWriting();
  // The memory of writers becomes a private copy, page by page at the next write. So a program that still writes into
  // an object that was aborted changes no other object.
  void EndWriting();

  // True when an object of these sizes at `offset` lies inside, aligned as it must be.
  bool Holds(uint64_t offset, uint64_t data_bytes, uint64_t metadata_bytes) const;

 private:
  MappedArena(UniqueFd read_only, UniqueFd writing, uint64_t writing_offset, uint64_t bytes)
      : read_only_(std::move(read_only)),
        writing_fd_(std::move(writing)),
        writing_offset_(writing_offset),
        bytes_(bytes) {}
  Result<const std::byte*> MapForReading();

  const UniqueFd read_only_;
  const UniqueFd writing_fd_;
  const uint64_t writing_offset_;
  const uint64_t bytes_;
  std::atomic<const std::byte*> reading_base_{nullptr};  // publishes reading_
  Mutex mutex_;
  Mapping reading_ RAYLET_GUARDED_BY(mutex_);
  Mapping writing_ RAYLET_GUARDED_BY(mutex_);
};

}  // namespace raylet::client
