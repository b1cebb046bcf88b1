// Pins under weak memory: client/plasma/pin_table.h, the second look of client/plasma/mapped_index.h, and
// store/pin_ledger.cc themselves. A client pins an object, looks at its word again, and reads its bytes, twice. The
// daemon marks the object as dying, reads the pins, and writes another one's bytes where nobody pins it. Its stores of
// the word follow ObjectIndex::Change: seq_cst for kDying, release for the others.
//
// Always holds: the bytes of an object stay while the client reads them. A pin above a mark that the daemon lowers is
// seen, or raises the mark.
#include <sys/mman.h>

#include "base/check.h"
#include "base/result.h"
#include "base/shm_segment.h"
#include "base/strings.h"
#include "base/unique_fd.h"
#include "fbs/ids.h"
#include "tests/models/relacy/orders.h"
// After it, whose names they use.
#define private public  // the parts of one call, one by one
#include "client/plasma/mapped_index.h"
#include "client/plasma/pin_table.h"
#include "store/pin_ledger.cc"
#undef private

namespace raylet::client {
constinit thread_local PinTable::Hints PinTable::hints_;  // not used here
}  // namespace raylet::client

namespace {

using namespace raylet;

constexpr uint32_t kSlot = 3;

// The page as it is, in memory of which only the first slots are used.
PinPage& Page() {
  static void* const memory =
      ::mmap(nullptr, sizeof(PinPage), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return *static_cast<PinPage*>(memory);
}
IndexEntry& Entry() {
  alignas(IndexEntry) static std::byte memory[sizeof(IndexEntry)];
  return *reinterpret_cast<IndexEntry*>(memory);
}

enum class Mark {
  kAbove,    // the slot is below the mark
  kBelow,    // the client raises the mark
  kLowered,  // the daemon lowers the mark first
};

template <Mark mark>
struct PinOrders : rl::test_suite<PinOrders<mark>, 2> {
  client::PinTable pins;
  client::MappedIndex index;
  std::optional<store::PinLedger> ledger;
  rl::var<int> bytes;  // of the object that lies there

  void before() {
    for (uint32_t slot = 0; slot <= kSlot; ++slot) new (&Page().slots[slot]) rl::atomic<uint32_t>(0);
    new (&Page().slots_high_water) rl::atomic<uint32_t>(mark == Mark::kBelow ? 0 : kSlot + 1);
    new (&Entry().word) rl::atomic<uint64_t>(MakeWord(EntryState::kSealed, 1));
    VAR(bytes) = 1;
    pins.page_ = &Page();
    index.entries_ = &Entry();
    ledger.emplace(1);
    ledger->AddClient(1, &Page());
  }
  void after() {
    ledger.reset();
    for (uint32_t slot = 0; slot <= kSlot; ++slot) Page().slots[slot].~atomic();
    Page().slots_high_water.~atomic();
    Entry().word.~atomic();
  }
  void thread(unsigned number) {
    if (number == 0)
      Get();
    else
      Delete();
  }
  void Get() {
    for (int tries = 0; tries < 2; ++tries) {
      const uint64_t word = Entry().word.load(rl::mo_acquire, $);
      if (StateOf(word) != EntryState::kSealed) continue;
      client::FoundObject found;
      found.word = word;
      RL_ASSERT(pins.TryTake(kSlot, 1));
      if (index.StillThere(found)) RL_ASSERT(VAR(bytes) == static_cast<int>(GenerationOf(word)));
      FreeSlot();
    }
  }
  // PinTable::Free, without the hints of a thread.
  void FreeSlot() { Page().slots[kSlot].store(0, orders::Of(rl::mo_release, "Free"), $); }
  void Delete() {
    uint64_t generation = 1;
    // As in Scan, of a page that is empty from its first slot on.
    if (mark == Mark::kLowered && store::ReadSlots(Page(), 0, kSlot + 1, 1, [](uint32_t) {}) == 0)
      ledger->LowerMark(Page(), kSlot + 1, 0);
    for (int deletes = 0; deletes < 2; ++deletes) {
      Entry().word.store(MakeWord(EntryState::kDying, generation), orders::Of(rl::mo_seq_cst, "Change"), $);
      ledger->Scan();
      if (ledger->Pinned(0)) return;  // it stays as it is until a later scan
      VAR(bytes) = static_cast<int>(++generation);
      Entry().word.store(MakeWord(EntryState::kSealed, generation), rl::mo_release, $);
    }
  }
  static constexpr uint32_t kMarkAtFirst = kSlot + 1;
};

}  // namespace

int main() {
  using orders::Check;
  constexpr unsigned long kExecutions = 20'000;
  return Check<PinOrders<Mark::kAbove>>("pins below the mark",
                                        {{"TryTake", rl::mo_seq_cst, rl::mo_release},
                                         {"StillThere", rl::mo_seq_cst, rl::mo_acquire},
                                         {"Free", rl::mo_release, rl::mo_relaxed},
                                         {"Change", rl::mo_seq_cst, rl::mo_release},
                                         {"ReadSlots", rl::mo_seq_cst, rl::mo_acquire}},
                                        kExecutions) +
         Check<PinOrders<Mark::kBelow>>(
             "pins above the mark",
             {{"RaiseMark", rl::mo_seq_cst, rl::mo_relaxed}, {"Scan", rl::mo_seq_cst, rl::mo_acquire}}, kExecutions) +
         Check<PinOrders<Mark::kLowered>>(
             "pins above a lowered mark",
             {{"RaiseMark", rl::mo_seq_cst, rl::mo_relaxed}, {"LowerMark", rl::mo_seq_cst, rl::mo_relaxed}},
             kExecutions);
}
