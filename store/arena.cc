#include "store/arena.h"

#include <jemalloc/jemalloc.h>

#include <algorithm>
#include <bit>
#include <string>

#include "base/check.h"
#include "base/shm_segment.h"
#include "base/strings.h"
#include "fbs/segment_layout.h"

namespace raylet::store {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kArenaBytesMin = uint64_t{4} << 20;  // one page run for each small size class, and more

constexpr uint64_t PageUp(uint64_t bytes) { return (bytes + kPage - 1) & ~(kPage - 1); }

int FlagsOf(unsigned arena) {
  return static_cast<int>(MALLOCX_ARENA(arena)) | MALLOCX_TCACHE_NONE | MALLOCX_ALIGN(kAlignment);
}

template <class T>
Result<void> Set(const std::string& name, T value) {
  if (const int error = mallctl(name.c_str(), nullptr, nullptr, &value, sizeof value); error != 0)
    return FailErrno(StrCat("jemalloc refuses ", name), error);
  return {};
}

template <class T>
T Get(const std::string& name) {
  T value{};
  size_t size = sizeof value;
  const int error = mallctl(name.c_str(), &value, &size, nullptr, 0);
  RAYLET_CHECK(error == 0, "jemalloc does not know ", name);
  return value;
}

// The largest size class of whole pages that is at most `bytes`.
uint64_t SizeClassBelow(uint64_t bytes) {
  if (bytes < 8 * kPage) return bytes & ~(kPage - 1);
  const uint64_t quarter = std::bit_floor(bytes) / 4;
  return bytes / quarter * quarter;
}

// The smallest size class of whole pages that is at least `bytes`.
uint64_t SizeClassAbove(uint64_t bytes) {
  const uint64_t below = SizeClassBelow(PageUp(bytes));
  if (below >= bytes) return below;
  return below < 8 * kPage ? below + kPage : below + std::bit_floor(below) / 4;
}

// jemalloc's index of large size classes counts 1, 2, 3, 4 pages, then four classes for each doubling.
uint64_t PageClassBytes(size_t index) {
  if (index < 4) return (index + 1) * kPage;
  const uint64_t group = 4 * kPage << (index - 4) / 4;
  return group + group / 4 * ((index - 4) % 4 + 1);
}

}  // namespace

// The reservation is handed over in one piece: runs that came from different pieces would never grow together again.
struct Arena::Hooks {
  extent_hooks_t table{};  // first: jemalloc hands back its address
  Arena* arena = nullptr;
  bool handed_out = false;

  static void* Alloc(extent_hooks_t* table, void* wanted_address, size_t size, size_t alignment, bool* zero,
                     bool* commit, unsigned) {
    auto* const hooks = reinterpret_cast<Hooks*>(table);
    std::byte* const base = hooks->arena->base_;
    if (hooks->handed_out || size > hooks->arena->arena_bytes_ || size + kPage < hooks->arena->arena_bytes_ || *zero ||
        (wanted_address != nullptr && wanted_address != base) || std::bit_cast<uintptr_t>(base) % alignment != 0)
      return nullptr;
    hooks->handed_out = true;
    *commit = true;
    return base;
  }
  // true means "no": the memory stays where it is.
  static bool Dalloc(extent_hooks_t*, void*, size_t, bool, unsigned) { return true; }
  static void Destroy(extent_hooks_t*, void*, size_t, bool, unsigned) {}
  static bool Commit(extent_hooks_t*, void*, size_t, size_t, size_t, unsigned) { return false; }
  static bool Refuse(extent_hooks_t*, void*, size_t, size_t, size_t, unsigned) { return true; }
  static bool Split(extent_hooks_t*, void*, size_t, size_t, size_t, bool, unsigned) { return false; }
  static bool Merge(extent_hooks_t*, void*, size_t, void*, size_t, bool, unsigned) { return false; }
};

uint64_t Arena::BytesFor(uint64_t capacity_bytes) {
  const uint64_t wanted = std::max(capacity_bytes + capacity_bytes / 4, kArenaBytesMin);
  return SizeClassAbove(wanted) + kPage;  // some builds of jemalloc pad each large run by a page
}

