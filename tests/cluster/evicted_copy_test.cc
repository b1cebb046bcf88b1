// Copies of other machines' objects that are evicted before their waiter has seen them. The driver
// belongs to machine A, and B has the resource "there".
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <fstream>

#include "tests/client/ray/cluster/cluster_functions.h"
#include "tests/cluster/machines.h"
#include "tests/harness/await_file.h"
#include "tests/harness/stop_process.h"

namespace cluster_test {

// A text of so many bytes, once there is a file `path`.
std::string RepeatOnceToldTo(const std::string& path, int bytes) {
  raylet::test::AwaitFile(path);
  return std::string(static_cast<size_t>(bytes), 'x');
}
class Reader {
 public:
  static Reader* Create() { return new Reader(); }
  int Pid() const { return WorkerPid(); }
  size_t LengthOf(const std::vector<ray::ObjectRef<std::string>>& refs) { return LengthOfRefs(refs); }
  size_t WaitFor(const std::vector<ray::ObjectRef<std::string>>& refs) {
    return ray::Wait(refs, static_cast<int>(refs.size()), -1).ready.size();
  }
};
RAY_REMOTE(RepeatOnceToldTo, Reader::Create, &Reader::Pid, &Reader::LengthOf, &Reader::WaitFor);

namespace {

using raylet::test::Eventually;
using raylet::test::Machine;
using raylet::test::RunFolder;
using raylet::test::StopProcess;
using raylet::test::WriteToken;
using namespace std::chrono_literals;

constexpr int kBytes = 1'000'000;

class EvictedCopyTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ray::RayConfig config;
    config.address = a_.socket();
    ray::Init(config);
  }
  void TearDown() override { ray::Shutdown(); }

  size_t WantedByB() const { return b_.Status().value("/transfers/objects_wanted"_json_pointer, ~size_t{0}); }
  void EvictAllOfB() const {
    const auto client =
        raylet::client::StoreClient::Connect(b_.store_socket(), "test", raylet::Deadline::After(30s), false);
    ASSERT_TRUE(client);
    ASSERT_TRUE((*client)->Evict(kBytes));
  }

  // The actor's process is stopped from before the copy comes until after it has been evicted.
  template <class Method>
  size_t AnswerOf(Method method) {
    auto reader = ray::Actor(Reader::Create).SetResource("there", 1).Remote();
    const int pid = *reader.Task(&Reader::Pid).Remote().Get(20'000);
    const std::string told = folder_.File("told");
    const std::vector made = {ray::Task(RepeatOnceToldTo).SetResource("here", 1).Remote(told, kBytes)};
    const auto answer = reader.Task(method).Remote(made);
    EXPECT_TRUE(Eventually(20s, [&] { return WantedByB() == 1; }));
    EXPECT_TRUE(StopProcess(pid));
    std::ofstream(told).put('x');
    EXPECT_TRUE(Eventually(20s, [&] { return b_.StoredObjects() == 1 && WantedByB() == 0; }));
    const auto evicted = [&] {  // the raylet may hold the copy for a moment longer
      EvictAllOfB();
      return b_.StoredObjects() == 0;
    };
    EXPECT_TRUE(Eventually(20s, evicted));
    ::kill(pid, SIGCONT);
    return *answer.Get(20'000);
  }

  RunFolder folder_;
  const std::string token_ = WriteToken(folder_);
  Machine a_{token_, {"--num-cpus", "2", "--resources", R"({"here": 1})"}};
  Machine b_{token_, {"--num-cpus", "2", "--resources", R"({"there": 1})", "--peers", a_.address}};
};

TEST_F(EvictedCopyTest, AGetThatHasNotSeenTheCopyGetsAnother) {
  EXPECT_EQ(AnswerOf(&Reader::LengthOf), static_cast<size_t>(kBytes));
}

TEST_F(EvictedCopyTest, AWaitThatHasNotSeenTheCopyGetsAnother) { EXPECT_EQ(AnswerOf(&Reader::WaitFor), 1u); }

}  // namespace
}  // namespace cluster_test
