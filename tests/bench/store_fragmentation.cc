#include "tests/bench/store_fragmentation.h"

#include <time.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <utility>

#include "tests/bench/store_core.h"

namespace raylet::bench {
namespace {

// Of this thread: whatever else runs on this machine.
double CpuSeconds() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

// Clients have written to every page before, through mappings of their own.
void WarmUp(store::Arena& arena) {
  const auto mapping = Mapping::Map(arena.fd(), arena.arena_bytes(), Mapping::Access::kReadWrite);
  RAYLET_CHECK(mapping.has_value(), mapping.error().message);
  std::memset(mapping->data(), 1, mapping->size());
}

// Sizes from 64 B to 64 MiB, log-uniform. Objects are owned, so that nothing but a delete makes room,
// and random ones are deleted so that 85 % of the capacity are in use.
void RandomSizes(std::vector<Figure>& figures) {
  constexpr uint64_t kCapacity = uint64_t{1} << 30, kUsedMax = kCapacity / 100 * 85;
  constexpr int kCreates = 1'000'000, kWarmUp = 10'000, kSampleEvery = 1000, kTurns = 10;
  StoreCore core(kCapacity);
  WarmUp(core.arena());
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> log_bytes(6, 26);
  std::vector<std::pair<ObjectId, uint64_t>> objects;
  uint64_t used = 0, waited = 0, refused = 0;
  std::vector<double> creates, movers, waste, parted;
  for (int i = 0; i < kCreates; ++i) {
    const auto bytes = static_cast<uint64_t>(std::exp2(log_bytes(random)));
    while (used + bytes > kUsedMax) {
      std::swap(objects[random() % objects.size()], objects.back());
      core.Delete(objects.back().first);
      used -= objects.back().second;
      objects.pop_back();
    }
    const auto id = ObjectId::FromRandom();
    const store::ObjectOptions options = {.data_bytes = bytes, .evict_if_full = false, .owned = true};
    const uint64_t moved = core.moved_bytes();
    const double cpu = CpuSeconds();
    auto put = core.TryPut(id, options);
    creates.push_back(put.seconds);
    if (core.moved_bytes() != moved) movers.push_back(CpuSeconds() - cpu);
    // A create that waits is tried in later turns of the loop.
    if (!put.made) ++waited;
    for (int turn = 0; turn < kTurns && !put.made; ++turn) {
      put = core.TryPut(id, options);
      creates.push_back(put.seconds);
    }
    if (!put.made) {
      ++refused;
      continue;
    }
    objects.emplace_back(id, bytes);
    used += bytes;
    if (i < kWarmUp || i % kSampleEvery != 0) continue;
    const auto taken = static_cast<double>(core.arena().arena_bytes() - core.arena().runs().free_bytes());
    waste.push_back((taken - static_cast<double>(used)) / taken * 100);
    parted.push_back(static_cast<double>(core.arena().LargestRun()) / (1 << 20));
  }
  figures.push_back(TimeFigure("create + seal, random sizes, 85 %", creates, 1e6, "us", "", 0));
  if (!movers.empty()) figures.push_back(TimeFigure("CPU time of one that moves objects", movers, 1e3, "ms", "", 0));
  figures.push_back(
      OneFigure("moved for long runs", static_cast<double>(core.moved_bytes()) / (uint64_t{1} << 30), "GiB"));
  figures.push_back(OneFigure("of a million, had to wait a turn", static_cast<double>(waited), "creates"));
  figures.push_back(OneFigure("of a million, refused after ten turns", static_cast<double>(refused), "creates"));
  figures.back().promise = {Promise::Of::kMedian, Promise::Side::kAtMost, 0};
  Figure wasted = OneFigure("pages taken beyond the bytes asked for", Percentile(waste, 50), "%");
  wasted.p99 = Percentile(waste, 99);
  wasted.promise = {Promise::Of::kMedian, Promise::Side::kAtMost, 15};
  figures.push_back(wasted);
  Figure runs = OneFigure("largest free run", Percentile(parted, 50), "MiB", "the largest object", 64);
  runs.p99 = Percentile(parted, 1);  // the short tail
  figures.push_back(runs);
}

// A store of 100 MB that is full of objects of 100 kB, 30 of them pinned, far apart. No eviction makes
// room for 60 MB, so nothing should be evicted.
void SpreadPins(std::vector<Figure>& figures) {
  constexpr uint64_t kCapacity = 100'000'000, kEach = 100'000, kPins = 30;
  StoreCore core(kCapacity);
  std::vector<ObjectId> ids(kCapacity / kEach);
  for (ObjectId& id : ids) {
    id = ObjectId::FromRandom();
    RAYLET_CHECK(core.TryPut(id, {.data_bytes = kEach}).made, "the store does not fill");
  }
  for (uint64_t pin = 0; pin < kPins; ++pin) core.Pin(ids[ids.size() / kPins * pin]);
  std::vector<double> refusals;
  for (int i = 0; i < 200; ++i) {
    const auto put = core.TryPut(ObjectId::FromRandom(), {.data_bytes = 60'000'000});
    RAYLET_CHECK(!put.made, "60 MB between pins that are 3.3 MB apart");
    refusals.push_back(put.seconds);
  }
  figures.push_back(TimeFigure("60 MB among 30 pins: refused", refusals, 1e6, "us", "", 0));
  figures.push_back(OneFigure("evicted in vain", static_cast<double>(core.evictions()), "objects"));
  figures.back().promise = {Promise::Of::kMedian, Promise::Side::kAtMost, 0};
  const auto put = core.TryPut(ObjectId::FromRandom(), {.data_bytes = 3'000'000});
  RAYLET_CHECK(put.made, "3 MB fit between two pins");
  figures.push_back(
      OneFigure("evicted for 3 MB between two of them", static_cast<double>(core.evictions()), "objects"));
}

}  // namespace

std::vector<Figure> FragmentationFigures() {
  std::vector<Figure> figures;
  RandomSizes(figures);
  SpreadPins(figures);
  return figures;
}

}  // namespace raylet::bench
