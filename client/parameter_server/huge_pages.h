// Memory in huge pages, for tables that are read at random: a page of 2 MiB takes one entry of the processor's table of
// pages, where 4 KiB take as much. The kernel is asked for them; without them it is plain memory.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdlib>
#include <new>

namespace ray::ps::internal {

constexpr size_t kHugePageBytes = size_t{2} << 20;

// To be given back with std::free. Throws std::bad_alloc.
inline void* AllocateHuge(size_t bytes) {
  const bool is_large = bytes >= kHugePageBytes;
  const size_t size = is_large ? (bytes + kHugePageBytes - 1) / kHugePageBytes * kHugePageBytes : bytes;
  void* const memory = is_large ? std::aligned_alloc(kHugePageBytes, size) : std::malloc(size);
  if (memory == nullptr) throw std::bad_alloc();
  if (is_large) static_cast<void>(::madvise(memory, size, MADV_HUGEPAGE));  // refused: it is slower, and no more
  return memory;
}

template <class T>
struct HugePageAllocator {
  using value_type = T;
  HugePageAllocator() = default;
  template <class U>
  HugePageAllocator(const HugePageAllocator<U>&) {}  // NOLINT(google-explicit-constructor)
  T* allocate(size_t count) { return static_cast<T*>(AllocateHuge(count * sizeof(T))); }
  void deallocate(T* memory, size_t) { std::free(memory); }
  template <class U>
  bool operator==(const HugePageAllocator<U>&) const {
    return true;
  }
};

}  // namespace ray::ps::internal
