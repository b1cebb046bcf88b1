// store_bench: the store's verbs beside the machine's limits, on a plasma_store of its own.
//   store_bench [--json] [--check]
//               [--brief | --puts | --soak | --soak-brief | --scale | --fragmentation | --restart | --spill]
// --brief: a tenth of the puts into a full store, for the test run.
// --puts: small puts through the public interface alone.
// --soak: the store's core alone, after ten million puts and with millions of objects. --soak-brief: fewer, for the
// test run.
// --scale: beside idle clients and held objects.
// --restart: a server that is killed with a million objects.
// --spill: objects that go to disk in the current folder and come back, beside that disk's own rates.
// --fragmentation: the core alone, with objects of many sizes, and with pins that are spread out.
#include <sys/mman.h>

#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "base/check.h"
#include "client/plasma/store_client.h"
#include "tests/bench/bench_flags.h"
#include "tests/bench/figures.h"
#include "tests/bench/machine_limits.h"
#include "tests/bench/store_fragmentation.h"
#include "tests/bench/store_puts.h"
#include "tests/bench/store_restart.h"
#include "tests/bench/store_scale.h"
#include "tests/bench/store_soak.h"
#include "tests/bench/store_spill.h"
#include "tests/harness/daemon_process.h"
#include "tests/harness/run_folder.h"

