// A killed driver leaves nothing behind. A killed raylet means an exception, not a hang.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "client/plasma/store_client.h"
#include "fbs/segment_layout.h"
#include "tests/client/ray/cluster/cluster_functions.h"
#include "tests/client/ray/cluster/keeper.h"
#include "tests/harness/daemon_process.h"
#include "tests/harness/own_time.h"
#include "tests/harness/run_folder.h"
#include "tests/harness/sleeps.h"

namespace cluster_test {
namespace {

using raylet::test::DaemonProcess;
using raylet::test::Eventually;
using raylet::test::OwnTime;
using raylet::test::ProcessesWith;
using raylet::test::ProcessOptions;
using raylet::test::RunFolder;
using raylet::test::Sleeps;
using namespace std::chrono_literals;

bool Gone(int pid) { return ::kill(pid, 0) != 0; }

class ClusterDeathTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto store = DaemonProcess::Start("plasma_store", {"-m", "64M", "-s", store_socket_});
    ASSERT_TRUE(store) << store.error().message;
    store_ = std::make_unique<DaemonProcess>(*std::move(store));
    auto raylet = DaemonProcess::Start("raylet", {"--socket", raylet_socket_, "--store-socket", store_socket_,
                                                  "--num-cpus", "2", "--logs-folder", folder_.path()});
    ASSERT_TRUE(raylet) << raylet.error().message;
    raylet_ = std::make_unique<DaemonProcess>(*std::move(raylet));
  }

  size_t StoredObjects() {
    auto client = raylet::client::StoreClient::Connect(store_socket_, "test", raylet::Deadline::After(30s), false);
    if (!client) return ~size_t{0};
    const auto list = (*client)->List();
    return list ? list->size() : ~size_t{0};
  }

  RunFolder folder_;
  const std::string store_socket_ = folder_.File("store.sock");
  const std::string raylet_socket_ = folder_.File("raylet.sock");
  std::unique_ptr<DaemonProcess> store_;
  std::unique_ptr<DaemonProcess> raylet_;
};

TEST_F(ClusterDeathTest, AKilledDriverLeavesNothing) {
  EXPECT_EQ(StoredObjects(), 0u);
  ProcessOptions options;
  options.environment = {{"RAY_ADDRESS", raylet_socket_}};
  auto driver = DaemonProcess::StartPlain(RAY_CLUSTER_DRIVER, {}, options);
  ASSERT_TRUE(driver) << driver.error().message;
  int actor = 0;
  int worker = 0;
  ASSERT_TRUE(Eventually(20s, [&] {
    const std::string output = driver->Output();
    const size_t at = output.find("pids ");
    return at != std::string::npos && std::sscanf(output.c_str() + at, "pids %d %d", &actor, &worker) == 2;
  })) << driver->Output();
  EXPECT_GE(StoredObjects(), 4u);
  driver->Kill();
  const OwnTime time;
  EXPECT_TRUE(Eventually(30s, [&] { return Gone(actor) && Gone(worker) && ProcessesWith(raylet_socket_).empty(); }));
  EXPECT_TRUE(Eventually(30s, [&] { return StoredObjects() == 0; })) << StoredObjects();
  EXPECT_LT(time.Elapsed(), 1s);
}

TEST(ClusterPrivateDeathTest, AKilledDriverTakesItsPrivateDaemonsWithItWithinASecond) {
  const RunFolder folder;
  ProcessOptions options;
  options.environment = {{"RAY_ADDRESS", ""}, {"XDG_RUNTIME_DIR", folder.path()}};
  auto driver = DaemonProcess::StartPlain(RAY_CLUSTER_DRIVER, {}, options);
  ASSERT_TRUE(driver) << driver.error().message;
  ASSERT_TRUE(Eventually(20s, [&] { return driver->Output().find("pids ") != std::string::npos; })) << driver->Output();
  EXPECT_GE(ProcessesWith(folder.path()).size(), 6u) << "driver, two daemons, two actors, a worker";
  std::vector<std::string> sockets;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder.path()))
    if (entry.is_socket()) sockets.push_back(entry.path());
  std::vector<std::string> left = sockets;
  for (const std::string& socket : sockets) left.push_back("/dev/shm/" + raylet::IndexSegmentName(socket));
  std::erase_if(left, [](const std::string& path) { return !std::filesystem::exists(path); });
  ASSERT_EQ(left.size(), 3u) << "two sockets and the index of one";
  driver->Kill();
  const OwnTime time;
  EXPECT_TRUE(Eventually(30s,
                         [&] {
                           std::erase_if(left, [](const std::string& path) { return !std::filesystem::exists(path); });
                           return left.empty() && ProcessesWith(folder.path()).empty();
                         }))
      << ProcessesWith(folder.path()).size() << " processes are left, and " << left.size() << " files";
  EXPECT_LT(time.Elapsed(), 1s);
}

