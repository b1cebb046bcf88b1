#include "client/plasma/pin_table.h"

#include <utility>

#include "base/strings.h"

namespace raylet::client {

namespace {

// Threads start their search on cache lines of their own; the first few slots, so that the daemon has little to scan.
constexpr uint32_t kSlotsPerLine = 64 / sizeof(std::atomic<uint32_t>);
constexpr uint32_t kThreadStarts = 64;
constexpr uint32_t kNoHintYet = kPinSlots;
std::atomic<uint32_t> threads_seen{0};

uint32_t StartOfThisThread() {
  return threads_seen.fetch_add(1, std::memory_order_relaxed) % kThreadStarts * kSlotsPerLine;
}

}  // namespace

constinit thread_local uint32_t PinTable::free_hint_ = kNoHintYet;

Result<PinTable> PinTable::Open(UniqueFd fd, uint32_t client) {
  const auto bytes = FileSize(fd.get());
  if (!bytes) return Fail(bytes.error());
  auto mapping = Mapping::Map(fd.get(), *bytes, Mapping::Access::kReadWrite);
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

std::optional<uint32_t> PinTable::Pin(uint64_t entry) {
  uint32_t slot = free_hint_;
  if (slot == kNoHintYet) [[unlikely]]
    slot = StartOfThisThread();
  for (uint32_t tried = 0; tried < kPinSlots; ++tried, slot = (slot + 1) % kPinSlots) {
    std::atomic<uint32_t>& pin = page_->slots[slot];
    if (pin.load(std::memory_order_relaxed) != 0) continue;
    // Before the pin: whoever reads the pin's entry as dying and then this bound must look at the slot.
    uint32_t bound = page_->slots_high_water.load(std::memory_order_relaxed);
    while (bound <= slot &&
           !page_->slots_high_water.compare_exchange_weak(bound, slot + 1, std::memory_order_seq_cst)) {}
    uint32_t free = 0;
    if (!pin.compare_exchange_strong(free, static_cast<uint32_t>(entry) + 1, std::memory_order_seq_cst)) continue;
    free_hint_ = (slot + 1) % kPinSlots;
    return slot;
  }
  return std::nullopt;
}

}  // namespace raylet::client
