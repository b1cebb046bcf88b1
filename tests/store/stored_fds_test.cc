// Keeper and server die at once, and a service manager has their descriptors: the test plays systemd.
#include "store/stored_fds.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/strings.h"
#include "client/plasma/store_client.h"
#include "tests/harness/daemon_process.h"
#include "tests/harness/run_folder.h"

namespace raylet::store {
namespace {

using client::StoreClient;
using test::DaemonProcess;

constexpr int64_t kPatienceMs = 20'000;

std::span<const std::byte> BytesOf(const std::string& text) { return std::as_bytes(std::span(text)); }

TEST(TakeStoredFdsTest, OnlyWhatWasMeantForThisProcessIsTaken) {
  const auto set = [](const std::string& pid, const std::string& count) {
    ::setenv("LISTEN_PID", pid.c_str(), 1);
    ::setenv("LISTEN_FDS", count.c_str(), 1);
    ::setenv("LISTEN_FDNAMES", "plasma-arena", 1);
  };
  for (const auto& [pid, count] : std::map<std::string, std::string>{
           {"1", "1"}, {"", "1"}, {StrCat(::getpid()), "-1"}, {StrCat(::getpid()), "99999999"}}) {
    set(pid, count);
    const Kept kept = TakeStoredFds();
    EXPECT_FALSE(kept.arena) << pid << " " << count;
    EXPECT_FALSE(IsWhole(kept));
    EXPECT_EQ(std::getenv("LISTEN_PID"), nullptr);
    EXPECT_EQ(std::getenv("LISTEN_FDS"), nullptr);
  }
}

class StoredFdsTest : public testing::Test {
 protected:
  StoredFdsTest() : manager_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un at{};
    at.sun_family = AF_UNIX;
    std::strcpy(at.sun_path, notify_.c_str());
    EXPECT_EQ(::bind(manager_.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at), 0);
    const timeval wait{0, 20'000};
    ::setsockopt(manager_.get(), SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    reader_ = std::thread([this] { Read(); });
  }
  ~StoredFdsTest() override {
    stop_ = true;
    reader_.join();
  }
  // Obeys each message, as systemd does, however many wait.
  void Read() {
    while (!stop_) {
      char text[512];
      alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
      iovec into{text, sizeof text};
      msghdr datagram{};
      datagram.msg_iov = &into;
      datagram.msg_iovlen = 1;
      datagram.msg_control = control;
      datagram.msg_controllen = sizeof control;
      const ssize_t size = ::recvmsg(manager_.get(), &datagram, MSG_CMSG_CLOEXEC);
      if (size < 0) continue;  // nothing for a while
      const std::string message(text, static_cast<size_t>(size));
      const size_t at = message.find("FDNAME=");
      const std::string name = at == std::string::npos ? "" : message.substr(at + 7, message.find('\n', at) - at - 7);
      const std::lock_guard lock(mutex_);
      if (message.starts_with("READY=1")) ++ready_;
      if (message.starts_with("FDSTOREREMOVE=1")) stored_.erase(name);
      if (!message.starts_with("FDSTORE=1")) continue;
      const cmsghdr* const header = CMSG_FIRSTHDR(&datagram);
      int fd = -1;
      if (header != nullptr) std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
      stored_[name] = UniqueFd(fd);
      most_stored_ = std::max(most_stored_, stored_.size());
    }
  }
  template <class Reached>
  bool Hears(Reached reached) {
    return test::Eventually(std::chrono::seconds(20), [&] {
      const std::lock_guard lock(mutex_);
      return reached();
    });
  }
  // As systemd starts a process that has descriptors in its store.
  void StartAgain(const std::string& flags = "") {
    int before = 0;
    ASSERT_NO_FATAL_FAILURE(StartWithStored(flags, before));
    ASSERT_TRUE(Hears([&] { return ready_ == before + 1; })) << daemon_->Output();
  }
  // What it says when it ends.
  std::string RefusalOf(const std::string& flags) {
    int before = 0;
    StartWithStored(flags, before);
    if (HasFatalFailure()) return "";
    const auto end = daemon_->Wait(Deadline::AfterMs(kPatienceMs));
    EXPECT_TRUE(end && end->exit_code == 2) << daemon_->Output();
    return daemon_->Output();
  }
  void StartWithStored(const std::string& flags, int& ready_before) {
    constexpr int kOut = 200;  // where no descriptor of the test is
    std::string moves, names;
    int number = 3;
    std::vector<UniqueFd> passed;
    {
      const std::lock_guard lock(mutex_);  // the last words of a killed store may still be read
      ready_before = ready_;
      for (auto& [name, fd] : stored_) {
        passed.emplace_back(::fcntl(fd.get(), F_DUPFD, kOut));
        moves += StrCat(" ", number++, "<&", passed.back().get());
        names += StrCat(names.empty() ? "" : ":", name);
      }
    }
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    lifeline_ = UniqueFd(ends[1]);
    const UniqueFd other(ends[0]);
    const UniqueFd watched(::fcntl(other.get(), F_DUPFD, kOut));
    const std::string script =
        StrCat("exec", moves, " ", number, "<&", watched.get(), "; export LISTEN_PID=$$ LISTEN_FDS=", passed.size(),
               " LISTEN_FDNAMES=", names, "; exec ", test::ProgramPath("plasma_store"), " -m 16M -s ", socket_,
               " --lifeline-fd ", number, " ", flags);
    test::ProcessOptions options;
    options.environment = {{"NOTIFY_SOCKET", notify_}};
    auto daemon = DaemonProcess::StartPlain("/bin/bash", {"-c", script}, options);
    ASSERT_TRUE(daemon) << daemon.error().message;
    daemon_.emplace(*std::move(daemon));
  }
  void Start(const std::vector<std::string>& flags = {}) {
    test::ProcessOptions options;
    options.environment = {{"NOTIFY_SOCKET", notify_}};
    std::vector<std::string> arguments = {"-m", "16M", "-s", socket_};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    auto daemon = DaemonProcess::Start("plasma_store", arguments, options);
    ASSERT_TRUE(daemon) << daemon.error().message;
    daemon_.emplace(*std::move(daemon));
  }
  std::shared_ptr<StoreClient> Connect() {
    auto client = StoreClient::Connect(socket_, "test", Deadline::AfterMs(kPatienceMs), false);
    EXPECT_TRUE(client) << client.error().message;
    return client.value_or(nullptr);
  }

  const test::RunFolder folder_;
  const std::string socket_ = folder_.File("store"), notify_ = folder_.File("notify");
  const UniqueFd manager_;
  std::mutex mutex_;
  std::map<std::string, UniqueFd> stored_;  // under mutex_
  size_t most_stored_ = 0;                  // under mutex_
  int ready_ = 0;                           // under mutex_
  std::atomic<bool> stop_{false};
  std::thread reader_;
  UniqueFd lifeline_;
  std::optional<DaemonProcess> daemon_;
};

TEST_F(StoredFdsTest, ObjectsAndPinsSurviveKeeperAndServer) {
  Start();
  const auto client = Connect();
  const ObjectId id = ObjectId::FromRandom(), later = ObjectId::FromRandom();
  ASSERT_TRUE(client->CreateAndSeal(id, BytesOf("kept"), {}, {}));
  const auto view = client->Get(id, Deadline::AfterMs(kPatienceMs));
  ASSERT_TRUE(view);
  ASSERT_TRUE(Hears([&] { return stored_.size() >= 5; })) << "listening, arena, index, and the client's two";
  daemon_->Kill();
  ASSERT_NO_FATAL_FAILURE(StartAgain());
  ASSERT_TRUE(client->CreateAndSeal(later, BytesOf("after"), {}, {})) << "the same client goes on";
  EXPECT_EQ(std::memcmp(view->data().data(), "kept", 4), 0);
  const auto other = Connect();
  const auto got = other->Get(id, Deadline::AfterMs(kPatienceMs));
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(std::memcmp(got->data().data(), "kept", 4), 0);
  EXPECT_EQ(other->Evict(1'000'000).value_or(0), 5u) << "the client's pin holds, and the other object goes";
  EXPECT_TRUE(other->Contains(id).value_or(false));
  ASSERT_TRUE(daemon_->Terminate());
  ASSERT_TRUE(Hears([&] { return stored_.empty(); })) << "nothing is left of a store that ends as asked";
}

TEST_F(StoredFdsTest, ClientThatLeavesIsTakenOut) {
  Start();
  Connect();
  EXPECT_TRUE(Hears([&] { return most_stored_ == 5 && stored_.size() == 3; }));
}

TEST_F(StoredFdsTest, DescriptorsOfAnotherStoreAreNotUsed) {
  Start();
  ASSERT_TRUE(Hears([&] { return stored_.size() >= 3; }));
  {
    const auto client = Connect();
    ASSERT_TRUE(client->CreateAndSeal(ObjectId::FromRandom(), BytesOf("lost"), {}, {}));
  }
  daemon_->Kill();
  {
    const std::lock_guard lock(mutex_);
    stored_[kStoredIndexName] = UniqueFd(::fcntl(stored_.at(kStoredArenaName).get(), F_DUPFD_CLOEXEC, 3));
  }
  ASSERT_NO_FATAL_FAILURE(StartAgain());
  EXPECT_NE(daemon_->Output().find("are gone"), std::string::npos) << daemon_->Output();
  const auto client = Connect();
  const auto listed = client->List();
  ASSERT_TRUE(listed);
  EXPECT_TRUE(listed->empty());
  ASSERT_TRUE(daemon_->Terminate());
}

TEST_F(StoredFdsTest, StoreWithAnotherIsolationIsRefused) {
  for (const bool strict : {false, true}) {
    const std::string same = strict ? "--isolation=strict" : "--isolation=user";
    const std::string other = strict ? "--isolation=user" : "--isolation=strict";
    Start({same});
    const ObjectId id = ObjectId::FromRandom();
    const auto client = Connect();
    ASSERT_TRUE(client->CreateAndSeal(id, BytesOf("kept"), {}, {}));
    ASSERT_TRUE(Hears([&] { return stored_.size() >= 5; }));
    daemon_->Kill();
    EXPECT_NE(RefusalOf(other).find(StrCat("ran with ", same)), std::string::npos) << daemon_->Output();
    ASSERT_NO_FATAL_FAILURE(StartAgain(same));
    EXPECT_TRUE(client->Get(id, Deadline::AfterMs(kPatienceMs))) << "the refused one has harmed nothing";
    ASSERT_TRUE(daemon_->Terminate());
    ASSERT_TRUE(Hears([&] { return stored_.empty(); }));
  }
}

TEST_F(StoredFdsTest, StoreThatWouldNotFindTheObjectsOnDiskIsRefused) {
  const std::string disk = folder_.File("disk"), same = StrCat("--spill-dir=", disk);
  Start({same});
  const auto client = Connect();
  const std::vector<std::byte> data(size_t{2} << 20, std::byte{3});
  std::vector<ObjectId> ids;
  for (int i = 0; i < 10; ++i) {
    ids.push_back(ObjectId::FromRandom());
    const auto put = client->CreateAndSeal(ids.back(), data, {}, {.owned = true, .timeout_ms = kPatienceMs});
    ASSERT_TRUE(put) << put.error().message;
  }
  ASSERT_TRUE(Hears([&] { return stored_.size() >= 5; }));
  daemon_->Kill();
  EXPECT_NE(RefusalOf("").find("on disk: say the same --spill-dir"), std::string::npos) << daemon_->Output();
  EXPECT_NE(RefusalOf(StrCat("--spill-dir=", folder_.File("other"))).find("but not in"), std::string::npos)
      << daemon_->Output();
  ASSERT_NO_FATAL_FAILURE(StartAgain(same));
  for (const ObjectId& id : ids) {
    const auto got = client->Get(id, Deadline::AfterMs(kPatienceMs));
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_TRUE(std::equal(got->data().begin(), got->data().end(), data.begin(), data.end()));
  }
  ASSERT_TRUE(daemon_->Terminate());
}

}  // namespace
}  // namespace raylet::store
