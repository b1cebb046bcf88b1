// objstat beside a real plasma_store.
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <thread>

#include "client/plasma/store_client.h"
#include "tests/client/plasma/store_fixture.h"
#include "tools/objstat/screen.h"
#include "tools/objstat/snapshot.h"
#include "tools/objstat/verify.h"

namespace raylet::objstat {
namespace {

using std::chrono::seconds;
using test::BytesOf;
using test::Eventually;
constexpr uint64_t kMiB = uint64_t{1} << 20;

class ObjstatStoreTest : public test::PlasmaStoreTest {
 protected:
  std::shared_ptr<client::StoreClient> Connect(const std::string& name) {
    auto made = client::StoreClient::Connect(socket(), name, Deadline::After(seconds(30)), false);
    if (!made) {
      ADD_FAILURE() << made.error().message;
      std::abort();
    }
    return *made;
  }
  Snapshot Take() {
    auto snapshot = TakeSnapshot(socket());
    if (!snapshot) {
      ADD_FAILURE() << snapshot.error().message;
      return {};
    }
    return *std::move(snapshot);
  }
  static ObjectId Put(client::StoreClient& store, uint64_t bytes, const client::CreateOptions& options = {}) {
    const auto id = ObjectId::FromRandom();
    const std::string data(bytes, 'x');
    const auto put = store.CreateAndSeal(id, BytesOf(data), {}, options);
    EXPECT_TRUE(put) << put.error().message;
    return id;
  }
  // The text of what does not add up.
  static std::string Differences(const Ledger& ledger) {
    std::string out;
    for (const std::string& one : ledger.differences) out += one + "; ";
    return out;
  }
};

TEST_F(ObjstatStoreTest, LedgerOfALivingStoreAddsUpAndReturnsToItsBaseline) {
  const Snapshot empty = Take();
  EXPECT_TRUE(empty.ledger.AddsUp()) << Differences(empty.ledger);
  EXPECT_EQ(empty.ledger.free_bytes, 64 * kMiB);
  {
    const auto store = Connect("holder");
    client::CreateOptions owned;
    owned.owned = true;
    const auto pinned = Put(*store, 3 * kMiB), dying = Put(*store, 2 * kMiB);
    Put(*store, kMiB + 1);
    Put(*store, 5 * kMiB, owned);
    const auto view = store->Get(pinned, Deadline::AfterMs(0)), last = store->Get(dying, Deadline::AfterMs(0));
    ASSERT_TRUE(view && last);
    ASSERT_EQ(store->Delete({&dying, 1})->front(), ErrorCode::kOk);
    const auto writer = store->Create(ObjectId::FromRandom(), 7 * kMiB, {}, {});
    ASSERT_TRUE(writer);
    const Snapshot full = Take();
    const Ledger& ledger = full.ledger;
    EXPECT_TRUE(ledger.AddsUp()) << Differences(ledger);
    EXPECT_EQ(ledger.pinned.bytes, 3 * kMiB);
    EXPECT_EQ(ledger.dying.bytes, 2 * kMiB);
    EXPECT_EQ(ledger.evictable.bytes, kMiB + 1);
    EXPECT_EQ(ledger.protected_objects.bytes, 5 * kMiB);
    EXPECT_EQ(ledger.unsealed.bytes, 7 * kMiB);
    EXPECT_EQ(full.unknown_pin_pages, 0u);
    ASSERT_EQ(full.clients.size(), 1u);
    EXPECT_EQ(full.clients[0].name, "holder");
    EXPECT_TRUE(full.resident_bytes);
  }
  EXPECT_TRUE(Eventually(seconds(30), [&] {
    const Snapshot after = Take();
    return after.clients.empty() && after.ledger.AddsUp() &&
           after.ledger.pinned.bytes + after.ledger.protected_objects.bytes == 0 &&
           after.ledger.unsealed.bytes + after.ledger.dying.bytes == 0;
  })) << DefaultScreen(Take(), {});
}

TEST_F(ObjstatStoreTest, LedgerAddsUpAtEveryMomentOfABusyStore) {
  const auto store = Connect("busy");
  for (int i = 0; i < 300; ++i) {
    const auto id = Put(*store, 100'000);
    if (i % 3 == 0) {
      EXPECT_TRUE(store->DeleteAsync({&id, 1}));
    }
    if (i % 10 == 0) {
      const Ledger ledger = Take().ledger;
      ASSERT_TRUE(ledger.AddsUp()) << Differences(ledger);
    }
  }
}

TEST_F(ObjstatStoreTest, KilledStoreIsStillShown) {
  const auto holder = Connect("holder");
  const auto id = Put(*holder, kMiB);
  const auto view = holder->Get(id, Deadline::AfterMs(0));
  ASSERT_TRUE(view);
  store().Kill();
  const Snapshot left = Take();
  EXPECT_FALSE(left.daemon_alive);
  EXPECT_TRUE(left.ledger.AddsUp()) << Differences(left.ledger);
  EXPECT_EQ(left.ledger.pinned.bytes, kMiB);
  EXPECT_NE(DefaultScreen(left, {}).find("is dead; this is what it left"), std::string::npos);
}

TEST_F(ObjstatStoreTest, StoreThatHangsIsStillShownAndSaidToHang) {
  const auto holder = Connect("holder");
  const auto id = Put(*holder, kMiB);
  const auto view = holder->Get(id, Deadline::AfterMs(0));
  ASSERT_TRUE(view);
  EXPECT_FALSE(Take().daemon_stopped);
  store().Signal(SIGSTOP);
  ASSERT_TRUE(Eventually(seconds(30), [&] { return Take().daemon_stopped; }));
  const auto objstat = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"-s", socket()});
    auto run = test::DaemonProcess::StartPlain("objstat", std::move(arguments));
    const auto end = run->Wait(Deadline::After(seconds(20)));
    EXPECT_EQ(end ? end->exit_code : -1, 0) << run->Output();
    return run->Output();
  };
  const std::string screen = objstat({});
  EXPECT_NE(screen.find("is stopped and answers nobody; kill -CONT "), std::string::npos) << screen;
  EXPECT_NE(screen.find("= pinned 1.0 MiB + "), std::string::npos) << screen;
  EXPECT_NE(screen.find(": adds up\n"), std::string::npos) << screen;
  EXPECT_NE(objstat({"ls"}).find(id.hex()), std::string::npos);
  EXPECT_NE(objstat({"clients"}).find("holder"), std::string::npos);
  EXPECT_NE(objstat({"--json"}).find("\"stopped\": true"), std::string::npos);
  store().Signal(SIGCONT);
  EXPECT_TRUE(holder->CreateAndSeal(ObjectId::FromRandom(), BytesOf("goes on"), {}, {}));
}