TEST_F(ClusterDeathTest, AKilledRayletEndsEveryWaitWithItsName) {
  ray::RayConfig config;
  config.address = raylet_socket_;
  ray::Init(config);
  auto counter = ray::Actor(Counter::Create).Remote(1);
  auto call = counter.Task(&Counter::Sleep).Remote(20'000);
  raylet_->Kill();
  const OwnTime time;
  try {
    call.Get();
    FAIL() << "nothing was thrown";
  } catch (const ray::internal::RayException& e) {
    EXPECT_NE(std::string(e.what()).find(raylet_socket_), std::string::npos) << e.what();
  }
  EXPECT_LT(time.Elapsed(), 1s);
  ray::Shutdown();
}

TEST_F(ClusterDeathTest, ShutdownEndsAGetOfAnObjectThatAnotherProcessOwns) {
  ray::RayConfig config;
  config.address = raylet_socket_;
  ray::Init(config);
  const auto owner = ray::Actor(Keeper::Create).Remote();
  const TextRef another = *owner.Task(&Keeper::StartSlowly).Remote().Get();
  std::atomic<pid_t> thread{0};
  std::string said;
  std::thread getter([&] {
    thread = ::gettid();
    try {
      another.Get();
    } catch (const ray::internal::RayException& e) {
      said = e.what();
    }
  });
  EXPECT_TRUE(Eventually(20s, [&] { return thread != 0 && Sleeps(thread); }));
  ray::Shutdown();
  getter.join();
  EXPECT_NE(said.find("shut down"), std::string::npos) << said;
}

TEST_F(ClusterDeathTest, DroppedValuesAndArraysLeaveTheStore) {
  ray::RayConfig config;
  config.address = raylet_socket_;
  ray::Init(config);
  {
    auto publisher = ray::Actor(Publisher::Create).Remote(1000);
    for (int i = 0; i < 20; ++i) {
      const auto given = ray::Array<float>::CopyOf(std::vector<float>(100, 3));
      publisher.Task(&Publisher::Take).Remote(given).Get();
      publisher.Task(&Publisher::Publish).Remote(i).Get();
      publisher.Task(&Publisher::Current).Remote().Get();
    }
    publisher.Task(&Publisher::Drop).Remote().Get();
    const auto large = ray::Task(Repeat).Remote(std::string("ab"), 100'000);
    EXPECT_EQ(large.Get()->size(), 200'000u);
    // The publisher's current version, and the large result.
    EXPECT_TRUE(Eventually(30s, [&] { return StoredObjects() == 2; })) << StoredObjects();
  }
  EXPECT_TRUE(Eventually(30s, [&] { return StoredObjects() == 0; })) << StoredObjects();
  ray::Shutdown();
}

TEST_F(ClusterDeathTest, AForkedChildIsToldSo) {
  ray::RayConfig config;
  config.address = raylet_socket_;
  ray::Init(config);
  const pid_t child = ::fork();
  if (child == 0) {
    try {
      ray::Put(1);
    } catch (const ray::internal::RayException& e) {
      ::_exit(std::string(e.what()).find("forked") != std::string::npos ? 0 : 2);
    }
    ::_exit(1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  EXPECT_EQ(*ray::Task(Add).Remote(1, 2).Get(), 3);
  ray::Shutdown();
}

TEST(ClusterAbsentDaemonsTest, SaysHowToStartARayletThatIsNotThere) {
  ray::RayConfig config;
  config.address = "/tmp/no-such-raylet.sock";
  try {
    ray::Init(config);
    FAIL() << "nothing was thrown";
  } catch (const ray::internal::RayException& e) {
    EXPECT_NE(std::string(e.what()).find("raylet --socket /tmp/no-such-raylet.sock"), std::string::npos) << e.what();
  }
  EXPECT_FALSE(ray::IsInitialized());
}

}  // namespace
}  // namespace cluster_test