Result<std::unique_ptr<Arena>> Arena::Create(uint64_t capacity_bytes) {
  std::unique_ptr<Arena> arena(new Arena());
  arena->arena_bytes_ = BytesFor(capacity_bytes);
  auto fd = CreateMemfd("plasma-arena", arena->arena_bytes_, /*reserve=*/true);
  if (!fd) return Fail(fd.error());
  arena->fd_ = std::move(*fd);

  auto mapping = Mapping::Map(arena->fd_.get(), arena->arena_bytes_, Mapping::Access::kReadWrite);
  if (!mapping) return Fail(mapping.error());
  arena->mapping_ = std::move(*mapping);
  arena->base_ = arena->mapping_.data();

  RAYLET_RETURN_IF_ERROR(arena->CreateJemallocArena());
  RAYLET_RETURN_IF_ERROR(arena->TakeReservation());
  return arena;
}

Arena::~Arena() {
  if (has_jemalloc_arena_) mallctl(StrCat("arena.", jemalloc_arena_, ".destroy").c_str(), nullptr, nullptr, nullptr, 0);
}

Result<void> Arena::CreateJemallocArena() {
  size_t size = sizeof jemalloc_arena_;
  if (const int error = mallctl("arenas.create", &jemalloc_arena_, &size, nullptr, 0); error != 0)
    return FailErrno("jemalloc makes no arena", error);
  has_jemalloc_arena_ = true;
  // Only now: what jemalloc notes down about the arena stays in the daemon's own memory.
  hooks_ = std::make_unique<Hooks>();
  hooks_->arena = this;
  hooks_->table = {&Hooks::Alloc,  &Hooks::Dalloc, &Hooks::Destroy, &Hooks::Commit, &Hooks::Refuse,
                   &Hooks::Refuse, &Hooks::Refuse, &Hooks::Split,   &Hooks::Merge};
  const std::string prefix = StrCat("arena.", jemalloc_arena_);
  RAYLET_RETURN_IF_ERROR(Set<extent_hooks_t*>(prefix + ".extent_hooks", &hooks_->table));
  // No decay: a freed run joins its neighbours at once. In the cache of dirty runs it would stay apart, and small
  // requests may not be served from large runs there.
  RAYLET_RETURN_IF_ERROR(Set<ssize_t>(prefix + ".dirty_decay_ms", 0));
  RAYLET_RETURN_IF_ERROR(Set<ssize_t>(prefix + ".muzzy_decay_ms", 0));
  return {};
}

// Makes jemalloc ask for the whole reservation once and give it back, so that it is one run for ever.
Result<void> Arena::TakeReservation() {
  const int flags = FlagsOf(jemalloc_arena_);
  void* const whole = mallocx(arena_bytes_ - kPage, flags);
  if (whole == nullptr)
    return Fail(ErrorCode::kIo, StrCat("jemalloc did not take the arena of ", FormatBytes(arena_bytes_), " whole"));
  dallocx(whole, flags);
  return {};
}

std::optional<uint64_t> Arena::Allocate(uint64_t bytes) {
  if (bytes > arena_bytes_) return std::nullopt;
  void* const run = mallocx(std::max<uint64_t>(bytes, 1), FlagsOf(jemalloc_arena_));
  if (run == nullptr) return std::nullopt;
  const auto offset = static_cast<uint64_t>(static_cast<std::byte*>(run) - base_);
  const uint64_t allocated = AllocatedBytes(offset);
  RAYLET_CHECK(offset <= arena_bytes_ && allocated <= arena_bytes_ - offset, "a run at ", offset, " of ", allocated,
               " bytes lies outside the arena");
  physical_bytes_ += allocated;
  return offset;
}

void Arena::Free(uint64_t offset) {
  physical_bytes_ -= AllocatedBytes(offset);
  dallocx(base_ + offset, FlagsOf(jemalloc_arena_));
}

uint64_t Arena::AllocatedBytes(uint64_t offset) const { return sallocx(base_ + offset, 0); }

uint64_t Arena::LargestRun() const {
  uint64_t epoch = 1;
  size_t size = sizeof epoch;
  mallctl("epoch", &epoch, &size, &epoch, size);  // refreshes the statistics
  const std::string prefix = StrCat("stats.arenas.", jemalloc_arena_, ".extents.");
  uint64_t largest = 0;
  // A run is counted under the class above it, since a page of it may go into padding.
  for (size_t i = 1; PageClassBytes(i - 1) <= arena_bytes_; ++i)
    if (Get<size_t>(StrCat(prefix, i, ".nretained")) > 0) largest = PageClassBytes(i - 1);
  return largest;
}

}  // namespace raylet::store
