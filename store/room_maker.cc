#include "store/room_maker.h"

#include <algorithm>
#include <unordered_set>

#include "base/check.h"

namespace raylet::store {

namespace {

constexpr int kEvictionTries = 4;

}  // namespace

std::optional<uint64_t> RoomMaker::FindRun(uint64_t data_bytes, uint64_t metadata_bytes, bool evict, uint64_t reserve) {
  const uint64_t need = data_bytes + metadata_bytes + reserve;
  const uint64_t in_arena = AlignUp(data_bytes) + metadata_bytes;
  std::optional<uint64_t> offset;
  if (need <= table_.free_bytes()) offset = Allocate(in_arena);
  if (!offset && table_.SweepDying() && need <= table_.free_bytes()) offset = Allocate(in_arena);
  // Where the bytes are free and only the run is missing, objects move.
  if (!offset && need <= table_.free_bytes() && table_.compactor.MakeRun(PageUp(std::max<uint64_t>(in_arena, 1))))
    offset = table_.arena.Allocate(in_arena);
  return offset || !evict ? offset : EvictForRun(need, in_arena);
}

std::optional<uint64_t> RoomMaker::Allocate(uint64_t in_arena) {
  const auto offset = table_.arena.Allocate(in_arena);
  return offset || !table_.hooks.on_no_room || !table_.hooks.on_no_room() ? offset : table_.arena.Allocate(in_arena);
}

// Nothing is evicted where that cannot help. Otherwise a fifth of the capacity goes at a time, as in
// Plasma, so that not every create has to evict; of small objects, as many as take a few
// milliseconds. If the oldest leave no run, the cheapest window of the arena is cleared.
std::optional<uint64_t> RoomMaker::EvictForRun(uint64_t need, uint64_t in_arena) {
  const uint64_t run_bytes = PageUp(std::max<uint64_t>(in_arena, 1));
  // Again if a victim was pinned meanwhile: each time, fewer objects are evictable.
  for (int tries = 0; tries < kEvictionTries; ++tries) {
    const uint64_t missing = need > table_.free_bytes() ? need - table_.free_bytes() : 0;
    table_.pins.Scan();
    const EvictionPlan plan(
        table_.arena.map(), table_.arena.runs(), table_.notes,
        [this](uint32_t entry) {
          const ObjectIndex::Fields object = table_.index.FieldsOf(entry);
          return EvictionPlan::Place{object.offset, object.bytes()};
        },
        table_.pins.pinned());
    if (missing > table_.policy.bytes() - plan.pinned_bytes()) return std::nullopt;
    const EvictionGoal oldest{
        .bytes_min = missing, .bytes = std::max(missing, table_.capacity_bytes / 5), .objects = kEvictedAtOnce};
    if (plan.OldestLeaveRun(table_.policy.Oldest(), oldest, run_bytes)) {
      if (EvictOldest(oldest).objects == 0) return std::nullopt;
    } else {
      const auto window = plan.CheapestWindow(run_bytes);
      if (!window) return std::nullopt;
      for (const uint32_t entry : *window) table_.Kill(entry);
      const uint64_t freed = SweepVictims(window->size()).bytes;
      if (freed < missing) EvictOldest({.bytes_min = missing - freed, .bytes = missing - freed});
    }
    if (need > table_.free_bytes()) continue;
    if (const auto offset = Allocate(in_arena)) return offset;
  }
  return std::nullopt;
}

bool RoomMaker::FindEntry(bool evict) {
  while (!table_.index.HasFree()) {
    if (table_.SweepDying()) continue;
    if (table_.GrowIndex()) continue;
    if (!evict || EvictOldest({.objects = kEvictedForEntries}).objects == 0) return false;
  }
  return true;
}

void RoomMaker::MakeRoomInQuota(uint32_t number, uint64_t bytes) {
  if (table_.quotas.Missing(number, bytes) == 0) return;
  table_.ReadAllTouches();
  table_.pins.Scan();
  while (table_.quotas.Missing(number, bytes) != 0 && table_.quotas.Oldest(number) != kNoEntry) {
    const uint32_t entry = table_.quotas.Oldest(number);
    if (table_.pins.Pinned(entry) || table_.quotas.spills_all()) {
      table_.quotas.GiveToAll(entry);
      continue;
    }
    Add(table_.counters().evictions, 1);
    Add(table_.counters().evicted_bytes, table_.BytesOf(entry));
    table_.events.Evicted(table_.NowMs(), 1, table_.BytesOf(entry));
    table_.Kill(entry);
  }
  const ObjectTable::Client* const client = table_.clients.Find(number);
  for (uint32_t entry = client->unsealed.first(); entry != kNoEntry && table_.quotas.Missing(number, bytes) != 0;
       entry = StateList::After(table_.notes, entry))
    if (table_.notes[entry].under_quota) table_.quotas.GiveToAll(entry);
  table_.SweepDying();
}

RoomMaker::Evicted RoomMaker::EvictOldest(const EvictionGoal& goal) {
  table_.ReadAllTouches();
  table_.pins.Scan();
  Evicted evicted;
  uint64_t chosen = 0;
  for (uint64_t left = table_.policy.size(); left > 0; --left) {
    if (chosen >= goal.bytes || (evicted.objects >= goal.objects && chosen >= goal.bytes_min)) break;
    const uint32_t entry = table_.policy.Oldest();
    table_.index.PrefetchChainOf(StateList::After(table_.notes, entry));
    if (table_.pins.Pinned(entry)) {
      table_.policy.Released(entry);  // it will be, later than all others were
      continue;
    }
    chosen += table_.BytesOf(entry);  // an object without bytes makes no room
    ++evicted.objects;
    table_.Kill(entry);
  }
  return SweepVictims(evicted.objects);
}

RoomMaker::Evicted RoomMaker::SweepVictims(uint64_t objects) {
  const uint64_t before = table_.used_bytes();
  table_.SweepDying();  // a victim that was pinned meanwhile is freed with its last pin
  const Evicted evicted{.bytes = before - table_.used_bytes(), .objects = objects};
  Add(table_.counters().evictions, evicted.objects);
  Add(table_.counters().evicted_bytes, evicted.bytes);
  table_.events.Evicted(table_.NowMs(), evicted.objects, evicted.bytes);
  return evicted;
}

void RoomMaker::FillFull(uint64_t need, FullNumbers& full) {
  full.need_bytes = need;
  full.free_bytes = table_.free_bytes();
  full.largest_run_bytes = std::min(table_.arena.LargestRun(), full.free_bytes);
  full.pinned_bytes = 0;
  full.reached_bytes = full.free_bytes + table_.policy.bytes();
  full.pinners.clear();
  full.spilling = table_.hooks.spilling_text ? table_.hooks.spilling_text() : "";
  const auto bytes_of = [this](uint32_t entry) {
    return table_.index.StateOf(entry) == EntryState::kEmpty ? 0 : table_.BytesOf(entry);
  };
  table_.pins.Scan();
  for (const uint32_t entry : table_.pins.pinned()) {
    full.pinned_bytes += bytes_of(entry);
    if (EvictionPolicy::Has(table_.notes[entry])) full.reached_bytes -= table_.BytesOf(entry);
  }
  if (!full.names_pinners) return;
  for (const auto& [number, client] : table_.clients.all()) {
    std::unordered_set<uint32_t> pinned;
    table_.pins.ReadPins(number, [&](uint32_t entry) { pinned.insert(entry); });
    Pinner pinner{.pid = client.row->pid.load(std::memory_order_relaxed), .program = client.row->name, .bytes = 0};
    for (const uint32_t entry : pinned) pinner.bytes += bytes_of(entry);
    full.AddPinner(std::move(pinner));
  }
}

}  // namespace raylet::store
