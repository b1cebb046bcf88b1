// The store's server is killed, and its keeper starts another: what clients see of it.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <thread>

#include "base/check.h"
#include "base/shm_segment.h"
#include "client/plasma/store_client.h"
#include "client/plasma/store_watch.h"
#include "fbs/segment_layout.h"
#include "tests/harness/daemon_process.h"
#include "tests/harness/run_folder.h"
#include "tests/harness/stop_process.h"

namespace raylet::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::DaemonProcess;
using test::Eventually;

Deadline Soon() { return Deadline::After(seconds(20)); }

ObjectId IdOf(uint64_t number) {
  ObjectId id;
  std::memcpy(id.mutable_data(), &number, sizeof number);
  return id;
}

std::vector<std::byte> BytesOf(uint64_t number, size_t size) {
  std::vector<std::byte> bytes(size, static_cast<std::byte>(number * 31 + 1));
  if (size >= sizeof number) std::memcpy(bytes.data() + size - sizeof number, &number, sizeof number);
  return bytes;
}

bool Same(std::span<const std::byte> a, std::span<const std::byte> b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);
}

class RestartTest : public testing::Test {
 protected:
  RestartTest() { Start({}); }
  void Start(std::vector<std::string> more) {
    more.insert(more.begin(), {"-m", "64M", "-s", socket_});
    if (more.size() == 4) more.insert(more.end(), {"--deaths-max", "1000000"});
    auto store = DaemonProcess::Start("plasma_store", more);
    RAYLET_CHECK(store, store.error().message);
    store_.emplace(*std::move(store));
  }
  std::shared_ptr<StoreClient> Connect() const {
    auto client = StoreClient::Connect(socket_, "test", Soon(), false);
    EXPECT_TRUE(client) << client.error().message;
    return client ? *client : nullptr;
  }
  // Returns the server that was killed.
  pid_t KillServer() const {
    const pid_t server = ServerPid();
    EXPECT_GT(server, 0);
    ::kill(server, SIGKILL);
    return server;
  }
  // As the index says: also where the keeper is not its parent.
  pid_t ServerPid() const {
    const auto fd = OpenNamedSegmentReadOnly(IndexSegmentName(socket_));
    if (!fd) return -1;
    const auto mapping = Mapping::Map(fd->get(), sizeof(IndexHeader), Mapping::Access::kReadOnly);
    return mapping ? mapping->As<const IndexHeader>()->daemon_pid : -1;
  }
  // The keeper of a server that made it, once it has everything; 0 before.
  pid_t KeeperOf(pid_t server) const {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
      const std::string name = entry.path().filename();
      if (name.find_first_not_of("0123456789") != std::string::npos || std::stoi(name) == server) continue;
      std::ifstream file(entry.path() / "cmdline", std::ios::binary);
      const std::string line{std::istreambuf_iterator<char>(file), {}};
      if (line.find("plasma_store") == std::string::npos || line.find(socket_) == std::string::npos) continue;
      for (const auto& fd : std::filesystem::directory_iterator(entry.path() / "fd", error))
        if (std::filesystem::read_symlink(fd.path(), error).string().find("plasma-arena") != std::string::npos)
          return std::stoi(name);
    }
    return 0;
  }
  static void Put(StoreClient& client, uint64_t number, size_t size, const CreateOptions& options = {}) {
    const auto put = client.CreateAndSeal(IdOf(number), BytesOf(number, size), {}, options);
    ASSERT_TRUE(put) << put.error().message;
  }
  static void ExpectThere(StoreClient& client, uint64_t number, size_t size) {
    const auto view = client.TryGet(IdOf(number));
    ASSERT_TRUE(view) << view.error().message;
    ASSERT_TRUE(view->has_value()) << number;
    const auto bytes = BytesOf(number, size);
    ASSERT_TRUE(Same((*view)->data(), bytes)) << number;
  }

  test::RunFolder folder_;
  const std::string socket_ = folder_.File("store");
  std::optional<DaemonProcess> store_;
};