TEST_F(ObjstatStoreTest, DumpWritesTheBytesOfAnObjectAlsoAfterTheStoresEnd) {
  const auto store = Connect("writer");
  const auto id = ObjectId::FromRandom(), unsealed = ObjectId::FromRandom();
  std::string data(3 * kMiB + 7, 'x');
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<char>(i * 31);
  const std::string metadata("meta\0data", 9);
  ASSERT_TRUE(store->CreateAndSeal(id, BytesOf(data), BytesOf(metadata), {}));
  const auto writer = store->Create(unsealed, 100, {}, {});
  ASSERT_TRUE(writer);
  const test::RunFolder folder;
  const auto dump = [&](const std::vector<std::string>& more, int exit_code) {
    const std::string file = folder.File("out");
    std::vector<std::string> arguments = {"dump", "-s", socket(), "-o", file};
    arguments.insert(arguments.end(), more.begin(), more.end());
    auto run = test::DaemonProcess::StartPlain("objstat", arguments);
    const auto end = run->Wait(Deadline::After(seconds(20)));
    EXPECT_EQ(end ? end->exit_code : -1, exit_code) << run->Output();
    std::ifstream in(file, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {}) + (exit_code == 0 ? "" : run->Output());
  };
  EXPECT_TRUE(dump({id.hex()}, 0) == data);
  EXPECT_TRUE(dump({id.hex().substr(0, 10), "--metadata"}, 0) == metadata);
  EXPECT_NE(dump({unsealed.hex()}, 1).find("is not sealed"), std::string::npos);
  this->store().Kill();
  EXPECT_TRUE(dump({id.hex()}, 0) == data) << "from the memory that a client has";
}

