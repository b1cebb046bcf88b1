#include "client/plasma/pin_table.h"

#include <algorithm>
#include <utility>

#include "base/strings.h"

namespace raylet::client {

namespace {

// Threads begin on cache lines of their own, among the first slots, so that the daemon has little to scan.
constexpr uint32_t kSlotsPerLine = 64 / sizeof(std::atomic<uint32_t>);
constexpr uint32_t kThreadLines = 64;
constexpr uint32_t kLooks = 16;       // at slots in use, for each slot that the page grows by
constexpr uint32_t kHighSlots = 512;  // half of the mark that the daemon lowers no further
constexpr uint32_t kHighTakes = 16;   // by which a thread forgets one of its high slots
std::atomic<uint32_t> threads_seen{0};

uint32_t LineOfThisThread() {
  return threads_seen.fetch_add(1, std::memory_order_relaxed) % kThreadLines * kSlotsPerLine;
}

}  // namespace

constinit thread_local PinTable::Hints PinTable::hints_;

Result<PinTable> PinTable::Open(UniqueFd fd, uint32_t client) {
  const auto bytes = FileSize(fd.get());
  if (!bytes) return Fail(bytes.error());
  // Behind it there may be memory for objects.
  auto mapping = Mapping::Map(fd.get(), std::min(*bytes, PinPageBytes()), Mapping::Access::kReadWrite);
  if (!mapping) return Fail(std::move(mapping).error());
  auto table = Attach(mapping->data(), mapping->size(), client);
  if (table) {
    table->mapping_ = *std::move(mapping);
    table->fd_ = std::move(fd);
  }
  return table;
}

Result<PinTable> PinTable::Attach(void* memory, size_t bytes, uint32_t client) {
  auto* page = static_cast<PinPage*>(memory);
  if (bytes < sizeof(PinPage) || page->magic != kPinsMagic)
    return Fail(ErrorCode::kProtocolError, StrCat("not a pin page: ", bytes, " bytes with another magic"));
  if (page->layout_version != kLayoutVersion)
    return Fail(ErrorCode::kVersionMismatch,
                StrCat("pin page of layout ", page->layout_version, ", this program writes layout ", kLayoutVersion));
  if (page->client != client)
    return Fail(ErrorCode::kProtocolError, StrCat("the pin page of client ", page->client, " came to client ", client));
  PinTable table;
  table.page_ = page;
  return table;
}

std::optional<uint32_t> PinTable::Take(uint32_t value) {
  Hints& hints = hints_;
  const uint32_t mark = std::min(page_->slots_high_water.load(std::memory_order_relaxed), kPinSlots);
  // A slot above the mark is of another page, or the daemon has lowered the mark.
  while (hints.freed_count > 0) {
    const uint32_t slot = hints.freed[--hints.freed_count];
    if (slot >= kHighSlots && ++hints.high_takes % kHighTakes == 0) {
      hints.next_look = 0;  // looks among the low ones
      continue;
    }
    if (slot < mark && TryTake(slot, value)) return slot;
  }
  return Search(value, mark);
}

std::optional<uint32_t> PinTable::Search(uint32_t value, uint32_t mark) {
  Hints& hints = hints_;
  if (hints.line == 0) hints.line = LineOfThisThread() + 1;
  for (uint32_t slot = hints.line - 1; slot < hints.line - 1 + kSlotsPerLine; ++slot)
    if (TryTake(slot, value)) return slot;
  for (uint32_t look = 0; look < kLooks && mark > 0; ++look) {
    if (hints.next_look >= mark) hints.next_look = 0;
    const uint32_t slot = hints.next_look++;
    if (TryTake(slot, value)) return slot;
  }
  for (uint32_t slot = mark; slot < kPinSlots; ++slot)
    if (TryTake(slot, value)) return slot;
  // The page cannot grow: what other threads have freed is somewhere below.
  for (uint32_t slot = 0; slot < mark; ++slot)
    if (TryTake(slot, value)) return slot;
  return std::nullopt;
}

}  // namespace raylet::client