TEST_F(RestartTest, ObjectsPinsAndClientNumbersStay) {
  const auto client = Connect(), other = Connect();
  for (uint64_t number = 0; number < 300; ++number) ASSERT_NO_FATAL_FAILURE(Put(*client, number, number * 97));
  const auto held = client->Get(IdOf(150), Soon());
  ASSERT_TRUE(held);
  const uint32_t number_before = client->client_number();
  for (int round = 0; round < 5; ++round) {
    const TimePoint start = std::chrono::steady_clock::now();
    KillServer();
    const auto made = other->Create(IdOf(1000 + static_cast<uint64_t>(round)), 100, {}, {});
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_LT(std::chrono::steady_clock::now() - start, seconds(10));
    for (uint64_t number = 0; number < 300; ++number)
      ASSERT_NO_FATAL_FAILURE(ExpectThere(*client, number, number * 97));
  }
  EXPECT_EQ(client->client_number(), number_before);
  // The pin holds: a delete leaves the bytes alone, and their memory comes free with the release.
  ASSERT_TRUE(other->Delete({{IdOf(150)}}));
  ASSERT_TRUE(Same(held->data(), BytesOf(150, 150 * 97)));
  for (uint64_t number = 2000; number < 2300; ++number) ASSERT_NO_FATAL_FAILURE(Put(*other, number, 200'000));
  EXPECT_TRUE(Same(held->data(), BytesOf(150, 150 * 97)));
}

TEST_F(RestartTest, WaitsGoOn) {
  const auto client = Connect(), other = Connect();
  // Fills the store with what no create may evict.
  CreateOptions owned;
  owned.owned = true;
  for (uint64_t number = 0; number < 6; ++number) ASSERT_NO_FATAL_FAILURE(Put(*client, number, 10'000'000, owned));
  Result<PinnedObject> got = Fail(ErrorCode::kNotFound, "nothing yet");
  std::thread getter([&] { got = other->Get(IdOf(100), Soon()); });
  Result<void> put = Fail(ErrorCode::kNotFound, "nothing yet");
  std::thread putter([&] {
    CreateOptions waits;
    waits.timeout_ms = 20'000;
    put = client->CreateAndSeal(IdOf(50), BytesOf(50, 10'000'000), {}, waits);
  });
  const auto header = Mapping::Map(OpenNamedSegmentReadOnly(IndexSegmentName(socket_))->get(), sizeof(IndexHeader),
                                   Mapping::Access::kReadOnly);
  ASSERT_TRUE(header);
  KillServer();
  const auto third = Connect();
  ASSERT_TRUE(third->Delete({{IdOf(3)}}));
  putter.join();
  EXPECT_TRUE(put) << put.error().message;
  ASSERT_NO_FATAL_FAILURE(Put(*third, 100, 1000));
  getter.join();
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_TRUE(Same(got->data(), BytesOf(100, 1000)));
}

TEST_F(RestartTest, UnsealedObjectsAreGoneAndComeBackWhenTheirWriterSealsThem) {
  const auto client = Connect(), other = Connect();
  auto writer = client->Create(IdOf(1), 100'000, {}, {});
  auto left = client->Create(IdOf(2), 100'000, {}, {});
  ASSERT_TRUE(writer && left);
  std::memcpy(writer->data().data(), BytesOf(1, 50'000).data(), 50'000);
  KillServer();
  EXPECT_TRUE(Eventually(seconds(30), [&] { return other->List()->empty(); }));
  const auto bytes = BytesOf(1, 100'000);
  std::memcpy(writer->data().data(), bytes.data(), bytes.size());  // it may still write
  auto view = std::move(*writer).SealAndView();
  ASSERT_TRUE(view) << view.error().message;
  EXPECT_TRUE(Same(view->data(), bytes));
  ASSERT_NO_FATAL_FAILURE(ExpectThere(*other, 1, 100'000));
  EXPECT_TRUE(other->Create(IdOf(2), 100, {}, {})) << "the id is free";
  left = Fail(ErrorCode::kNotFound, "aborted");
  view = Fail(ErrorCode::kNotFound, "released");
  ASSERT_TRUE(other->Delete({{IdOf(1)}}));
  EXPECT_TRUE(Eventually(seconds(30), [&] { return other->free_bytes() == other->capacity_bytes(); }))
      << other->free_bytes();
}

TEST_F(RestartTest, RequestsWithoutAReplyAreNotLost) {
  const auto client = Connect(), other = Connect();
  for (uint64_t round = 0; round < 10; ++round) {
    for (uint64_t number = 0; number < 50; ++number) ASSERT_NO_FATAL_FAILURE(Put(*client, number, 100));
    ASSERT_TRUE(raylet::test::StopProcess(ServerPid()));  // it handles nothing more
    for (uint64_t number = 0; number < 50; ++number) ASSERT_TRUE(client->DeleteAsync({{IdOf(number)}}));
    KillServer();
    ASSERT_NO_FATAL_FAILURE(Put(*client, 1000 + round, 10));  // in order with them
    for (uint64_t number = 0; number < 50; ++number) ASSERT_FALSE(*other->Contains(IdOf(number))) << round;
  }
}

TEST_F(RestartTest, WatchesAndInheritancesAreToldAgain) {
  auto watch = StoreWatch::Connect(socket_, "watch", Soon(), false);
  ASSERT_TRUE(watch);
  const auto client = Connect();
  const ObjectId id = IdOf(1);
  ASSERT_TRUE((*watch)->Watch({&id, 1}));
  auto owner = StoreClient::Connect(socket_, "owner", Soon(), false, (*watch)->client_number());
  ASSERT_TRUE(owner);
  CreateOptions owned;
  owned.owned = true;
  ASSERT_NO_FATAL_FAILURE(Put(**owner, 7, 100, owned));
  KillServer();
  Result<StoreWatch::News> news;
  ASSERT_TRUE(Eventually(seconds(30), [&] {
    news = (*watch)->TryRead();
    return !news;
  }));
  ASSERT_TRUE((*watch)->ConnectAgain(Soon()));
  owner->reset();
  ASSERT_TRUE((*watch)->Watch({&id, 1}));
  ASSERT_NO_FATAL_FAILURE(Put(*client, 1, 10));
  std::set<ObjectId> sealed, inherited;
  ASSERT_TRUE(Eventually(seconds(30), [&] {
    news = (*watch)->TryRead();
    if (!news) return false;
    sealed.insert(news->sealed.begin(), news->sealed.end());
    for (const auto& each : news->inherited) inherited.insert(each.ids.begin(), each.ids.end());
    return sealed.contains(id) && inherited.contains(IdOf(7));
  }));
  // The next server knows who owns it, and tells again.
  KillServer();
  ASSERT_TRUE(Eventually(seconds(30), [&] { return !(*watch)->TryRead(); }));
  ASSERT_TRUE((*watch)->ConnectAgain(Soon()));
  ASSERT_TRUE(Eventually(seconds(30), [&] {
    news = (*watch)->TryRead();
    return news && !news->inherited.empty() && news->inherited.front().ids == std::vector<ObjectId>{IdOf(7)};
  }));
}

TEST_F(RestartTest, ClientsThatDieWhileThereIsNoServerLeaveNothing) {
  const auto other = Connect();
  ASSERT_NO_FATAL_FAILURE(Put(*other, 1, 1000));
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    auto client = StoreClient::Connect(socket_, "child", Soon(), false);
    CreateOptions owned;
    owned.owned = true;
    const bool good = client && (*client)->CreateAndSeal(IdOf(2), BytesOf(2, 5000), {}, owned);
    const auto held = (*client)->Get(IdOf(1), Soon());
    const auto writer = (*client)->Create(IdOf(3), 10'000, {}, {});
    if (good && held && writer && ::write(ready[1], "1", 1) == 1) ::pause();
    ::_exit(1);
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  ASSERT_TRUE(raylet::test::StopProcess(store_->pid()));
  KillServer();
  ::kill(child, SIGKILL);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  ::kill(store_->pid(), SIGCONT);
  EXPECT_TRUE(Eventually(seconds(30), [&] { return other->free_bytes() == other->capacity_bytes() - 1000; }));
  ASSERT_TRUE(other->Delete({{IdOf(1)}}));
  EXPECT_TRUE(Eventually(seconds(30), [&] { return other->free_bytes() == other->capacity_bytes(); }));
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_F(RestartTest, AnotherKeeperTakesThePlaceOfOneThatDied) {
  const auto client = Connect();
  ASSERT_NO_FATAL_FAILURE(Put(*client, 1, 1000));
  const auto held = client->Get(IdOf(1), Soon());
  ASSERT_TRUE(held);
  const pid_t server = ServerPid();
  ::kill(store_->pid(), SIGKILL);
  ASSERT_TRUE(store_->Wait(Soon()));
  ASSERT_NO_FATAL_FAILURE(Put(*client, 2, 1000));
  EXPECT_EQ(ServerPid(), server) << "the server goes on";
  const auto late = Connect();  // the new keeper knows of it, too
  ASSERT_TRUE(late);
  // The new keeper may not have come yet: then the store's end is final. So wait for it.
  ASSERT_TRUE(Eventually(seconds(30), [&] { return KeeperOf(server) > 0; }));
  KillServer();
  ASSERT_TRUE(Eventually(seconds(30), [&] { return ServerPid() != server; }));
  ASSERT_NO_FATAL_FAILURE(Put(*client, 3, 1000));
  for (uint64_t number = 1; number <= 3; ++number) ASSERT_NO_FATAL_FAILURE(ExpectThere(*late, number, 1000));
  EXPECT_TRUE(Same(held->data(), BytesOf(1, 1000)));
  // It cleans up as the first one would.
  ::kill(ServerPid(), SIGTERM);
  EXPECT_TRUE(Eventually(seconds(30), [&] { return ::access(socket_.c_str(), F_OK) != 0; }));
  EXPECT_TRUE(Eventually(seconds(30), [&] { return !OpenNamedSegmentReadOnly(IndexSegmentName(socket_)); }));
}

TEST_F(RestartTest, GivesUpWhenTheServerDiesAgainAndAgain) {
  store_.reset();
  Start({"--deaths-max", "3"});
  const auto client = Connect();
  ASSERT_NO_FATAL_FAILURE(Put(*client, 1, 10));
  for (int death = 1; death < 3; ++death) {
    const pid_t killed = KillServer();
    ASSERT_TRUE(Eventually(seconds(30), [&] { return ServerPid() != killed; }));
    ASSERT_NO_FATAL_FAILURE(ExpectThere(*client, 1, 10));
  }
  KillServer();
  const auto end = store_->Wait(Soon());
  ASSERT_TRUE(end);
  EXPECT_EQ(end->exit_code, 1);
  EXPECT_NE(store_->Output().find("the server died of signal 9"), std::string::npos) << store_->Output();
  EXPECT_NE(store_->Output().find("dies again and again: giving up, and the objects are gone"), std::string::npos);
  EXPECT_NE(::access(socket_.c_str(), F_OK), 0);
  EXPECT_FALSE(OpenNamedSegmentReadOnly(IndexSegmentName(socket_)));
  EXPECT_TRUE(Eventually(seconds(30), [&] {
    const auto there = client->Contains(IdOf(1));
    return !there && there.error().code == ErrorCode::kDisconnected;
  }));
}

TEST_F(RestartTest, StopsAsAskedAlsoAfterARestartAndWhileThereIsNoServer) {
  const pid_t killed = KillServer();
  ASSERT_TRUE(Eventually(seconds(30), [&] { return ServerPid() != killed; }));
  const auto stopped = store_->Terminate();
  ASSERT_TRUE(stopped);
  EXPECT_EQ(stopped->exit_code, 0);
  EXPECT_NE(::access(socket_.c_str(), F_OK), 0);
  Start({});
  ASSERT_TRUE(raylet::test::StopProcess(store_->pid()));
  KillServer();
  ::kill(store_->pid(), SIGTERM);
  ::kill(store_->pid(), SIGCONT);
  const auto end = store_->Wait(Soon());
  ASSERT_TRUE(end);
  EXPECT_EQ(end->exit_code, 0);
  EXPECT_NE(::access(socket_.c_str(), F_OK), 0);
  EXPECT_FALSE(OpenNamedSegmentReadOnly(IndexSegmentName(socket_)));
}

TEST_F(RestartTest, KeeperOnlyWaits) {
  const auto client = Connect();
  const auto used = [&](const char* file) {
    std::ifstream stream("/proc/" + std::to_string(store_->pid()) + "/" + file);
    return std::string{std::istreambuf_iterator<char>(stream), {}};
  };
  const auto switches = [&] {
    const std::string status = used("status");
    const size_t line = status.find("voluntary_ctxt_switches");
    return status.substr(line, status.find('\n', line) - line);
  };
  const auto sleeps_with_the_client = [&] {
    std::error_code error;
    bool has_page = false;
    for (const auto& fd : std::filesystem::directory_iterator("/proc/" + std::to_string(store_->pid()) + "/fd", error))
      has_page |= std::filesystem::read_symlink(fd.path(), error).string().find("plasma-pins") != std::string::npos;
    return has_page && used("status").find("State:\tS") != std::string::npos;
  };
  ASSERT_TRUE(Eventually(seconds(20), sleeps_with_the_client));
  const std::string before = switches();
  for (uint64_t number = 0; number < 2000; ++number) ASSERT_NO_FATAL_FAILURE(Put(*client, number, 1000));
  EXPECT_EQ(switches(), before) << "it has woken up for objects";
#ifndef RAYLET_SANITIZED  // whose memory is its own
  uint64_t all = 0, resident = 0, shared = 0;
  std::ifstream("/proc/" + std::to_string(store_->pid()) + "/statm") >> all >> resident >> shared;
  EXPECT_LT((resident - shared) * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE)), uint64_t{2} << 20);
#endif
}

// Lets the process run to the end of its next system call `second` that comes after a `first`, and kills it there.
void KillAfterSystemCalls(pid_t pid, unsigned long long first, unsigned long long second) {
  for (bool seen = false;;) {
    int status = 0;
    ASSERT_EQ(::waitpid(pid, &status, __WALL), pid);
    ASSERT_TRUE(WIFSTOPPED(status));
    user_regs_struct registers{};
    ASSERT_EQ(::ptrace(PTRACE_GETREGS, pid, nullptr, &registers), 0);
    const bool at_end = WSTOPSIG(status) == (SIGTRAP | 0x80) && static_cast<int64_t>(registers.rax) != -ENOSYS;
    if (at_end && seen && registers.orig_rax == second) break;
    seen |= at_end && registers.orig_rax == first;
    ASSERT_EQ(::ptrace(PTRACE_SYSCALL, pid, nullptr, nullptr), 0);
  }
  ::kill(pid, SIGKILL);
  ASSERT_EQ(::waitpid(pid, nullptr, __WALL), pid);
}

// After it has accepted the connection, after it has made the client's page, and before its answer.
TEST_F(RestartTest, FirstConnectionIsMadeAgainWhenTheServerDiesInTheMiddle) {
  for (const auto& [first, second] : {std::pair{SYS_accept4, SYS_recvmsg}, {SYS_memfd_create, SYS_sendmsg}}) {
    const pid_t server = ServerPid();
    ASSERT_EQ(::ptrace(PTRACE_SEIZE, server, nullptr, PTRACE_O_TRACESYSGOOD), 0) << std::strerror(errno);
    ASSERT_EQ(::ptrace(PTRACE_INTERRUPT, server, nullptr, nullptr), 0);
    std::thread client([&] {
      const auto connected = StoreClient::Connect(socket_, "new", Soon(), false);
      EXPECT_TRUE(connected) << connected.error().message;
      if (connected) Put(**connected, first, 10);
    });
    ASSERT_NO_FATAL_FAILURE(KillAfterSystemCalls(server, first, second));
    client.join();
    EXPECT_NE(ServerPid(), server);
  }
}

// The keeper hears of a client before the index has it.
TEST_F(RestartTest, TheKeeperForgetsAClientWhoseServerDiedBeforeTheIndexHadIt) {
  const auto other = Connect();
  const auto pages_of_keeper = [&] {
    size_t pages = 0;
    std::error_code error;
    for (const auto& fd : std::filesystem::directory_iterator("/proc/" + std::to_string(store_->pid()) + "/fd", error))
      pages +=
          std::filesystem::read_symlink(fd.path(), error).string().find("plasma-pins") != std::string::npos ? 1 : 0;
    return pages;
  };
  ASSERT_TRUE(Eventually(seconds(20), [&] { return pages_of_keeper() == 1; }));
  const pid_t server = ServerPid();
  ASSERT_EQ(::ptrace(PTRACE_SEIZE, server, nullptr, PTRACE_O_TRACESYSGOOD), 0) << std::strerror(errno);
  ASSERT_EQ(::ptrace(PTRACE_INTERRUPT, server, nullptr, nullptr), 0);
  std::thread client([&] { static_cast<void>(StoreClient::Connect(socket_, "lost", Soon(), false)); });
  KillAfterSystemCalls(server, SYS_memfd_create, SYS_sendmsg);  // its pin page, and the keeper's message
  client.join();
  // The keeper starts another server once it has read what the dead one sent.
  ASSERT_TRUE(Eventually(seconds(20), [&] { return ServerPid() != server; }));
  EXPECT_TRUE(Eventually(seconds(20), [&] { return pages_of_keeper() == 1; })) << pages_of_keeper();
  ASSERT_NO_FATAL_FAILURE(Put(*other, 1, 10));
}

// Beyond the first entries the index grows out of the arena. Objects of 64 bytes, so that it grows several times.
TEST_F(RestartTest, NothingIsLostWhileTheIndexGrows) {
  const auto client = Connect(), other = Connect();
  const auto header = Mapping::Map(OpenNamedSegmentReadOnly(IndexSegmentName(socket_))->get(), sizeof(IndexHeader),
                                   Mapping::Access::kReadOnly);
  ASSERT_TRUE(header);
  const auto& entries = header->As<const IndexHeader>()->entries_with_memory;
  const uint64_t at_start = entries.load();
  CreateOptions by_message;  // so that this client leases nothing
  by_message.timeout_ms = 10'000;
  constexpr uint64_t kPerBatch = 256;
#ifdef RAYLET_SANITIZED  // there it takes ten times as long
  constexpr uint64_t kGrowths = 1;
#else
  constexpr uint64_t kGrowths = 2;
#endif
  uint64_t made = 0, growths = 0;
  while (growths < kGrowths) {
    const uint64_t before = entries.load();
    std::vector<std::vector<std::byte>> data;
    std::vector<BatchObject> objects;
    for (uint64_t i = 0; i < kPerBatch; ++i) data.push_back(BytesOf(made + i, 64));
    for (uint64_t i = 0; i < kPerBatch; ++i) objects.push_back({.id = IdOf(made + i), .data = data[i], .metadata = {}});
    // As a growth comes near, the server dies before, in or after it.
    if (made + 4 * kPerBatch >= before) KillServer();
    const auto put = client->CreateAndSealBatch(objects, by_message);
    ASSERT_TRUE(put) << put.error().message;
    made += kPerBatch;
    growths += entries.load() > before ? 1 : 0;
  }
  EXPECT_GE(entries.load(), at_start + kGrowths * kIndexStep);
  KillServer();
  for (uint64_t number = 0; number < made; number += 7) ASSERT_NO_FATAL_FAILURE(ExpectThere(*other, number, 64));
  EXPECT_EQ(header->As<const IndexHeader>()->counters.sealed_count, made);
  std::vector<ObjectId> ids;
  for (uint64_t number = 0; number < made; ++number) ids.push_back(IdOf(number));
  ASSERT_TRUE(other->Delete(ids));
  EXPECT_TRUE(Eventually(seconds(30), [&] { return other->free_bytes() == other->capacity_bytes(); }));
}

// RAYLET_KILLS says how often the server is killed.
TEST_F(RestartTest, NothingIsLostOrLeakedUnderLoad) {
  const char* const given = std::getenv("RAYLET_KILLS");
  const int kills = given != nullptr ? std::atoi(given) : 100;
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> puts{0}, connected{0};
  std::vector<std::thread> threads;
  for (uint64_t thread = 0; thread < 3; ++thread) {
    threads.emplace_back([&, thread] {
      const auto client = Connect();
      connected.fetch_add(1);
      ASSERT_TRUE(client);
      std::mt19937_64 random(thread);
      std::deque<std::pair<uint64_t, size_t>> live;
      CreateOptions owned;
      owned.owned = true;
      for (uint64_t made = 0; !stop.load() || !live.empty(); ++made) {
        if (!stop.load()) {
          const uint64_t number = thread << 32 | made;
          const size_t size = random() % 4 == 0 ? random() % 100'000 : random() % 3000;
          owned.timeout_ms = made % 2 == 0 ? 10'000 : 0;  // small ones go by a message, or through the ring
          ASSERT_NO_FATAL_FAILURE(Put(*client, number, size, owned));
          live.emplace_back(number, size);
          puts.fetch_add(1);
        }
        const auto& [number, size] = live[random() % live.size()];
        ASSERT_NO_FATAL_FAILURE(ExpectThere(*client, number, size));
        if (live.size() < 100 && !stop.load()) continue;
        const ObjectId oldest = IdOf(live.front().first);
        if (random() % 2 == 0) {
          ASSERT_TRUE(client->DeleteAsync({&oldest, 1}));
        } else {
          const auto deleted = client->Delete({&oldest, 1});
          ASSERT_TRUE(deleted) << deleted.error().message;
        }
        live.pop_front();
      }
      // In order with the deletes before it.
      ASSERT_TRUE(client->Evict(0));
    });
  }
  // A first connection is not made again when the server dies in the middle of it.
  ASSERT_TRUE(Eventually(seconds(20), [&] { return connected == 3; }));
  std::mt19937_64 random(7);
  Duration longest{};
  for (int kill = 0; kill < kills && !HasFailure(); ++kill) {
    const uint64_t before = puts.load();
    const pid_t killed = KillServer();
    const TimePoint start = std::chrono::steady_clock::now();
    ASSERT_TRUE(Eventually(seconds(20), [&] { return ServerPid() != killed && puts.load() > before + 3; }))
        << "kill " << kill << ": " << store_->Output();
    longest = std::max(longest, std::chrono::steady_clock::now() - start);
    ::usleep(static_cast<useconds_t>(random() % 5000));
  }
  stop.store(true);
  for (std::thread& thread : threads) thread.join();
  EXPECT_LT(longest, seconds(5));
  const auto after = Connect();
  EXPECT_TRUE(Eventually(seconds(30), [&] { return after->free_bytes() == after->capacity_bytes(); }))
      << after->capacity_bytes() - after->free_bytes() << " bytes leaked, " << after->List()->size() << " objects";
  RecordProperty("puts", std::to_string(puts.load()));
  RecordProperty("longest_ms", std::to_string(longest.count() / 1'000'000));
}

// An asynchronous put that no server has answered is named by AwaitPuts, or it is there.
TEST_F(RestartTest, AsynchronousPutsAreThereOrNamed) {
  const auto client = Connect();
  uint64_t number = 0;
  for (int kill = 0; kill < 20; ++kill) {
    const uint64_t first = number;
    for (; number < first + 200; ++number) {
      const auto data = BytesOf(number, 500);
      ASSERT_TRUE(client->CreateAndSealAsync(IdOf(number), data, {}, CreateOptions()));
      if (number == first + 100) KillServer();
    }
    const auto all = client->AwaitPuts(Soon());
    uint64_t missing = 0;
    for (uint64_t each = first; each < number; ++each) {
      const auto view = client->TryGet(IdOf(each));
      ASSERT_TRUE(view) << view.error().message;
      missing += view->has_value() ? 0 : 1;
      if (view->has_value()) {
        EXPECT_TRUE(Same((*view)->data(), BytesOf(each, 500)));
      }
    }
    EXPECT_TRUE(missing == 0 || !all) << missing << " are missing";
  }
}

}  // namespace
}  // namespace raylet::client