TEST_F(ObjstatStoreTest, EventsOfARealStoreSayWhatItEvictedWhoFoundItFullAndWhoLeft) {
  const auto eater = Connect("eater"), late = Connect("late");
  std::vector<client::PinnedObject> held;
  for (int i = 0; i < 10; ++i) {
    auto view = eater->Get(Put(*eater, 5 * kMiB), Deadline::AfterMs(0));
    ASSERT_TRUE(view);
    held.push_back(*std::move(view));
  }
  Put(*late, 10 * kMiB);
  Put(*late, 12 * kMiB);  // the object before goes for it
  const std::string data(30 * kMiB, 'x');
  const auto refused = late->CreateAndSeal(ObjectId::FromRandom(), BytesOf(data), {}, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kFull);
  {
    const auto leaver = Connect("leaver");
    client::CreateOptions owned;
    owned.owned = true;
    Put(*leaver, kMiB, owned);
  }
  ASSERT_TRUE(Eventually(seconds(30), [&] { return Take().events.size() == 3; }));
  const Snapshot snapshot = Take();
  const Event &evicted = snapshot.events[0].event, &full = snapshot.events[1].event, &left = snapshot.events[2].event;
  EXPECT_EQ(evicted.kind, EventKind::kEvicted);
  EXPECT_EQ(evicted.objects, 1u);
  EXPECT_EQ(evicted.bytes, 10 * kMiB);
  EXPECT_EQ(full.kind, EventKind::kFull);
  EXPECT_STREQ(full.program, "late");
  EXPECT_EQ(full.bytes, 30 * kMiB);
  EXPECT_STREQ(full.holder_program, "eater");
  EXPECT_EQ(full.holder_pid, ::getpid());
  EXPECT_EQ(full.held_as, HeldAs::kPinned);
  EXPECT_EQ(full.holder_bytes, 50 * kMiB);
  EXPECT_EQ(left.kind, EventKind::kClientLeft);
  EXPECT_STREQ(left.program, "leaver");
  EXPECT_EQ(left.bytes, kMiB);
  EXPECT_EQ(snapshot.counters.full_failures, 1u);
}

TEST_F(ObjstatStoreTest, VerifyFindsNothingWhileTheStoreIsBusy) {
  const auto store = Connect("busy");
  std::atomic<bool> stop{false};
  std::thread worker([&] {
    while (!stop) {
      const auto id = Put(*store, 1000);
      EXPECT_TRUE(store->DeleteAsync({&id, 1}));
    }
  });
  for (int i = 0; i < 20; ++i) {
    const auto open = OpenIndexOf(socket());
    EXPECT_TRUE(open);
    const Verification verification = Verify(*open);
    EXPECT_TRUE(verification.findings.empty()) << verification.findings.front();
  }
  stop = true;
  worker.join();
}

