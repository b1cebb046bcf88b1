#include "tests/bench/store_spill.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
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
  std::vector<double> out, put, back, write, copy, read, device_write, device_read;  // GB/s
};

// One file from start to end, a mebibyte at a time. `memory` is as large as the store's: its bytes do not come from a
// cache of the processor, and do not go there. The file is written over, as the store's are: a first write pays for
// pages that the machine takes from its host, up to ten times the write, or not, as it happens.
void UseDisk(const std::string& path, const std::vector<std::byte>& data, std::vector<std::byte>& memory,
             Rates& rates) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  RAYLET_CHECK(fd >= 0, "cannot make ", path);
  const auto rate_of = [&](auto&& use) {
    const double start = NowSeconds();
    for (size_t i = 0; i < kOnDisk; ++i)
      RAYLET_CHECK(use(memory.data() + i % kInMemory * kBytes, static_cast<off_t>(i * kBytes)) == ssize_t{kBytes},
                   "cannot use ", path);
    return RateOf(kOnDisk, NowSeconds() - start);
  };
  const auto write = [fd](std::byte* from, off_t at) { return ::pwrite(fd, from, kBytes, at); };
  rate_of(write);
  rates.write.push_back(rate_of(write));
  rates.copy.push_back(rate_of([&](std::byte* through, off_t at) {
    std::memcpy(through, data.data(), kBytes);
    return write(through, at);
  }));
  rates.read.push_back(rate_of([fd](std::byte* into, off_t at) { return ::pread(fd, into, kBytes, at); }));
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

enum class Bytes {
  kAreThere,  // the object takes the bytes that its memory has
  kAreCopied,
};

// The store is full: each put waits until one object more is on disk.
double PutAll(client::StoreClient& store, const std::vector<std::byte>& data, Bytes bytes, std::span<ObjectId> ids) {
  const client::CreateOptions options{.owned = true, .timeout_ms = 60'000};
  const auto put = [&](const ObjectId& id) -> Result<void> {
    if (bytes == Bytes::kAreCopied) return store.CreateAndSeal(id, data, {}, options);
    auto writer = store.Create(id, kBytes, {}, options);
    if (!writer) return Fail(writer.error());
    return (*std::move(writer)).Seal();
  };
  double start = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (i == kInMemory) start = NowSeconds();
    ids[i] = ObjectId::FromRandom();
    const auto made = put(ids[i]);
    RAYLET_CHECK(made, made.error().message);
  }
  return RateOf(ids.size() - kInMemory, NowSeconds() - start);
}

// First there are files of dead objects, as in a store that spills for a while. At the end those in memory go, and the
// others come back in turn. They are more than the memory takes, and so others leave for them.
void Spill(client::StoreClient& store, const std::vector<std::byte>& data, Rates& rates) {
  std::vector<ObjectId> ids(kInMemory + kOnDisk);
  const auto put_all = [&](Bytes bytes) { return PutAll(store, data, bytes, ids); };
  const auto remove = [&](std::span<const ObjectId> some) { RAYLET_CHECK(store.Delete(some), "delete failed"); };
  put_all(Bytes::kAreCopied);
  remove(ids);
  rates.put.push_back(put_all(Bytes::kAreCopied));
  remove(ids);
  rates.out.push_back(put_all(Bytes::kAreThere));
  remove(std::span(ids).last(kInMemory + kAtOnce));
  const std::span first = std::span(ids).first(kOnDisk - kAtOnce);
  const double start = NowSeconds();
  for (size_t i = 0; i < first.size(); i += kAtOnce) {
    std::vector<client::PinnedObject> views(kAtOnce);
    const auto got = store.GetAll(first.subspan(i, kAtOnce), views, Deadline::AfterMs(60'000));
    RAYLET_CHECK(got, got.error().message);
  }
  rates.back.push_back(RateOf(first.size(), NowSeconds() - start));
  remove(ids);
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
      UseDisk(disk + "/own", data, memory, rates);
      UseDevice(disk + "/device", memory, rates);
      Spill(**store, data, rates);
    }
  }
  std::filesystem::remove_all(disk);
  std::vector<Figure> figures = {
      RateFigure("spill 1 MiB objects", rates.out, "one file, written over in sequence", rates.write),
      RateFigure("puts of 1 MiB that spill", rates.put, "copies, each written into one file", rates.copy),
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
