// Small blocks: memory that a thread has freed, kept for its next values and list nodes. A list of 10,000 references
// has as many nodes, and malloc keeps seven freed blocks of a size at hand; each further one costs locked operations.
// Any block may be freed on another thread, and by ::operator delete.
#pragma once

#include <ray/internal/abi.h>

#include <cstddef>
#include <new>

#include <ray/internal/export.h>

namespace ray {
namespace internal {

// `bytes` as they were taken. Larger blocks than kSmallBlockBytesMax come from ::operator new, and go back there.
constexpr size_t kSmallBlockBytesMax = 128;
RAYLET_API void* TakeBlock(size_t bytes);
RAYLET_API void GiveBlock(void* block, size_t bytes) noexcept;

// For std::allocate_shared and the like.
template <class T>
class BlockAllocator {
 public:
  using value_type = T;
  BlockAllocator() = default;
  template <class U>
  BlockAllocator(const BlockAllocator<U>&) noexcept {}  // NOLINT(google-explicit-constructor)
  T* allocate(size_t count) {
    if constexpr (kAligned) {
      return static_cast<T*>(TakeBlock(count * sizeof(T)));
    } else {
      return static_cast<T*>(::operator new(count * sizeof(T), std::align_val_t(alignof(T))));
    }
  }
  void deallocate(T* block, size_t count) noexcept {
    if constexpr (kAligned)
      GiveBlock(block, count * sizeof(T));
    else
      ::operator delete(block, count * sizeof(T), std::align_val_t(alignof(T)));
  }
  template <class U>
  friend bool operator==(const BlockAllocator&, const BlockAllocator<U>&) {
    return true;
  }

 private:
  static constexpr bool kAligned = alignof(T) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__;  // any block is
};

}  // namespace internal
}  // namespace ray