TEST_F(ObjstatStoreTest, EverySubcommandAnswersAfterTheStoresEnd) {
  const auto holder = Connect("holder");
  const auto id = Put(*holder, kMiB);
  const auto view = holder->Get(id, Deadline::AfterMs(0));
  ASSERT_TRUE(view);
  store().Kill();
  for (const std::string verb : {"", "ls", "show", "pins", "clients", "arena", "why", "top", "sizes", "events", "leaks",
                                 "verify", "doctor", "--prom"}) {
    std::vector<std::string> arguments = {"-s", socket(), "--interval", "0.1"};
    if (!verb.empty()) arguments.insert(arguments.begin(), verb);
    if (verb == "show" || verb == "why") arguments.insert(arguments.begin() + 1, id.hex());
    auto run = test::DaemonProcess::StartPlain("objstat", arguments);
    const auto end = run->Wait(Deadline::After(seconds(20)));
    EXPECT_EQ(end ? end->exit_code : -1, verb == "doctor" ? 1 : 0) << verb << run->Output();
    EXPECT_TRUE(run->Output().find(" is dead") != std::string::npos || verb == "verify" || verb == "--prom")
        << verb << run->Output();
    if (verb == "--prom") {
      EXPECT_NE(run->Output().find("plasma_store_up 0\n"), std::string::npos) << run->Output();
    }
    if (verb == "pins") {
      EXPECT_NE(run->Output().find(id.hex()), std::string::npos) << run->Output();
    }
  }
}

TEST_F(ObjstatStoreTest, LooksOnlyAndAsksNobody) {
  const auto holder = Connect("holder");
  const auto id = Put(*holder, kMiB);
  const auto view = holder->Get(id, Deadline::AfterMs(0));
  ASSERT_TRUE(view);
  const test::RunFolder folder;
  for (const std::vector<std::string>& verb :
       std::initializer_list<std::vector<std::string>>{{},
                                                       {"--json"},
                                                       {"--prom"},
                                                       {"ls"},
                                                       {"show", id.hex()},
                                                       {"dump", id.hex()},
                                                       {"pins"},
                                                       {"clients"},
                                                       {"arena"},
                                                       {"why", "64M"},
                                                       {"top", "--interval", "0.1"},
                                                       {"sizes"},
                                                       {"events"},
                                                       {"leaks"},
                                                       {"verify"},
                                                       {"doctor"}}) {
    const std::string trace = folder.File("trace");
    std::vector<std::string> arguments = {"-f", "-o", trace, test::ProgramPath("objstat"), "-s", socket()};
    arguments.insert(arguments.end(), verb.begin(), verb.end());
    test::ProcessOptions options;
    options.environment = {{"ASAN_OPTIONS", "detect_leaks=0"}};  // it traces its own process, and strace already does
    auto strace = test::DaemonProcess::StartPlain("/usr/bin/strace", arguments, options);
    const auto end = strace->Wait(Deadline::After(seconds(20)));
    ASSERT_EQ(end ? end->exit_code : -1, 0) << strace->Output();
    std::ifstream lines(trace);
    int opened = 0;
    const auto has = [](const std::string& line, const char* word) { return line.find(word) != std::string::npos; };
    for (std::string line; std::getline(lines, line);) {
      const bool open = has(line, "open(") || has(line, "openat(");
      opened += open && has(line, "/plasma-index-") && has(line, "O_RDONLY");
      EXPECT_FALSE(open && (has(line, "O_RDWR") || has(line, "O_WRONLY") || has(line, "O_CREAT"))) << line;
      EXPECT_FALSE(has(line, "mmap(") && has(line, "PROT_WRITE") && has(line, "MAP_SHARED")) << line;
      EXPECT_FALSE(has(line, "connect(") || has(line, "unlink") || has(line, "truncate(")) << line;
    }
    EXPECT_GE(opened, 1) << "strace cannot have followed it";
  }
}

TEST_F(ObjstatStoreTest, StoreThatStoppedCleanlyIsNotRunning) {
  ASSERT_TRUE(store().Terminate());
  const auto snapshot = TakeSnapshot(socket());
  ASSERT_FALSE(snapshot);
  EXPECT_EQ(snapshot.error().code, ErrorCode::kNotRunning);
}

}  // namespace
}  // namespace raylet::objstat
