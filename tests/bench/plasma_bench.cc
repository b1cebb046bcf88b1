// What the store costs a program of Plasma's. One source for our headers and Plasma's own (tests/bench/compare_plasma).
// Usage: plasma_bench STORE_PROGRAM    prints a line for each kind of work: its name and the median in microseconds.
#ifndef AGAINST_PLASMA
#include <plasma/arrow_names.h>
#endif
#include <plasma/client.h>

#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

extern char** environ;

namespace {

using plasma::ObjectBuffer;
using plasma::ObjectID;
using plasma::PlasmaClient;

void Check(const arrow::Status& status) {
  if (status.ok()) return;
  fprintf(stderr, "plasma_bench: %s\n", status.ToString().c_str());
  exit(1);
}

double NowUs() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

ObjectID NewId() {
  static std::mt19937_64 random{std::random_device{}()};
  ObjectID id;
  for (int64_t i = 0; i < ObjectID::size(); ++i) id.mutable_data()[i] = static_cast<uint8_t>(random());
  return id;
}

void Print(const char* name, std::vector<double> us) {
  std::sort(us.begin(), us.end());
  printf("%-28s %12.2f\n", name, us[us.size() / 2]);
}

// The median over rounds of the time of one of `count` steps.
void Measure(const char* name, int rounds, int count, const std::function<void()>& work) {
  std::vector<double> us;
  for (int round = 0; round < rounds; ++round) {
    const double start = NowUs();
    work();
    us.push_back((NowUs() - start) / count);
  }
  Print(name, us);
}

// From the call of Seal in this process until a Get in another one returns that waited for it.
void MeasureWake(PlasmaClient& client, const std::string& socket) {
  constexpr int kRounds = 200;
  struct Shared {
    std::atomic<int> waiting{-1};
    double returned[kRounds];
  };
  auto* const shared =
      new (::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) Shared;
  std::vector<ObjectID> ids(kRounds);
  std::generate(ids.begin(), ids.end(), NewId);
  const pid_t reader = ::fork();
  if (reader == 0) {
    PlasmaClient other;
    Check(other.Connect(socket));
    for (int round = 0; round < kRounds; ++round) {
      shared->waiting = round;
      ObjectBuffer got;
      Check(other.Get(&ids[static_cast<size_t>(round)], 1, -1, &got));
      shared->returned[round] = NowUs();
      Check(other.Release(ids[static_cast<size_t>(round)]));
    }
    shared->waiting = kRounds;
    ::_exit(0);
  }
  std::vector<double> us;
  for (int round = 0; round < kRounds; ++round) {
    std::shared_ptr<arrow::Buffer> data;
    Check(client.Create(ids[static_cast<size_t>(round)], 1024, nullptr, 0, &data));
    while (shared->waiting < round) {}
    const timespec parked{0, 2'000'000};
    ::nanosleep(&parked, nullptr);
    const double start = NowUs();
    Check(client.Seal(ids[static_cast<size_t>(round)]));
    while (shared->waiting <= round) {
      const timespec pause{0, 100'000};
      ::nanosleep(&pause, nullptr);
    }
    us.push_back(shared->returned[round] - start);
    Check(client.Release(ids[static_cast<size_t>(round)]));
  }
  ::waitpid(reader, nullptr, 0);
  Print("seal to a blocked get", us);
}

void Run(PlasmaClient& client) {
  constexpr size_t kObjects = 1000;
  std::vector<ObjectID> ids(kObjects);
  std::generate(ids.begin(), ids.end(), NewId);
  for (const ObjectID& id : ids) Check(client.CreateAndSeal(id, std::string(1024, 'x'), ""));
  Measure("get and release", 20, kObjects, [&] {
    for (const ObjectID& id : ids) {
      ObjectBuffer got;
      Check(client.Get(&id, 1, -1, &got));
      Check(client.Release(id));
    }
  });
  Measure("get of 100 in one call", 200, 1, [&] {
    std::vector<ObjectBuffer> got;
    Check(client.Get(std::vector<ObjectID>(ids.begin(), ids.begin() + 100), -1, &got));
  });
  const std::string kilobyte(1024, 'x');
  Measure("create and seal of 1 KiB", 20, 500, [&] {
    for (int i = 0; i < 500; ++i) Check(client.CreateAndSeal(NewId(), kilobyte, ""));
  });
  Measure("batch of 100 of 1 KiB", 100, 1, [&] {
    std::vector<ObjectID> batch(100);
    std::generate(batch.begin(), batch.end(), NewId);
    Check(client.CreateAndSealBatch(batch, std::vector<std::string>(100, kilobyte), std::vector<std::string>(100)));
  });
  const std::vector<char> large(size_t{256} << 20, 'x');
  Measure("put of 256 MiB", 8, 1, [&] {
    const ObjectID id = NewId();
    std::shared_ptr<arrow::Buffer> data;
    Check(client.Create(id, static_cast<int64_t>(large.size()), nullptr, 0, &data));
    std::memcpy(data->mutable_data(), large.data(), large.size());
    data.reset();
    Check(client.Seal(id));
    Check(client.Release(id));
    Check(client.Delete(id));
  });
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: plasma_bench STORE_PROGRAM\n");
    return 2;
  }
  char folder[] = "/tmp/plasma-bench-XXXXXX";
  if (::mkdtemp(folder) == nullptr) return 1;
  const std::string socket = std::string(folder) + "/store";
  const char* arguments[] = {argv[1], "-m", "1000000000", "-s", socket.c_str(), nullptr};
  pid_t store = 0;
  if (::posix_spawn(&store, argv[1], nullptr, nullptr, const_cast<char**>(arguments), environ) != 0) return 1;
  {
    PlasmaClient client;
    Check(client.Connect(socket));
    Run(client);
    MeasureWake(client, socket);
    Check(client.Disconnect());
  }
  ::kill(store, SIGTERM);
  ::waitpid(store, nullptr, 0);
  ::unlink(socket.c_str());
  ::rmdir(folder);
  return 0;
}
