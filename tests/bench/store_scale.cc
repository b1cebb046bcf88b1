#include "tests/bench/store_scale.h"

#include <sys/resource.h>
#include <sys/types.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <string>

#include "base/check.h"
#include "base/clock.h"
#include "base/shm_segment.h"
#include "client/plasma/store_client.h"
#include "client/plasma/store_hello.h"
#include "store/memory_budget.h"
#include "store/object_store.h"
#include "tests/harness/daemon_process.h"
#include "tests/harness/run_folder.h"

namespace raylet::bench {
namespace {

using client::StoreClient;

constexpr uint32_t kFewClients = 2;
constexpr uint32_t kManyClients = 500;
constexpr uint32_t kMostClients = 2000;
constexpr uint32_t kHeld = 50'000;
constexpr size_t kBatch = 20;

std::string Beside(const std::string& verb, uint32_t clients, uint32_t held) {
  return verb + ", " + std::to_string(clients) + " idle" + (held == 0 ? "" : ", " + std::to_string(held) + " held");
}

std::vector<ObjectId> RandomIds(size_t count) {
  std::vector<ObjectId> ids(count);
  for (ObjectId& id : ids) id = ObjectId::FromRandom();
  return ids;
}

struct Verbs {
  std::vector<double> puts, deletes;
};

// The core as plasma_store's main builds it. Its clients do nothing, but for one that holds objects.
class ScaledCore {
 public:
  ScaledCore(uint32_t clients, uint32_t held)
      : budget_(store::MemoryBudget::For(kCapacity)),
        fd_(*CreateMemfd("scale-index", IndexSegmentBytes(budget_.index_entries_max), false)),
        mapping_(*Mapping::Map(fd_.get(), IndexSegmentBytes(budget_.index_entries_max), Mapping::Access::kReadWrite)),
        header_(InitIndexSegment(mapping_.data(), budget_.index_entries_max)),
        arena_(*store::Arena::Create(kCapacity)),
        store_(kCapacity, *arena_, header_, clock_, {fd_.get(), budget_.index_entries}) {
    for (uint32_t i = 0; i < clients; ++i) AddClient();
    // Entries are given out in order, and the first objects are the held ones.
    for (const ObjectId& id : RandomIds(held)) Put(id);
    auto* const page = pages_.back().As<PinPage>();
    for (uint32_t i = 0; i < held; ++i) page->slots[i].store(i + 1);
    page->slots_high_water.store(held);
  }

  Verbs Time() {
    constexpr size_t kObjects = 20'000;
    const std::vector<ObjectId> ids = RandomIds(kObjects);
    Verbs verbs;
    for (const ObjectId& id : ids) {
      const double start = NowSeconds();
      Put(id);
      verbs.puts.push_back(NowSeconds() - start);
    }
    for (const ObjectId& id : ids) {
      const double start = NowSeconds();
      RAYLET_CHECK(store_.Delete(id).has_value(), "delete failed");
      verbs.deletes.push_back(NowSeconds() - start);
    }
    return verbs;
  }

 private:
  static constexpr uint64_t kCapacity = uint64_t{256} << 20;

  void AddClient() {
    auto fd = CreateMemfd("scale-pins", PinPageBytes(), false);
    RAYLET_CHECK(fd.has_value(), fd.error().message);
    pages_.push_back(*Mapping::Map(fd->get(), PinPageBytes(), Mapping::Access::kReadWrite));
    client_ = *store_.AddClient(1, "scale", pages_.back().As<PinPage>());
  }
  void Put(const ObjectId& id) {
    store::FullNumbers full;
    RAYLET_CHECK(store_.Create(client_, id, {.data_bytes = 1024}, full).has_value(), "create failed");
    RAYLET_CHECK(store_.Seal(client_, id).has_value(), "seal failed");
  }

