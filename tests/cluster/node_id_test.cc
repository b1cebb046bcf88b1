// Several raylets claim one node id. The later of two is refused and named; the earlier works on. A raylet that lost
// its lease to another ends. A raylet that starts again is known at once.
#include <gtest/gtest.h>
#include <signal.h>

#include "tests/client/ray/cluster/cluster_functions.h"
#include "tests/cluster/machines.h"
#include "tests/harness/redis_server.h"

namespace cluster_test {
namespace {

using raylet::Deadline;
using raylet::test::DaemonProcess;
using raylet::test::Eventually;
using raylet::test::Machine;
using raylet::test::RedisServer;
using raylet::test::RunFolder;
using raylet::test::WriteToken;
using namespace std::chrono_literals;
using FlagList = std::vector<std::string>;

const std::string kNodeId(40, '7');

class NodeIds : public ::testing::Test {
 protected:
  void TearDown() override { ray::Shutdown(); }

  // `here`: the resource that the machine has beside two CPUs.
  static FlagList Has(const std::string& here, FlagList more) {
    more.insert(more.end(), {"--num-cpus", "2", "--resources", "{\"" + here + "\": 2}"});
    return more;
  }
  static FlagList Same(FlagList more) {
    more.insert(more.end(), {"--node-id", kNodeId});
    return more;
  }
  static void InitAt(const Machine& machine) {
    ray::RayConfig config;
    config.address = machine.socket();
    ray::Init(config);
  }
  static void WorkAt(const std::string& resource) {
    ASSERT_EQ(*ray::Task(Add).SetResource(resource, 1).Remote(3, 4).Get(60'000), 7);
  }
  static bool Says(const Machine& machine, const std::string& words) {
    return Eventually(60s, [&] { return machine.raylet->Output().find(words) != std::string::npos; });
  }

  RunFolder folder_;
  const std::string token_ = WriteToken(folder_);
};

TEST_F(NodeIds, PeersRefuseTheSecondRayletOfOneNodeIdAndTheFirstWorksOn) {
  Machine first(token_, Has("first", Same({})));
  Machine other(token_, Has("other", {"--peers", first.address}));
  InitAt(other);
  WorkAt("first");
  const Machine second(token_, Has("second", Same({"--peers", first.address, "--peers", other.address})));
  const std::string why = "two raylets have the node id " + kNodeId;
  EXPECT_TRUE(Says(second, "no connection to the raylet at " + first.address + ": " + why));
  EXPECT_TRUE(Says(second, "no connection to the raylet at " + other.address + ": " + why));
  for (const Machine* const each : {&first, &other}) {
    EXPECT_TRUE(Says(*each, why)) << each->raylet->Output();
    EXPECT_TRUE(Says(*each, second.address)) << each->raylet->Output();
  }
  for (int i = 0; i < 10; ++i) WorkAt("first");
}

class NodeIdsInAControlStore : public NodeIds {
 protected:
  FlagList Joins(FlagList more = {}) const {
    more.insert(more.end(), {"--control", redis_.address().Shown()});
    return more;
  }
  RedisServer redis_;
};

TEST_F(NodeIdsInAControlStore, TheSecondRayletOfOneNodeIdDoesNotStartAndHearsWhereTheFirstIs) {
  Machine first(token_, Has("first", Same(Joins())));
  Machine other(token_, Has("other", Joins()));
  InitAt(other);
  WorkAt("first");
  try {
    const Machine second(token_, Has("second", Same(Joins())));
    ADD_FAILURE() << second.raylet->Output();
  } catch (const std::runtime_error& e) {
    const std::string what = e.what();
    for (const std::string& words : {"two raylets with one node id: " + kNodeId, first.address, std::string("stop")})
      EXPECT_NE(what.find(words), std::string::npos) << what;
  }
  WorkAt("first");
}

TEST_F(NodeIdsInAControlStore, RestartedRayletNeedNotWaitForItsOldLease) {
  Machine first(token_, Has("first", Same(Joins())));
  Machine other(token_, Has("other", Joins()));
  InitAt(other);
  WorkAt("first");
  const std::string port = first.address.substr(first.address.rfind(':') + 1);
  first.raylet->Kill();
  const Machine again(token_, Has("first", Same(Joins({"--port", port}))));
  EXPECT_EQ(again.address, first.address);
  WorkAt("first");
}

TEST_F(NodeIdsInAControlStore, RayletWhoseLeaseWasTakenOverSaysSoAndEnds) {
  Machine first(token_, Has("first", Same(Joins())));
  Machine other(token_, Has("other", Joins()));
  InitAt(other);
  WorkAt("first");
  first.raylet->Signal(SIGSTOP);
  redis_.Ask({"DEL", "raylet:node:" + kNodeId});  // as after the ten seconds of its lease
  const Machine second(token_, Has("second", Same(Joins())));
  first.raylet->Signal(SIGCONT);
  const auto end = first.raylet->Wait(Deadline::AfterMs(60'000));
  ASSERT_TRUE(end) << first.raylet->Output();
  EXPECT_EQ(end->exit_code, 1);
  EXPECT_TRUE(Says(first, "was taken over: this raylet ends")) << first.raylet->Output();
  EXPECT_TRUE(Says(first, second.address)) << first.raylet->Output();
  WorkAt("second");
}

}  // namespace
}  // namespace cluster_test
