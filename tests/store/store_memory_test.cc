// A plasma_store in a memory cgroup: what does not fit is refused, at start or to a client, and nothing
// is killed. Where this machine allows no cgroup, files that look like one do.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "tests/store/store_daemon_fixture.h"

namespace raylet::test {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

void Write(const std::string& path, const std::string& text) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  // In one step: the daemon reads it at any moment.
  std::ofstream(path + ".new") << text;
  std::filesystem::rename(path + ".new", path);
}

// A machine of which only files exist, with one cgroup of a limit.
class PaperMachine {
 public:
  explicit PaperMachine(uint64_t limit_bytes) {
    Write(folder_.File("proc/meminfo"), "MemAvailable: 102400000 kB\n");
    Write(folder_.File("proc/self/cgroup"), "0::/app\n");
    Write(folder_.File("sys/fs/cgroup/app/memory.max"), std::to_string(limit_bytes));
    Use(0);
  }
  void Use(uint64_t bytes) { Write(folder_.File("sys/fs/cgroup/app/memory.current"), std::to_string(bytes)); }
  const std::string& root() const { return folder_.path(); }

 private:
  RunFolder folder_;
};

// A memory cgroup of the kernel, v1 or v2.
class MemoryCgroup {
 public:
  // Empty path when the machine allows none.
  explicit MemoryCgroup(uint64_t limit_bytes) {
    for (const auto& [mount, limit] :
         {std::pair{"/sys/fs/cgroup/memory", "/memory.limit_in_bytes"}, std::pair{"/sys/fs/cgroup", "/memory.max"}}) {
      const std::string path = std::string(mount) + "/raylet-test-" + std::to_string(::getpid());
      if (::mkdir(path.c_str(), 0755) != 0) continue;
      std::ofstream file(path + limit);
      if (file && (file << limit_bytes).flush()) {
        path_ = path;
        return;
      }
      ::rmdir(path.c_str());
    }
  }
  ~MemoryCgroup() {
    if (path_.empty()) return;
    EXPECT_TRUE(Eventually(std::chrono::seconds(30), [this] { return ::rmdir(path_.c_str()) == 0; })) << path_;
  }
  MemoryCgroup(const MemoryCgroup&) = delete;
  MemoryCgroup& operator=(const MemoryCgroup&) = delete;
  explicit operator bool() const { return !path_.empty(); }
  // The command that runs `command` inside.
  std::vector<std::string> Inside(std::vector<std::string> command) const {
    command.insert(command.begin(), {"-c", "echo $$ > \"$0/cgroup.procs\" && exec \"$@\"", path_});
    return command;
  }
  // How often the kernel killed for want of memory here.
  uint64_t Kills() const {
    for (const char* file : {"/memory.oom_control", "/memory.events"}) {
      std::ifstream lines(path_ + file);
      for (std::string key, value; lines >> key >> value;)
        if (key == "oom_kill") return std::stoull(value);
    }
    ADD_FAILURE() << "the cgroup does not count kills";
    return 0;
  }

 private:
  std::string path_;
};

class StoreMemoryTest : public StoreDaemonTest {
 protected:
  void SetUp() override {}
  // Runs in the cgroup, or beside a paper machine of the same limit.
  Result<DaemonProcess> StartIn(const MemoryCgroup& cgroup, const PaperMachine& paper, const std::string& memory) {
    std::vector<std::string> arguments = {"-m", memory, "-s", socket_};
    if (!cgroup) {
      arguments.insert(arguments.end(), {"--memory-root", paper.root()});
      return DaemonProcess::Start("plasma_store", arguments);
    }
    arguments.insert(arguments.begin(), ProgramPath("plasma_store"));
    return DaemonProcess::Start("/bin/sh", cgroup.Inside(arguments));
  }
};

constexpr uint64_t kLimit = 200 * kMiB;

TEST_F(StoreMemoryTest, AStoreThatLeavesItsCgroupNoRoomForClientsIsRefusedAtStart) {
  const MemoryCgroup cgroup(kLimit);
  const PaperMachine paper(kLimit);
  const auto refused = StartIn(cgroup, paper, "150M");
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("-m 150M needs "), std::string::npos) << refused.error().message;
  EXPECT_NE(refused.error().message.find("its cgroup has "), std::string::npos) << refused.error().message;
  if (cgroup) {
    EXPECT_EQ(cgroup.Kills(), 0u);
  }
}

#ifdef RAYLET_SANITIZED
constexpr uint64_t kSanitizerBytes = 600 * kMiB;  // the sanitizer's own memory, of which the store knows nothing
#else
constexpr uint64_t kSanitizerBytes = 0;
#endif

