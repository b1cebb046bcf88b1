// A real plasma_store that gives idle memory back to the machine.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include "tests/store/store_daemon_fixture.h"

namespace raylet::test {
namespace {

constexpr uint64_t kDecayMiB = uint64_t{1} << 20;

class StoreDecayTest : public StoreDaemonTest {
 protected:
  void SetUp() override {
    auto daemon = DaemonProcess::Start("plasma_store", {"-m", "32M", "-s", socket_, "--decay", "1"});
    ASSERT_TRUE(daemon) << daemon.error().message;
    daemon_.emplace(std::move(*daemon));
  }
  // Of the arena.
  static uint64_t MemoryOf(RawClient& client) {
    struct stat status {};
    EXPECT_EQ(::fstat(client.connection.fds().at(0).get(), &status), 0);
    return static_cast<uint64_t>(status.st_blocks) * 512;
  }
};

TEST_F(StoreDecayTest, IdleMemoryGoesBackAndIsReservedAgainAlsoByTheNextServer) {
  RawClient client = Connect();
  ASSERT_EQ(client.Create(1, 8 * kDecayMiB), ErrorCode::kOk);
  ASSERT_EQ(client.Seal(1), ErrorCode::kOk);
  EXPECT_TRUE(Eventually(std::chrono::seconds(20), [&] { return MemoryOf(client) < 12 * kDecayMiB; }));
  EXPECT_GE(MemoryOf(client), 8 * kDecayMiB) << "the object's";
  const pid_t server = daemon_->server_pid();
  ::kill(server, SIGKILL);
  ASSERT_TRUE(Eventually(std::chrono::seconds(20),
                         [&] { return daemon_->server_pid() != server && daemon_->server_pid() != daemon_->pid(); }));
  RawClient next = Connect();
  EXPECT_EQ(next.counters().sealed_bytes, 8 * kDecayMiB);
  ASSERT_EQ(next.Create(2, 20 * kDecayMiB), ErrorCode::kOk);
  EXPECT_GE(MemoryOf(next), 28 * kDecayMiB) << "before anybody writes it";
}

}  // namespace
}  // namespace raylet::test