  const store::MemoryBudget budget_;
  const UniqueFd fd_;
  const Mapping mapping_;
  IndexHeader* const header_;
  const std::unique_ptr<store::Arena> arena_;
  const SteadyClock clock_;
  std::vector<Mapping> pages_;
  store::ObjectStore store_;
  uint32_t client_ = 0;
};

// Clients that said hello and do nothing, each on a socket alone.
class IdleClients {
 public:
  IdleClients() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
  }
  void GrowTo(const std::string& socket, uint32_t count) {
    while (connections_.size() < count) {
      client::StoreWelcome welcome;
      auto connection = client::ConnectToStore(socket, {.name = "idle"}, Deadline::AfterMs(10'000), true, welcome);
      RAYLET_CHECK(connection.has_value(), connection.error().message);
      connections_.push_back(std::move(*connection));
    }
  }

 private:
  std::vector<FrameConnection> connections_;
};

std::vector<std::unique_ptr<client::PinnedObject>> Hold(StoreClient& store, uint32_t count) {
  std::vector<std::unique_ptr<client::PinnedObject>> held;
  for (const ObjectId& id : RandomIds(count)) {
    RAYLET_CHECK(store.CreateAndSeal(id, std::vector<std::byte>(64), {}, {}).has_value(), "put failed");
    held.push_back(std::make_unique<client::PinnedObject>(*store.Get(id, Deadline::Never())));
  }
  return held;
}

Verbs TimeVerbs(StoreClient& store) {
  constexpr size_t kObjects = 3000;
  const std::vector<std::byte> data(1024);
  const std::vector<ObjectId> ids = RandomIds(kObjects);
  Verbs verbs;
  for (const ObjectId& id : ids) {
    const double start = NowSeconds();
    RAYLET_CHECK(store.CreateAndSeal(id, data, {}, {}).has_value(), "put failed");
    verbs.puts.push_back(NowSeconds() - start);
  }
  for (const ObjectId& id : ids) {
    const double start = NowSeconds();
    RAYLET_CHECK(store.Delete({&id, 1}).has_value(), "delete failed");
    verbs.deletes.push_back(NowSeconds() - start);
  }
  return verbs;
}

// Two objects at a time, got and released in turn.
std::vector<double> TimeGets(StoreClient& store) {
  constexpr size_t kBatches = 2000;
  const std::vector<ObjectId> ids = RandomIds(2);
  for (const ObjectId& id : ids)
    RAYLET_CHECK(store.CreateAndSeal(id, std::vector<std::byte>(64), {}, {}).has_value(), "put failed");
  std::vector<double> samples;
  for (size_t b = 0; b < kBatches; ++b) {
    const double start = NowSeconds();
    for (size_t i = 0; i < kBatch; i += 2) {
      const auto first = store.Get(ids[0], Deadline::Never());
      const auto second = store.Get(ids[1], Deadline::Never());
      RAYLET_CHECK(first && second, "get failed");
    }
    samples.push_back((NowSeconds() - start) / kBatch);
  }
  RAYLET_CHECK(store.Delete(ids).has_value(), "delete failed");
  return samples;
}

// Of the process, its share of shared pages included.
double MemoryBytes(pid_t pid) {
  std::ifstream rollup("/proc/" + std::to_string(pid) + "/smaps_rollup");
  std::string word;
  while (rollup >> word)
    if (word == "Pss:") break;
  double kib = 0;
  rollup >> kib;
  return kib * 1024;
}

void OverTheSocket(std::vector<Figure>& figures, uint32_t most) {
  const test::RunFolder folder;
  const std::string socket = folder.File("scale.sock");
  auto daemon = test::DaemonProcess::Start("plasma_store", {"-m", "256M", "-s", socket});
  RAYLET_CHECK(daemon.has_value(), daemon.error().message);
  const auto store = StoreClient::Connect(socket, "bench", Deadline::AfterMs(10'000), true);
  RAYLET_CHECK(store.has_value(), store.error().message);
  IdleClients idle;
  idle.GrowTo(socket, kFewClients);
  const Verbs base = TimeVerbs(**store);
  const std::vector<double> base_gets = TimeGets(**store);
  const double put_us = Percentile(base.puts, 50) * 1e6, delete_us = Percentile(base.deletes, 50) * 1e6;
  const double get_ns = Percentile(base_gets, 50) * 1e9;
  const auto add = [&](const Verbs& verbs, uint32_t clients, uint32_t held) {
    figures.push_back(TimeFigure(Beside("put", clients, held), verbs.puts, 1e6, "us", "beside 2 idle", put_us));
    figures.push_back(
        TimeFigure(Beside("delete", clients, held), verbs.deletes, 1e6, "us", "beside 2 idle", delete_us));
  };
  const auto add_gets = [&](const std::vector<double>& gets, uint32_t clients, uint32_t held) {
    figures.push_back(TimeFigure(Beside("get + release", clients, held), gets, 1e9, "ns", "beside 2 idle", get_ns));
  };
  add(base, kFewClients, 0);
  add_gets(base_gets, kFewClients, 0);
  {
    auto held = Hold(**store, kHeld);
    held.front().reset();  // so that a low slot is free
    add(TimeVerbs(**store), kFewClients, kHeld);
    add_gets(TimeGets(**store), kFewClients, kHeld);
  }
  figures.push_back(
      TimeFigure("delete, after all were released", TimeVerbs(**store).deletes, 1e6, "us", "beside 2 idle", delete_us));
  const double before = MemoryBytes(daemon->pid());
  idle.GrowTo(socket, most);
  Figure memory;
  memory.name = "memory of an idle client";
  memory.p50 = memory.p99 = (MemoryBytes(daemon->pid()) - before) / (most - kFewClients) / 1024;
  memory.unit = "KiB";
  memory.promise = {Promise::Of::kMedian, Promise::Side::kAtMost, 32};
  figures.push_back(memory);
  add(TimeVerbs(**store), most, 0);
  add_gets(TimeGets(**store), most, 0);
}

}  // namespace

std::vector<Figure> ScaleFigures() {
  const uint32_t most = std::min(kMostClients, kClientRowsMax - 12);
  std::vector<Figure> figures;
  double put_ns = 0, delete_ns = 0;
  for (const uint32_t clients : {kFewClients, kManyClients, most}) {
    for (const uint32_t held : {0U, kHeld}) {
      const Verbs verbs = ScaledCore(clients, held).Time();
      if (put_ns == 0) {
        put_ns = Percentile(verbs.puts, 50) * 1e9;
        delete_ns = Percentile(verbs.deletes, 50) * 1e9;
      }
      const auto add = [&](const char* verb, const std::vector<double>& samples, double limit) {
        figures.push_back(TimeFigure(Beside(verb, clients, held), samples, 1e9, "ns", "beside 2 idle", limit));
        figures.back().promise = {Promise::Of::kRatio, Promise::Side::kAtMost, 2};
      };
      add("core put", verbs.puts, put_ns);
      add("core delete", verbs.deletes, delete_ns);
    }
  }
  OverTheSocket(figures, most);
  return figures;
}

}  // namespace raylet::bench