TEST_F(StoreMemoryTest, AStoreThatItsCgroupHasRoomForIsNotKilledWhenItIsFullAndManyClientsCome) {
  const MemoryCgroup cgroup(kLimit + kSanitizerBytes);
  const PaperMachine paper(kLimit + kSanitizerBytes);
  auto daemon = StartIn(cgroup, paper, "130M");
  ASSERT_TRUE(daemon) << daemon.error().message;
  daemon_.emplace(std::move(*daemon));
  RawClient writer = Connect();
  ASSERT_EQ(writer.connection.fds().size(), 4u);
  struct stat status {};
  ASSERT_EQ(::fstat(writer.connection.fds()[1].get(), &status), 0);
  const auto arena =
      Mapping::Map(writer.connection.fds()[1].get(), static_cast<size_t>(status.st_size), Mapping::Access::kReadWrite);
  ASSERT_TRUE(arena);
  std::memset(arena->data(), 1, arena->size());  // every page that was reserved
  std::vector<RawClient> clients;
  uint64_t refusals = 0;
  for (int i = 0; i < 400 && refusals < 5; ++i) {
    RawClient client = Raw();
    client.Hello();
    const auto reply = client.Reply<wire::StoreHelloReplyT>();
    if (RawClient::CodeOf(reply) == ErrorCode::kOk) {
      clients.push_back(std::move(client));
      continue;
    }
    ++refusals;
    EXPECT_NE(reply.status->message.find("plasma_store has no memory for one more client"), std::string::npos)
        << reply.status->message;
  }
  EXPECT_GT(clients.size(), 8u);
  for (RawClient& client : clients) EXPECT_EQ(client.Create(1, 200 * kMiB), ErrorCode::kTooLarge) << "it is served";
  EXPECT_TRUE(daemon_->Running());
  if (cgroup) {
    EXPECT_EQ(cgroup.Kills(), 0u);
  }
  const auto end = daemon_->Terminate();
  ASSERT_TRUE(end) << end.error().message;
  EXPECT_EQ(end->signal, 0);
}

TEST_F(StoreMemoryTest, UnsealedObjectsNeedMemoryBesidesWithStrictIsolation) {
  PaperMachine machine(kLimit);
  auto daemon = DaemonProcess::Start(
      "plasma_store", {"-m", "16M", "-s", socket_, "--isolation=strict", "--memory-root", machine.root()});
  ASSERT_TRUE(daemon) << daemon.error().message;
  RawClient client = Connect();
  machine.Use(kLimit - 12 * kMiB);
  EXPECT_EQ(client.Create(1, 8 * kMiB), ErrorCode::kLimit);
  EXPECT_EQ(client.Create(2, 2 * kMiB), ErrorCode::kOk);
  EXPECT_EQ(client.Create(3, 3 * kMiB), ErrorCode::kLimit) << "the second is not sealed";
  ASSERT_EQ(client.Seal(2), ErrorCode::kOk);
  EXPECT_EQ(client.Create(3, 3 * kMiB), ErrorCode::kOk);
}

TEST_F(StoreMemoryTest, AClientForWhichNoMemoryIsLeftIsRefusedWithTheNumbers) {
  PaperMachine machine(kLimit);
  auto daemon = DaemonProcess::Start("plasma_store", {"-m", "16M", "-s", socket_, "--memory-root", machine.root()});
  ASSERT_TRUE(daemon) << daemon.error().message;
  RawClient first = Connect();
  machine.Use(kLimit - 3 * kMiB);
  RawClient second = Raw();
  second.Hello();
  const auto refused = second.Reply<wire::StoreHelloReplyT>();
  EXPECT_EQ(RawClient::CodeOf(refused), ErrorCode::kLimit);
  EXPECT_NE(refused.status->message.find("the machine or its cgroup has 3.0 MiB left; disconnect some clients"),
            std::string::npos)
      << refused.status->message;
  EXPECT_FALSE(second.Next()) << "and closed";
  EXPECT_EQ(first.Create(1, 1000), ErrorCode::kOk) << "who is in stays in";

  // A create whose data would have to wait here is refused, one without data waits.
  ASSERT_EQ(first.Create(2, 16 * kMiB - 1000), ErrorCode::kOk);
  wire::CreateAndSealRequestT carries;
  carries.id = std::make_unique<wire::Id20>(ToWire(IdOf(3)));
  carries.data.resize(5000);
  carries.timeout_ms = -1;
  first.Send(wire::StoreMessage::CreateAndSeal, carries);
  const auto no_room = first.Reply<wire::StatusReplyT>();
  EXPECT_EQ(RawClient::CodeOf(no_room), ErrorCode::kFull);
  EXPECT_NE(no_room.status->message.find("the data of a create that waits"), std::string::npos)
      << no_room.status->message;
  machine.Use(0);
  EXPECT_NE(Connect().number, 0u);
}

}  // namespace
}  // namespace raylet::test
