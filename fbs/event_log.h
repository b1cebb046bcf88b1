// The last events of a store, in its index segment: creates that found it full, evictions, and objects of ended
// clients. The daemon alone writes them. Everybody reads them, also after the daemon's end.
// Always holds: a slot's number is 0 while its words change. A reader that sees the same number before and after has
// read one event.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <optional>

namespace raylet {

enum class EventKind : uint32_t {
  kFull = 1,         // a create found no room
  kEvicted = 2,      // objects were evicted
  kClientLeft = 3,   // a client ended, and left unsealed or owned objects
  kSpilled = 4,      // objects went to disk
  kRestored = 5,     // and came back
  kSpillFailed = 6,  // a file of them could not be written
  kLost = 7,         // the bytes of a spilled object cannot be read any more
};
// The kind of objects of which the holder of a full store has most.
enum class HeldAs : uint32_t { kNothing = 0, kPinned = 1, kOwned = 2, kUnsealed = 3 };

// Fields that a kind does not use are zero.
struct Event {
  uint64_t time_ms = 0;  // since the daemon started
  EventKind kind{};
  uint32_t count = 1;   // events of the same kind and client within a second are one
  uint32_t client = 0;  // kFull: that wanted the room
  int32_t pid = 0;
  uint64_t objects = 0;  // evicted, spilled, restored or lost
  uint64_t bytes = 0;    // needed, evicted, or left behind
  uint64_t free_bytes = 0, largest_run_bytes = 0, pinned_bytes = 0;
  uint64_t holder_bytes = 0;  // kFull: the client that held most, and how much
  int32_t holder_pid = 0;
  HeldAs held_as{};
  uint8_t id[20] = {};  // kFull: of the last object that found no room; kLost: of the last one
  uint32_t reserved = 0;
  char program[40] = {}, holder_program[40] = {};  // zero-terminated
};
constexpr size_t kEventWords = sizeof(Event) / sizeof(uint64_t);
static_assert(sizeof(Event) == 184);

struct EventSlot {
  std::atomic<uint64_t> number;  // of the event, from 1
  std::atomic<uint64_t> words[kEventWords];
};
static_assert(sizeof(EventSlot) == 192);
constexpr uint32_t kEventSlots = 256;  // event n lies in slot n % kEventSlots

// The daemon's loop alone. A reader that sees one of these words sees the number 0, too.
inline void WriteEvent(EventSlot& slot, uint64_t number, const Event& event) {
  const auto words = std::bit_cast<std::array<uint64_t, kEventWords>>(event);
  slot.number.store(0, std::memory_order_relaxed);
  for (size_t i = 0; i < kEventWords; ++i) slot.words[i].store(words[i], std::memory_order_release);
  slot.number.store(number, std::memory_order_release);  // publishes the words
}

// Nothing where the slot holds another event, or is being written.
inline std::optional<Event> ReadEvent(const EventSlot& slot, uint64_t number) {
  if (number == 0 || slot.number.load(std::memory_order_acquire) != number) return std::nullopt;
  std::array<uint64_t, kEventWords> words;
  for (size_t i = 0; i < kEventWords; ++i) words[i] = slot.words[i].load(std::memory_order_acquire);
  if (slot.number.load(std::memory_order_acquire) != number) return std::nullopt;
  auto event = std::bit_cast<Event>(words);
  event.program[sizeof event.program - 1] = event.holder_program[sizeof event.holder_program - 1] = 0;
  return event;
}

}  // namespace raylet
