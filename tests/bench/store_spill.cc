#include "tests/bench/store_spill.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>

#include "base/check.h"
#include "base/clock.h"
#include "base/strings.h"
#include "client/plasma/store_client.h"
#include "tests/bench/machine_limits.h"
#include "tests/harness/daemon_process.h"
#include "tests/harness/run_folder.h"

namespace raylet::bench {
namespace {

constexpr size_t kBytes = size_t{1} << 20;
constexpr size_t kInMemory = 256, kOnDisk = 768, kAtOnce = 32, kRounds = 5;
constexpr double kGigabyte = 1e9;

double RateOf(size_t objects, double seconds) { return static_cast<double>(objects * kBytes) / seconds / kGigabyte; }

struct Rates {
  std::vector<double> out, back, write, read, device_write, device_read;  // GB/s
};

// One file, written and read from start to end, a mebibyte at a time. `memory` is as large as the store's: its bytes do
// not come from a cache of the processor, and do not go there.
void UseDisk(const std::string& path, std::vector<std::byte>& memory, Rates& rates) {
  const auto place = [&](size_t i) { return memory.data() + i % kInMemory * kBytes; };
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  RAYLET_CHECK(fd >= 0, "cannot make ", path);
  double start = NowSeconds();
  for (size_t i = 0; i < kOnDisk; ++i)
    RAYLET_CHECK(::write(fd, place(i), kBytes) == ssize_t{kBytes}, "cannot write ", path);
  rates.write.push_back(RateOf(kOnDisk, NowSeconds() - start));
  RAYLET_CHECK(::lseek(fd, 0, SEEK_SET) == 0, "cannot read ", path);
  start = NowSeconds();
  for (size_t i = 0; i < kInMemory / 2; ++i)
    RAYLET_CHECK(::read(fd, place(i), kBytes) == ssize_t{kBytes}, "cannot read ", path);
  rates.read.push_back(RateOf(kInMemory / 2, NowSeconds() - start));
  ::close(fd);
  ::unlink(path.c_str());
}

// The same past the page cache, where the file system can do that. The file has its blocks, as a log's would.
void UseDevice(const std::string& path, std::vector<std::byte>& memory, Rates& rates) {
  constexpr size_t kBlock = 4096;
  void* aligned = memory.data();
  size_t space = memory.size();
  RAYLET_CHECK(std::align(kBlock, memory.size() - kBlock, aligned, space) != nullptr, "no aligned memory");
  const auto place = [&](size_t i) { return static_cast<std::byte*>(aligned) + i % (kInMemory - 1) * kBytes; };
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_DIRECT, 0600);
  if (fd < 0) return;
  RAYLET_CHECK(::fallocate(fd, 0, 0, kInMemory * kBytes) == 0, "no room for ", path);
  double start = NowSeconds();
  for (size_t i = 0; i < kInMemory; ++i)
    RAYLET_CHECK(::pwrite(fd, place(i), kBytes, static_cast<off_t>(i * kBytes)) == ssize_t{kBytes}, "cannot write ",
                 path);
  rates.device_write.push_back(RateOf(kInMemory, NowSeconds() - start));
  start = NowSeconds();
  for (size_t i = 0; i < kInMemory / 2; ++i)
    RAYLET_CHECK(::pread(fd, place(i), kBytes, static_cast<off_t>(i * kBytes)) == ssize_t{kBytes}, "cannot read ",
                 path);
  rates.device_read.push_back(RateOf(kInMemory / 2, NowSeconds() - start));
  ::close(fd);
  ::unlink(path.c_str());
}

// The store is full: each put waits until one object more is on disk. Then there is room, and the oldest come back.
void Spill(client::StoreClient& store, const std::vector<std::byte>& data, Rates& rates) {
  std::vector<ObjectId> ids(kInMemory + kOnDisk);
  double start = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (i == kInMemory) start = NowSeconds();
    ids[i] = ObjectId::FromRandom();
    const auto put = store.CreateAndSeal(ids[i], data, {}, {.owned = true, .timeout_ms = 60'000});
    RAYLET_CHECK(put, put.error().message);
  }
  rates.out.push_back(RateOf(kOnDisk, NowSeconds() - start));
  RAYLET_CHECK(store.Delete(std::span(ids).last(kInMemory + 64)), "delete failed");
  const std::span first = std::span(ids).first(kInMemory / 2);
  start = NowSeconds();
  for (size_t i = 0; i < first.size(); i += kAtOnce) {
    std::vector<client::PinnedObject> views(kAtOnce);
    const auto got = store.GetAll(first.subspan(i, kAtOnce), views, Deadline::AfterMs(60'000));
    RAYLET_CHECK(got, got.error().message);
  }
  rates.back.push_back(RateOf(first.size(), NowSeconds() - start));
  RAYLET_CHECK(store.Delete(ids), "delete failed");
}

Figure RateFigure(const char* name, const std::vector<double>& rates, const char* limit,
                  const std::vector<double>& own) {
  Figure figure;
  figure.name = name;
  figure.p50 = Percentile(rates, 50);
  figure.p99 = Percentile(rates, 1);  // the slow tail
  figure.unit = "GB/s";
  figure.limit_name = limit;
  figure.limit = Percentile(own, 50);
  figure.promise = {Promise::Of::kRatio, Promise::Side::kAtLeast, 0.8};
  return figure;
}

}  // namespace

std::vector<Figure> SpillFigures() {
  const test::RunFolder folder;
  const std::string socket = folder.File("store"), disk = std::filesystem::absolute("store_bench_spill").string();
  std::filesystem::create_directories(disk);
  Rates rates;
  {
    const auto daemon =
        test::DaemonProcess::Start("plasma_store", {"-m", StrCat(kInMemory, "M"), "-s", socket, "--spill-dir", disk});
    RAYLET_CHECK(daemon, daemon.error().message);
    const auto store = client::StoreClient::Connect(socket, "bench", Deadline::AfterMs(10'000), false);
    RAYLET_CHECK(store, store.error().message);
    const std::vector<std::byte> data(kBytes, std::byte{7});
    std::vector<std::byte> memory(kInMemory * kBytes, std::byte{9});
    for (size_t round = 0; round < kRounds; ++round) {
      UseDisk(disk + "/own", memory, rates);
      UseDevice(disk + "/device", memory, rates);
      Spill(**store, data, rates);
    }
  }
  std::filesystem::remove_all(disk);
  std::vector<Figure> figures = {
      RateFigure("spill 1 MiB objects", rates.out, "one file, written in sequence", rates.write),
      RateFigure("restore 1 MiB objects", rates.back, "one file, read in sequence", rates.read)};
  if (!rates.device_write.empty()) {
    figures.push_back(
        RateFigure("spill, beside the device", rates.out, "past the page cache, in sequence", rates.device_write));
    figures.push_back(
        RateFigure("restore, beside the device", rates.back, "past the page cache, in sequence", rates.device_read));
  }
  return figures;
}

}  // namespace raylet::bench
