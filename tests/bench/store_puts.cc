#include "tests/bench/store_puts.h"

#include <plasma/client.h>

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <new>

#include "base/check.h"
#include "base/waiter.h"

namespace raylet::bench {
namespace {

using plasma::ObjectBuffer;
using plasma::ObjectID;
using plasma::PlasmaClient;

constexpr useconds_t kPauseUs = 2'000;  // until everybody has parked
const std::string kKilobyte(1024, 'x');

void Check(const plasma::Status& status) { RAYLET_CHECK(status.ok(), status.ToString()); }

ObjectID NewId() { return ObjectID::from_random(); }
std::vector<ObjectID> NewIds(size_t count) {
  std::vector<ObjectID> ids(count);
  for (ObjectID& id : ids) id = NewId();
  return ids;
}

// In memory that a child shares.
struct Meeting {
  std::atomic<uint32_t> round{0};  // that the child waits in
  std::atomic<uint32_t> answered{0};
  std::atomic<uint64_t> woke_ns{0};
};

class Child {
 public:
  explicit Child(const std::function<void(Meeting&)>& work)
      : meeting_(new (::mmap(nullptr, sizeof(Meeting), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))
                     Meeting) {
    pid_ = ::fork();
    RAYLET_CHECK(pid_ >= 0, "no process for a benchmark");
    if (pid_ > 0) return;
    work(*meeting_);
    ::_exit(0);
  }
  ~Child() {
    ::waitpid(pid_, nullptr, 0);
    ::munmap(meeting_, sizeof(Meeting));
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  Meeting& meeting() { return *meeting_; }

 private:
  Meeting* meeting_;
  pid_t pid_ = 0;
};

struct ParkedLimits {
  std::vector<double> wakes, round_trips;
};

// A futex wake, one way and there and back, of a process that has slept for a while.
ParkedLimits FutexAfterAPause() {
  constexpr uint32_t kRounds = 200;
  Child child([](Meeting& meeting) {
    for (uint32_t i = 0; i < kRounds; ++i) {
      while (meeting.round.load() == i) FutexWait(&meeting.round, i, std::chrono::seconds(1));
      meeting.woke_ns = static_cast<uint64_t>(NowSeconds() * 1e9);
      meeting.answered = i + 1;
      FutexWakeAll(&meeting.answered);
    }
  });
  ParkedLimits limits;
  Meeting& meeting = child.meeting();
  for (uint32_t i = 0; i < kRounds; ++i) {
    ::usleep(kPauseUs);
    const double start = NowSeconds();
    meeting.round = i + 1;
    FutexWakeAll(&meeting.round);
    while (meeting.answered.load() == i) FutexWait(&meeting.answered, i, std::chrono::seconds(1));
    limits.round_trips.push_back(NowSeconds() - start);
    limits.wakes.push_back(static_cast<double>(meeting.woke_ns.load()) / 1e9 - start);
  }
  return limits;
}

// From the call of Seal here until a Get in another process returns that waited for it.
std::vector<double> SealToBlockedGet(const std::string& socket, bool parked) {
  const uint32_t rounds = parked ? 300 : 5'000;
  const std::vector<ObjectID> ids = NewIds(rounds);
  Child child([&](Meeting& meeting) {
    PlasmaClient client;
    Check(client.Connect(socket));
    for (uint32_t i = 0; i < rounds; ++i) {
      meeting.round = i + 1;
      ObjectBuffer got;
      Check(client.Get(&ids[i], 1, 10'000, &got));
      meeting.woke_ns = static_cast<uint64_t>(NowSeconds() * 1e9);
      meeting.answered = i + 1;
      Check(client.Release(ids[i]));
    }
  });
  Meeting& meeting = child.meeting();
  PlasmaClient client;
  Check(client.Connect(socket));
  const auto wait_for = [&](const std::atomic<uint32_t>& word, uint32_t value) {
    if (parked) {
      while (word.load() != value) ::usleep(50);
    } else {
      while (!SpinUntil(std::chrono::steady_clock::now() + std::chrono::milliseconds(1),
                        [&] { return word.load() == value; })) {}
    }
  };
  std::vector<double> seconds;
  for (uint32_t i = 0; i < rounds; ++i) {
    std::shared_ptr<plasma::Buffer> data;
    Check(client.Create(ids[i], 1024, nullptr, 0, &data));
    wait_for(meeting.round, i + 1);
    if (parked) ::usleep(kPauseUs);
    const double start = NowSeconds();
    Check(client.Seal(ids[i]));
    wait_for(meeting.answered, i + 1);
    seconds.push_back(static_cast<double>(meeting.woke_ns.load()) / 1e9 - start);
    Check(client.Release(ids[i]));
  }
  return seconds;
}

std::vector<double> Puts(PlasmaClient& client, int count, useconds_t pause_us) {
  std::vector<double> seconds;
  for (int i = 0; i < count; ++i) {
    const ObjectID id = NewId();
    if (pause_us > 0) ::usleep(pause_us);
    const double start = NowSeconds();
    Check(client.CreateAndSeal(id, kKilobyte, ""));
    seconds.push_back(NowSeconds() - start);
  }
  return seconds;
}

std::vector<double> Batches(PlasmaClient& client) {
  constexpr size_t kObjects = 100;
  const std::vector<std::string> data(kObjects, kKilobyte), metadata(kObjects);
  std::vector<double> seconds;
  for (int i = 0; i < 300; ++i) {
    const std::vector<ObjectID> ids = NewIds(kObjects);
    const double start = NowSeconds();
    Check(client.CreateAndSealBatch(ids, data, metadata));
    seconds.push_back(NowSeconds() - start);
  }
  return seconds;
}

struct Stream {
  std::vector<double> puts;  // seconds for each put of a group
  double per_second = 0;
};

// The store is full after the first million, so that each further put evicts another object.
Stream PutsOneAfterAnother(PlasmaClient& client, size_t groups) {
  constexpr size_t kGroup = 1'000, kFill = 1'100;
  Stream stream;
  double start = 0;
  for (size_t group = 0; group < kFill + groups; ++group) {
    const std::vector<ObjectID> ids = NewIds(kGroup);
    if (group == kFill) {
      Check(client.Flush());
      start = NowSeconds();
    }
    const double began = NowSeconds();
    for (const ObjectID& id : ids) Check(client.CreateAndSealAsync(id, kKilobyte, ""));
    if (group >= kFill) stream.puts.push_back((NowSeconds() - began) / kGroup);
  }
  Check(client.Flush());
  stream.per_second = static_cast<double>(kGroup * groups) / (NowSeconds() - start);
  return stream;
}

}  // namespace

std::vector<Figure> PutFigures(const std::string& socket, double spin_us, bool brief) {
  const ParkedLimits futex = FutexAfterAPause();
  const double wake_us = Percentile(futex.wakes, 50) * 1e6, futex_us = Percentile(futex.round_trips, 50) * 1e6;
  std::vector<Figure> figures;
  figures.push_back(TimeFigure("seal to blocked get, busy", SealToBlockedGet(socket, false), 1e6, "us",
                               "round trip of two spinning processes", spin_us));
  figures.push_back(TimeFigure("seal to blocked get, parked", SealToBlockedGet(socket, true), 1e6, "us",
                               "futex wake after a pause", wake_us));
  PlasmaClient client;
  Check(client.Connect(socket));
  figures.push_back(TimeFigure("create + seal 1 KiB, busy", Puts(client, 50'000, 0), 1e6, "us",
                               "round trip of two spinning processes", spin_us));
  figures.push_back(TimeFigure("create + seal 1 KiB, parked", Puts(client, 300, kPauseUs), 1e6, "us",
                               "futex round trip after a pause", futex_us));
  figures.push_back(
      TimeFigure("batch of 100 of 1 KiB", Batches(client), 1e6, "us", "round trip of two spinning processes", spin_us));
  const Stream stream = PutsOneAfterAnother(client, brief ? 100 : 1'000);
  figures.push_back(
      TimeFigure("put 1 KiB, asynchronous", stream.puts, 1e6, "us", "round trip of two spinning processes", spin_us));
  Figure rate;
  rate.name = "the same, published";
  rate.p50 = rate.p99 = stream.per_second;
  rate.unit = "objects/s";
  rate.limit_name = "one in a round trip of two spinning processes";
  rate.limit = 1e6 / spin_us;
  figures.push_back(rate);
  Check(client.Disconnect());
  return figures;
}

}  // namespace raylet::bench
