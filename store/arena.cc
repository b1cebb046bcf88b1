#include "store/arena.h"

#include <fcntl.h>
#include <jemalloc/jemalloc.h>
#include <sys/mman.h>

#include <algorithm>
#include <string>

#include "base/check.h"
#include "base/strings.h"
#include "fbs/segment_layout.h"

namespace raylet::store {
namespace {

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

}  // namespace

// jemalloc asks for the pages of one slab at a time and gives them back as soon as the slab is
// empty.
struct Arena::Hooks {
  extent_hooks_t table{};  // first: jemalloc hands back its address
  Arena* arena = nullptr;

  static Arena& Of(extent_hooks_t* table) { return *reinterpret_cast<Hooks*>(table)->arena; }
  static void* Alloc(extent_hooks_t* table, void* wanted_address, size_t size, size_t alignment, bool* zero,
                     bool* commit, unsigned) {
    // jemalloc first asks for megabytes to cut slabs from. When it does not get them, it asks for
    // one slab.
    if (wanted_address != nullptr || size > kSlabBytesMax || alignment > kPageBytes || *zero) return nullptr;
    const auto offset = Of(table).TakePages(size);
    if (!offset) return nullptr;
    *commit = true;
    return Of(table).base_ + *offset;
  }
  // Here and below, false means "done".
  static bool Dalloc(extent_hooks_t* table, void* address, size_t size, bool, unsigned) {
    Of(table).GivePages(static_cast<uint64_t>(static_cast<std::byte*>(address) - Of(table).base_), size);
    return false;
  }
  static void Destroy(extent_hooks_t* table, void* address, size_t size, bool committed, unsigned arena_index) {
    Dalloc(table, address, size, committed, arena_index);
  }
  static bool Commit(extent_hooks_t*, void*, size_t, size_t, size_t, unsigned) { return false; }
  static bool Refuse(extent_hooks_t*, void*, size_t, size_t, size_t, unsigned) { return true; }
  static bool Split(extent_hooks_t*, void*, size_t, size_t, size_t, bool, unsigned) { return false; }
  static bool Merge(extent_hooks_t*, void*, size_t, void*, size_t, bool, unsigned) { return false; }
};

uint64_t Arena::BytesFor(uint64_t capacity_bytes) {
  // Slabs round up to classes at most a quarter apart. Objects outside slabs round up to pages,
  // which costs less. Aligning data and metadata costs up to 63 bytes each, whatever the object's
  // size. Beside the quarter, that is 2 % of one object for each 4 KiB, or 4 MiB for the 32768
  // objects of a small store. The last slab may be partly used.
  return PageUp(capacity_bytes + capacity_bytes / 4 + std::max(capacity_bytes / 50, uint64_t{4} << 20) + kSlabBytesMax);
}

Result<UniqueFd> Arena::CreateMemory(uint64_t capacity_bytes) {
  return CreateMemfd(kArenaName, BytesFor(capacity_bytes), /*reserve=*/true);
}

Result<std::unique_ptr<Arena>> Arena::Create(uint64_t capacity_bytes) {
  auto memory = CreateMemory(capacity_bytes);
  if (!memory) return Fail(memory.error());
  return Open(*std::move(memory), capacity_bytes);
}

Result<std::unique_ptr<Arena>> Arena::Open(UniqueFd memory, uint64_t capacity_bytes) {
  std::unique_ptr<Arena> arena(new Arena());
  arena->arena_bytes_ = BytesFor(capacity_bytes);
  arena->fd_ = std::move(memory);
  auto mapping = Mapping::Map(arena->fd_.get(), arena->arena_bytes_, Mapping::Access::kReadWrite);
  if (!mapping) return Fail(mapping.error());
  arena->mapping_ = std::move(*mapping);
  arena->base_ = arena->mapping_.data();
  arena->runs_.emplace(arena->arena_bytes_);
  arena->map_.emplace(arena->arena_bytes_);
  RAYLET_RETURN_IF_ERROR(arena->CreateJemallocArena());
  return arena;
}

Arena::~Arena() {
  map_.reset();  // jemalloc gives slabs back that still have objects
  if (has_jemalloc_arena_) mallctl(StrCat("arena.", jemalloc_arena_, ".destroy").c_str(), nullptr, nullptr, nullptr, 0);
}

Result<void> Arena::CreateJemallocArena() {
  size_t size = sizeof jemalloc_arena_;
  if (const int error = mallctl("arenas.create", &jemalloc_arena_, &size, nullptr, 0); error != 0)
    return FailErrno("jemalloc makes no arena", error);
  has_jemalloc_arena_ = true;
  // Created only here, so that jemalloc's own notes about the arena stay in the daemon's own
  // memory.
  hooks_ = std::make_unique<Hooks>();
  hooks_->arena = this;
  hooks_->table = {&Hooks::Alloc,  &Hooks::Dalloc, &Hooks::Destroy, &Hooks::Commit, &Hooks::Refuse,
                   &Hooks::Refuse, &Hooks::Refuse, &Hooks::Split,   &Hooks::Merge};
  const std::string prefix = StrCat("arena.", jemalloc_arena_);
  RAYLET_RETURN_IF_ERROR(Set<extent_hooks_t*>(prefix + ".extent_hooks", &hooks_->table));
  // No decay: the pages of an empty slab are ours again at once.
  RAYLET_RETURN_IF_ERROR(Set<ssize_t>(prefix + ".dirty_decay_ms", 0));
  RAYLET_RETURN_IF_ERROR(Set<ssize_t>(prefix + ".muzzy_decay_ms", 0));

  const auto bins = Get<unsigned>("arenas.nbins");
  for (unsigned bin = 0; bin < bins; ++bin) {
    const std::string name = StrCat("arenas.bin.", bin);
    RAYLET_CHECK(Get<size_t>(name + ".slab_size") <= kSlabBytesMax, "a slab of this jemalloc is larger than ",
                 kSlabBytesMax, " bytes");
    slab_object_bytes_max_ = std::max<uint64_t>(slab_object_bytes_max_, Get<size_t>(name + ".size"));
  }
  return {};
}

std::optional<uint64_t> Arena::Allocate(uint64_t bytes) {
  if (bytes > arena_bytes_) return std::nullopt;
  if (bytes <= slab_object_bytes_max_) {
    if (const auto gap = recovered_.Take(bytes)) {
      physical_bytes_ += recovered_.BytesAt(*gap);
      return gap;
    }
    if (void* const run = mallocx(std::max<uint64_t>(bytes, 1), FlagsOf(jemalloc_arena_))) {
      const auto offset = static_cast<uint64_t>(static_cast<std::byte*>(run) - base_);
      const uint64_t allocated = AllocatedBytes(offset);
      RAYLET_CHECK(offset <= arena_bytes_ && allocated <= arena_bytes_ - offset, "a run at ", offset, " of ", allocated,
                   " bytes lies outside the arena");
      physical_bytes_ += allocated;
      return offset;
    }
    // No room for another slab. The object's own pages may still fit.
  }
  const uint64_t pages = PageUp(std::max<uint64_t>(bytes, 1));
  const auto offset = TakePages(pages);
  if (!offset) return std::nullopt;
  paged_[*offset] = pages;
  physical_bytes_ += pages;
  return offset;
}

std::optional<uint64_t> Arena::TakePages(uint64_t bytes) {
  auto offset = runs_->Take(bytes);
  while (!offset && ReserveIdle(bytes)) offset = runs_->Take(bytes);
  if (!offset && MoveLentToEnd()) offset = runs_->Take(bytes);
  if (!offset) return std::nullopt;
  map_->Took(*offset, bytes);
  if (idle_) idle_->Used(*offset, bytes);
  if (toucher_ != nullptr) toucher_->UsedUntil(*offset + bytes);
  return offset;
}

void Arena::GivePages(uint64_t offset, uint64_t bytes) {
  if (map_) map_->Gave(offset, bytes);
  if (idle_) idle_->Used(offset, bytes);
  runs_->Give(offset, bytes);
}

void Arena::PunchOut(const PageRuns::Run& run) {
  if (toucher_ != nullptr) toucher_->StayBelow(run.offset);
  const int done = ::fallocate(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(run.offset),
                               static_cast<off_t>(run.bytes));
  RAYLET_CHECK(done == 0, "the kernel does not take back ", run.bytes, " bytes of the arena at ", run.offset);
}

void Arena::GiveBackIdle() {
  if (!idle_) return;
  for (const PageRuns::Run& run : idle_->GiveBack(runs_->runs())) {
    RAYLET_CHECK(runs_->TakeAt(run.offset, run.bytes), "the idle pages at ", run.offset, " are not free");
    PunchOut(run);
  }
}

// True where another run is free now. A machine that is full keeps what it was given.
bool Arena::ReserveIdle(uint64_t bytes) {
  const auto piece = idle_ ? idle_->TakeFor(bytes) : std::nullopt;
  if (!piece) return false;
  // Past a cgroup's limit the kernel would kill the process instead of returning an error.
  if (piece->bytes > AvailableMemoryBytes() ||
      ::fallocate(fd_.get(), 0, static_cast<off_t>(piece->offset), static_cast<off_t>(piece->bytes)) != 0) {
    idle_->Failed(*piece);
    return false;
  }
  runs_->Give(piece->offset, piece->bytes);
  return true;
}

void Arena::Release(const PageRuns::Run& run) {
  PunchOut(run);
  lent_[run.offset] = run.bytes;
  lent_bytes_ += run.bytes;
}

bool Arena::Reserve(const PageRuns::Run& run) {
  if (::fallocate(fd_.get(), 0, static_cast<off_t>(run.offset), static_cast<off_t>(run.bytes)) != 0) return false;
  lent_.erase(run.offset);
  lent_bytes_ -= run.bytes;
  runs_->Give(run.offset, run.bytes);
  return true;
}

std::vector<PageRuns::Run> Arena::Lend(uint64_t bytes) {
  while (runs_->free_bytes() < bytes)
    if (!ReserveIdle(bytes)) return {};
  std::vector<PageRuns::Run> lent;
  for (uint64_t left = bytes; left > 0; left -= lent.back().bytes) lent.push_back(*runs_->TakeLast(left));
  for (const PageRuns::Run& run : lent) Release(run);
  return lent;
}

void Arena::TakeBack(const std::vector<PageRuns::Run>& lent) {
  for (const PageRuns::Run& run : lent) Reserve(run);
}

bool Arena::MoveLentToEnd() {
  bool moved = false;
  while (!lent_.empty()) {
    const PageRuns::Run lowest{lent_.begin()->first, lent_.begin()->second};
    // Pieces of the same size change places.
    const auto last = runs_->TakeLast(lowest.bytes);
    if (!last) break;
    if (last->offset < lowest.offset) {
      runs_->Give(last->offset, last->bytes);
      break;
    }
    Release(*last);
    if (last->bytes < lowest.bytes) {  // the rest changes places in the next round
      lent_[lowest.offset] = last->bytes;
      lent_[lowest.offset + last->bytes] = lowest.bytes - last->bytes;
    }
    if (!Reserve({lowest.offset, last->bytes})) break;
    moved = true;
  }
  return moved;
}

void Arena::Populate(uint64_t offset, uint64_t bytes, bool for_writing) const {
  const uint64_t begin = offset / kPageBytes * kPageBytes;
  // An old kernel refuses it. Then each page is a fault.
  (void)::madvise(base_ + begin, PageUp(offset + bytes) - begin,
                  for_writing ? MADV_POPULATE_WRITE : MADV_POPULATE_READ);
}

std::vector<PageRuns::Run> Arena::Hide(uint64_t begin, uint64_t end) {
  std::vector<PageRuns::Run> hidden;
  const auto& free = runs_->runs();
  for (auto run = free.lower_bound(begin); run != free.end() && run->first < end; run = free.lower_bound(begin)) {
    hidden.push_back({run->first, run->second});
    runs_->TakeRun(run->first);
  }
  return hidden;
}

void Arena::Show(const std::vector<PageRuns::Run>& hidden) {
  for (const PageRuns::Run& run : hidden) runs_->Give(run.offset, run.bytes);
}

Result<void> Arena::Adopt(std::vector<Place> places, uint64_t lent_bytes, bool has_lent) {
  std::sort(places.begin(), places.end(), [](const Place& a, const Place& b) { return a.offset < b.offset; });
  std::vector<Place> small;
  for (Place& place : places) {
    if (place.offset % kAlignment != 0 || place.offset >= arena_bytes_ || place.bytes > arena_bytes_ - place.offset)
      return Fail(ErrorCode::kProtocolError, StrCat(place.bytes, " bytes at ", place.offset, " of the arena"));
    if (place.bytes <= slab_object_bytes_max_) {
      small.push_back(place);
      continue;
    }
    const uint64_t pages = PageUp(place.bytes);
    if (place.offset % kPageBytes != 0 || !runs_->TakeAt(place.offset, pages))
      return Fail(ErrorCode::kProtocolError, StrCat("two objects have the memory at ", place.offset));
    map_->Took(place.offset, pages);
    paged_[place.offset] = pages;
    physical_bytes_ += pages;
  }
  RAYLET_RETURN_IF_ERROR(AdoptSlabs(small));
  if (!has_lent) {
    GiveBackIdle();
    return {};
  }
  for (uint64_t left = std::min(lent_bytes, runs_->free_bytes()); left > 0;) {
    const PageRuns::Run run = *runs_->TakeLast(left);
    Release(run);
    left -= run.bytes;
  }
  GiveBackIdle();  // so that none of them is taken for one that has memory
  if (!ReserveFreePages())
    return Fail(ErrorCode::kFull, "the machine has no memory for the pages that the index has given back");
  return {};
}

// `places` are in order. Those that share a page make one extent.
Result<void> Arena::AdoptSlabs(const std::vector<Place>& places) {
  for (size_t i = 0; i < places.size();) {
    const uint64_t begin = places[i].offset / kPageBytes * kPageBytes;
    uint64_t end = begin;
    for (; i < places.size() && (end == begin || places[i].offset < end); ++i) {
      if (!recovered_.Adopt(places[i].offset, places[i].bytes))
        return Fail(ErrorCode::kProtocolError, StrCat("two objects have the memory at ", places[i].offset));
      end = PageUp(places[i].offset + std::max<uint64_t>(places[i].bytes, 1));
      physical_bytes_ += recovered_.BytesAt(places[i].offset);
    }
    if (end - begin > kSlabBytesMax || !runs_->TakeAt(begin, end - begin))
      return Fail(ErrorCode::kProtocolError, StrCat("the memory at ", begin, " has objects that cannot be there"));
    map_->Took(begin, end - begin);
  }
  recovered_.OfferGaps();
  return {};
}

// Some may be holes. The others have their memory already.
bool Arena::ReserveFreePages() {
  for (const auto& [offset, bytes] : runs_->runs())
    if (::fallocate(fd_.get(), 0, static_cast<off_t>(offset), static_cast<off_t>(bytes)) != 0) return false;
  return true;
}

void Arena::GiveIfEmpty(uint64_t first) {
  const uint64_t end = first + map_->At(first).pages;
  for (uint64_t page = first; page < end; ++page)
    if (!recovered_.Empty(page)) return;
  for (uint64_t page = first; page < end; ++page) recovered_.Forget(page);
  GivePages(first * kPageBytes, (end - first) * kPageBytes);
}

void Arena::TouchAhead() { toucher_ = std::make_unique<PageToucher>(fd_.get(), arena_bytes_); }

void Arena::Free(uint64_t offset) {
  physical_bytes_ -= AllocatedBytes(offset);
  if (const auto it = paged_.find(offset); it != paged_.end()) {
    GivePages(offset, it->second);
    paged_.erase(it);
  } else if (recovered_.Has(offset)) {
    recovered_.Free(offset);
    GiveIfEmpty(map_->ExtentOf(offset));
  } else {
    dallocx(base_ + offset, FlagsOf(jemalloc_arena_));
  }
}

uint64_t Arena::AllocatedBytes(uint64_t offset) const {
  const auto it = paged_.find(offset);
  if (it != paged_.end()) return it->second;
  return recovered_.Has(offset) ? recovered_.BytesAt(offset) : sallocx(base_ + offset, 0);
}

}  // namespace raylet::store
