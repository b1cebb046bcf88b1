// Workers that die around the seal of a result. The next run of the call replaces the result, and no byte stays behind.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <fcntl.h>
#include <array>
#include <chrono>
#include <random>
#include <thread>
#include <vector>

#include "tests/client/ray/cluster/cluster_functions.h"
#include "tests/cluster/two_machines.h"

namespace cluster_test {
namespace {

using ray::internal::RayActorException;
using ray::internal::RayWorkerException;
using raylet::test::Eventually;
using raylet::test::Machine;
using namespace std::chrono_literals;

#ifdef RAYLET_SANITIZED
constexpr int kDyingCalls = 8;
#else
constexpr int kDyingCalls = 100;
#endif
constexpr size_t kLarge = 200'000;  // sealed in the store
constexpr size_t kSmall = 100;      // inline
constexpr int kDeaths = 3;          // deaths of workers for one call; a late death ends the next call, too
constexpr int kRetries = 30;
constexpr std::array kLateness{0us, 800us};

// Which run of this call this is, from 1: a file for each.
int RunOf(const std::string& call) {
  for (int run = 1;; ++run) {
    const std::string path = call + "." + std::to_string(run);
    const int fd = ::open(path.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0) continue;
    ::close(fd);
    return run;
  }
}

void DieSoon() {
  std::random_device seed;
  const std::chrono::microseconds late(
      std::uniform_int_distribution<int64_t>(kLateness[0].count(), kLateness[1].count())(seed));
  std::thread([late] {
    const auto end = std::chrono::steady_clock::now() + late;
    while (std::chrono::steady_clock::now() < end) {}
    ::kill(::getpid(), SIGKILL);
  }).detach();
}

// Its first runs die while, or shortly before or after, the result is sealed and told. The second result is small.
std::string TextOfADyingWorker(std::string call) {
  const int run = RunOf(call);
  if (run <= kDeaths) DieSoon();
  return std::string(run == 2 ? kSmall : kLarge, 'x');
}

class Dying {
 public:
  static Dying* Create() { return new Dying(); }
  std::string Text() {
    DieSoon();
    return std::string(kLarge, 'x');
  }
};
RAY_REMOTE(TextOfADyingWorker, Dying::Create, &Dying::Text);

class DyingWorkersTest : public raylet::test::TwoMachines {
 protected:
  ray::ObjectRef<std::string> Call(int number, int retries, bool there = false) {
    auto task = ray::Task(TextOfADyingWorker);
    task.SetMaxRetries(retries);
    if (there) task.SetResource("there", 1);
    return task.Remote(folder_.File("call" + std::to_string(number)));
  }
  static bool IsWhole(const std::string& text) {
    return (text.size() == kLarge || text.size() == kSmall) && text.find_first_not_of('x') == std::string::npos;
  }
  static uint64_t UsedBytes(const Machine& machine) {
    const auto client =
        raylet::client::StoreClient::Connect(machine.store_socket(), "test", raylet::Deadline::After(30s), false);
    return client ? (*client)->capacity_bytes() - (*client)->free_bytes() : ~uint64_t{0};
  }
  void ExpectEmptyStores() {
    EXPECT_TRUE(Eventually(30s, [&] { return UsedBytes(a_) == 0 && UsedBytes(b_) == 0; }))
        << UsedBytes(a_) << " bytes stay at A, " << UsedBytes(b_) << " at B";
  }
};

TEST_F(DyingWorkersTest, ATaskWithRetriesLeftGivesItsValueAndLeavesNoByte) {
  {
    std::vector<ray::ObjectRef<std::string>> calls;
    for (int i = 0; i < kDyingCalls; ++i) calls.push_back(Call(i, kRetries));
    for (const auto& call : calls) ASSERT_TRUE(IsWhole(*call.Get()));
  }
  ExpectEmptyStores();
}

TEST_F(DyingWorkersTest, ATaskWithRetriesOnAnotherMachineGivesItsValueAndLeavesNoByte) {
  {
    std::vector<ray::ObjectRef<std::string>> calls;
    for (int i = 0; i < kDyingCalls; ++i) calls.push_back(Call(i, kRetries, /*there=*/true));
    for (const auto& call : calls) ASSERT_TRUE(IsWhole(*call.Get()));
  }
  ExpectEmptyStores();
}

TEST_F(DyingWorkersTest, AFailedTaskLeavesNoByteWhileItsReferenceLives) {
  std::vector<ray::ObjectRef<std::string>> failed;
  {
    std::vector<ray::ObjectRef<std::string>> calls;
    for (int i = 0; i < 2 * kDyingCalls; ++i) calls.push_back(Call(i, 0, /*there=*/i % 2 == 1));
    for (const auto& call : calls) {
      try {
        EXPECT_TRUE(IsWhole(*call.Get()));
      } catch (const RayWorkerException&) {
        failed.push_back(call);
      }
    }
  }
  EXPECT_FALSE(failed.empty()) << "no worker died in time";
  ExpectEmptyStores();
}

TEST_F(DyingWorkersTest, AFailedActorCallLeavesNoByteWhileItsReferenceLives) {
  std::vector<ray::ObjectRef<std::string>> failed;
  for (int i = 0; i < 2 * kDyingCalls; ++i) {
    auto creator = ray::Actor(Dying::Create);
    if (i % 2 == 1) creator.SetResource("there", 1);
    auto actor = creator.Remote();
    const auto call = actor.Task(&Dying::Text).Remote();
    try {
      EXPECT_TRUE(IsWhole(*call.Get()));
    } catch (const RayActorException&) {
      failed.push_back(call);
    }
  }
  EXPECT_FALSE(failed.empty()) << "no worker died in time";
  ExpectEmptyStores();
}

}  // namespace
}  // namespace cluster_test
