#include "tests/bench/store_restart.h"

#include <signal.h>

#include <cstring>
#include <string>

#include "base/check.h"
#include "base/clock.h"
#include "base/shm_segment.h"
#include "client/plasma/store_client.h"
#include "fbs/segment_layout.h"
#include "tests/harness/daemon_process.h"
#include "tests/harness/run_folder.h"

namespace raylet::bench {
namespace {

constexpr uint64_t kKeptObjects = 1'000'000;
constexpr size_t kKeptBytes = 1024, kObjectsPerBatch = 200;
constexpr int kKills = 7;

ObjectId IdOf(uint64_t number) {
  ObjectId id;
  number = (number + 1) * 0x9e3779b97f4a7c15ULL;
  std::memcpy(id.mutable_data(), &number, sizeof number);
  return id;
}

double SecondsSince(TimePoint start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// The next server reads all entries at least once.
double SecondsOfCopy(const Mapping& index, uint64_t entries) {
  std::vector<std::byte> copy(entries * sizeof(IndexEntry));
  const TimePoint start = std::chrono::steady_clock::now();
  std::memcpy(copy.data(), index.As<const IndexHeader>()->entries.get(), copy.size());
  return SecondsSince(start);
}

}  // namespace

std::vector<Figure> RestartFigures() {
  const test::RunFolder folder;
  const std::string socket = folder.File("store");
  const auto store = test::DaemonProcess::Start("plasma_store", {"-m", "2G", "-s", socket});
  RAYLET_CHECK(store, store.error().message);
  const auto client = client::StoreClient::Connect(socket, "bench", Deadline::AfterMs(5000), false);
  RAYLET_CHECK(client, client.error().message);
  const std::vector<std::byte> data(kKeptBytes, std::byte{7});
  for (uint64_t number = 0; number < kKeptObjects;) {
    std::vector<ObjectId> ids(kObjectsPerBatch);
    std::vector<client::BatchObject> batch(kObjectsPerBatch);
    for (size_t i = 0; i < kObjectsPerBatch; ++i, ++number) {
      ids[i] = IdOf(number);
      batch[i] = {ids[i], data, {}};
    }
    const auto made = (*client)->CreateAndSealBatch(batch, {});
    RAYLET_CHECK(made, made.error().message);
  }
  const auto segment = OpenNamedSegmentReadOnly(IndexSegmentName(socket));
  RAYLET_CHECK(segment, segment.error().message);
  const auto index = Mapping::Map(segment->get(), *FileSize(segment->get()), Mapping::Access::kReadOnly);
  RAYLET_CHECK(index, index.error().message);

  // Until a request of a client that was connected before is answered.
  std::vector<double> away;
  for (int kill = 0; kill < kKills; ++kill) {
    const TimePoint start = std::chrono::steady_clock::now();
    ::kill(store->server_pid(), SIGKILL);
    const ObjectId id = ObjectId::FromRandom();
    const auto put = (*client)->CreateAndSeal(id, data, {}, {});
    RAYLET_CHECK(put, put.error().message);
    away.push_back(SecondsSince(start));
    const auto deleted = (*client)->Delete({&id, 1});
    RAYLET_CHECK(deleted && deleted->front() == ErrorCode::kOk, "it is not there");
  }
  for (uint64_t number = 0; number < kKeptObjects; ++number)
    RAYLET_CHECK((*client)->Contains(IdOf(number)).value_or(false), "object ", number, " is lost");
  Figure figure = TimeFigure("back after kill -9 with a million objects", away, 1e3, "ms", "a copy of their entries",
                             SecondsOfCopy(*index, kKeptObjects) * 1e3);
  figure.promise = {Promise::Of::kMedian, Promise::Side::kAtMost, 1000};
  return {std::move(figure)};
}

}  // namespace raylet::bench
