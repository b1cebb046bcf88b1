// MeasuredRaylet: a raylet in this process, which measures the turns of its loop. It runs beside a fake store. As a
// member of a cluster it runs beside a real one. Owned by a test.
#pragma once

#include <sys/resource.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "base/strings.h"
#include "raylet/node/raylet.h"
#include "tests/harness/loop_thread.h"
#include "tests/raylet/node/node.h"

namespace raylet::test {

constexpr Duration kPatienceForAll = std::chrono::minutes(2);
// In CPU time, so other load on this machine does not count.
#ifdef RAYLET_SANITIZED
constexpr Duration kTurnMax = std::chrono::seconds(2);
#else
constexpr Duration kTurnMax = std::chrono::milliseconds(50);
#endif

class MeasuredRaylet {
 public:
  explicit MeasuredRaylet(RayletOptions options = {}) {
    rlimit descriptors{};
    EXPECT_EQ(::getrlimit(RLIMIT_NOFILE, &descriptors), 0);
    descriptors.rlim_cur = descriptors.rlim_max;
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &descriptors), 0);
    options.socket = socket();
    options.store_socket = store_socket();
    options.logs_folder = folder_.path();
    if (options.cluster) {
      auto store = DaemonProcess::Start("plasma_store", {"-m", "256M", "-s", store_socket()});
      if (!store) throw std::runtime_error(store.error().message);
      real_store_.emplace(*std::move(store));
    } else {
      store_.emplace(store_socket());
    }
    thread_.Run([&] {
      thread_.loop().MeasureTurns(clock_);
      auto link = ConnectStoreLink(thread_.loop(), options.store_socket);
      ASSERT_TRUE(link.has_value()) << link.error().message;
      link_ = std::move(*link);
      raylet_ = std::make_unique<Raylet>(thread_.loop(), options, *link_);
      const auto joined = raylet_->JoinPeers();
      ASSERT_TRUE(joined.has_value()) << joined.error().message;
      const auto listening = raylet_->Listen();
      ASSERT_TRUE(listening.has_value()) << listening.error().message;
      address_ = raylet_->PeerAddress();
    });
  }
  ~MeasuredRaylet() { Stop(); }

  std::string socket() const { return folder_.File("raylet"); }
  std::string store_socket() const { return folder_.File("store"); }
  const std::string& address() const { return address_; }  // where other raylets reach it

  // Returns once the raylet has gone, as it goes when it is killed.
  void Stop() {
    if (!raylet_) return;
    const auto stopped =
        thread_.Await<int>([this](auto done) { raylet_->Stop(Raylet::Ending::kKill, [done] { done(0); }); });
    EXPECT_TRUE(stopped.has_value());
    thread_.Run([this] {
      raylet_.reset();
      link_.reset();
    });
  }

  WireProcess Driver() {
    WireOptions options;
    options.executable = FakeWorkerPath();
    options.arguments = {"fake"};
    return std::move(*WireProcess::Register(socket(), options));
  }

  nlohmann::json Status() {
    std::string status;
    thread_.Run([&] { status = raylet_->StatusJson(); });
    return nlohmann::json::parse(status);
  }

  void Seal(const ObjectId& object) { store_->Seal(object); }  // of a fake store

  size_t CountWorkers() {
    size_t count = 0;
    thread_.Run([&] { count = raylet_->workers(); });
    return count;
  }

  // That the raylet's thread has used.
  Duration CpuTime() {
    TimePoint now;
    thread_.Run([&] { now = clock_.Now(); });
    return now.time_since_epoch();
  }

  Duration TakeLongestTurn() {
    Duration turn{};
    thread_.Run([&] { turn = thread_.loop().TakeLongestTurn(); });
    return turn;
  }
  // The longest turn since the last call stayed within the limit. The test's record names it.
  void ExpectShortTurns(const std::string& what) {
    const Duration longest = TakeLongestTurn();
    EXPECT_LT(longest, kTurnMax) << what << ": " << longest / std::chrono::microseconds(1) << " us";
    ::testing::Test::RecordProperty(StrCat("longest_turn_us_", what),
                                    std::to_string(longest / std::chrono::microseconds(1)));
  }

 private:
  RunFolder folder_;
  std::optional<FakeStore> store_;
  std::optional<DaemonProcess> real_store_;
  ThreadCpuClock clock_;
  LoopThread thread_;
  std::unique_ptr<StoreLink> link_;
  std::unique_ptr<Raylet> raylet_;
  std::string address_;
};

}  // namespace raylet::test