namespace raylet::bench {
namespace {

using client::StoreClient;

std::shared_ptr<StoreClient> Connect(const std::string& socket, const char* name) {
  auto store = StoreClient::Connect(socket, name, Deadline::AfterMs(10'000), true);
  RAYLET_CHECK(store.has_value(), store.error().message);
  return *store;
}

std::vector<double> GetAndRelease(StoreClient& store) {
  constexpr size_t kObjects = 1000, kBatch = 100, kBatches = 20'000;
  std::vector<ObjectId> ids(kObjects);
  const std::vector<std::byte> data(1024);
  for (ObjectId& id : ids) {
    id = ObjectId::FromRandom();
    RAYLET_CHECK(store.CreateAndSeal(id, data, {}, {}).has_value(), "put failed");
  }
  std::vector<double> samples;
  size_t next = 0, bytes = 0;
  for (size_t b = 0; b < kBatches; ++b) {
    const double start = NowSeconds();
    for (size_t i = 0; i < kBatch; ++i) bytes += store.Get(ids[next++ % kObjects], Deadline::Never())->data().size();
    samples.push_back((NowSeconds() - start) / kBatch);
  }
  RAYLET_CHECK(bytes == kBatch * kBatches * data.size(), "a get returned something else");
  RAYLET_CHECK(store.Delete(ids).has_value(), "delete failed");
  return samples;
}

struct Looks {
  std::vector<double> hits, misses;
};

// Contains, of objects that are there and of others.
Looks Contains(StoreClient& store) {
  constexpr size_t kObjects = 1000, kBatch = 1000, kBatches = 2000;
  std::vector<ObjectId> there(kObjects), absent(kObjects);
  for (ObjectId& id : absent) id = ObjectId::FromRandom();
  for (ObjectId& id : there) {
    id = ObjectId::FromRandom();
    RAYLET_CHECK(store.CreateAndSeal(id, std::vector<std::byte>(1024), {}, {}).has_value(), "put failed");
  }
  const auto time = [&](const std::vector<ObjectId>& ids, bool expected) {
    std::vector<double> samples;
    for (size_t b = 0; b < kBatches; ++b) {
      size_t right = 0;
      const double start = NowSeconds();
      for (size_t i = 0; i < kBatch; ++i) right += *store.Contains(ids[i % kObjects]) == expected ? 1 : 0;
      samples.push_back((NowSeconds() - start) / kBatch);
      RAYLET_CHECK(right == kBatch, "Contains is wrong");
    }
    return samples;
  };
  Looks looks{time(there, true), time(absent, false)};
  RAYLET_CHECK(store.Delete(there).has_value(), "delete failed");
  return looks;
}

struct LargePuts {
  std::vector<double> puts, copies;  // rates in GB/s
};

// Puts of 256 MiB: create, copy, seal, with a delete in between, so that the same pages come back. Beside them stands
// memcpy into shared memory whose pages are there. The two take turns, so that other load falls on both.
LargePuts PutLarge(StoreClient& store) {
  constexpr size_t kBytes = size_t{256} << 20;
  const std::vector<std::byte> data(kBytes, std::byte{1});
  void* const warm = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  RAYLET_CHECK(warm != MAP_FAILED, "no shared memory for a benchmark");
  LargePuts rates;
  for (int i = 0; i < 12; ++i) {
    const auto rate_of = [](auto&& work) {
      const double start = NowSeconds();
      work();
      return static_cast<double>(kBytes) / (NowSeconds() - start) / 1e9;
    };
    const auto id = ObjectId::FromRandom();
    const double put = rate_of([&] { RAYLET_CHECK(store.CreateAndSeal(id, data, {}, {}).has_value(), "put failed"); });
    RAYLET_CHECK(store.Delete({&id, 1}).has_value(), "delete failed");
    const double copy = rate_of([&] { std::memcpy(warm, data.data(), kBytes); });
    if (i < 2) continue;
    rates.puts.push_back(put);
    rates.copies.push_back(copy);
  }
  ::munmap(warm, kBytes);
  return rates;
}

int Run(const BenchFlags& flags) {
  if (flags.only == "--soak") return Report(flags, SoakFigures(/*brief=*/false));
  if (flags.only == "--soak-brief") return Report(flags, SoakFigures(/*brief=*/true));
  if (flags.only == "--scale") return Report(flags, ScaleFigures());
  if (flags.only == "--restart") return Report(flags, RestartFigures());
  if (flags.only == "--spill") return Report(flags, SpillFigures());
  if (flags.only == "--fragmentation") return Report(flags, FragmentationFigures());
  const double probe_ns = IndexGetReleaseNs();
  const double spin_us = SpinRoundTripUs();
  const test::RunFolder folder;
  const std::string socket = folder.File("store.sock");
  auto daemon = test::DaemonProcess::Start("plasma_store", {"-m", "1G", "-s", socket});
  if (!daemon) {
    std::fprintf(stderr, "store_bench: %s\n", daemon.error().message.c_str());
    return 1;
  }
  if (flags.only == "--puts") return Report(flags, PutFigures(socket, spin_us, /*brief=*/false));
  // First, because it forks, and a forked child must not find a connection of its parent.
  std::vector<Figure> figures = PutFigures(socket, spin_us, /*brief=*/flags.only == "--brief");
  const auto store = Connect(socket, "bench");
  figures.push_back(TimeFigure("get + release", GetAndRelease(*store), 1e9, "ns", "index probe with a pin", probe_ns));
  figures.back().promise = {Promise::Of::kMedian, Promise::Side::kAtMost, 200};
  const Looks looks = Contains(*store);
  figures.push_back(TimeFigure("contains", looks.hits, 1e9, "ns", "index probe with a pin", probe_ns));
  figures.push_back(TimeFigure("contains, absent", looks.misses, 1e9, "ns", "index probe with a pin", probe_ns));
  const auto rates = PutLarge(*store);
  Figure large;
  large.name = "put 256 MiB, recycled";
  large.p50 = Percentile(rates.puts, 50);
  large.p99 = Percentile(rates.puts, 1);  // the slow tail
  large.unit = "GB/s";
  large.limit_name = "memcpy into warm shared memory";
  large.limit = Percentile(rates.copies, 50);
  large.promise = {Promise::Of::kRatio, Promise::Side::kAtLeast, 0.8};
  figures.push_back(large);
  return Report(flags, figures);
}

}  // namespace
}  // namespace raylet::bench

int main(int argc, char** argv) {
  int exit_code = 0;
  const auto flags = raylet::bench::ReadFlags(
      argc, argv, "store_bench: what puts and gets cost, with a store of its own.", exit_code,
      {"--brief", "--puts", "--soak", "--soak-brief", "--scale", "--fragmentation", "--restart", "--spill"});
  return flags ? raylet::bench::Run(*flags) : exit_code;
}
