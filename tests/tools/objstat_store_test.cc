// objstat beside a real plasma_store.
#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>
#include <initializer_list>

#include "client/plasma/store_client.h"
#include "tests/client/plasma/store_fixture.h"
#include "tools/objstat/screen.h"
#include "tools/objstat/snapshot.h"

namespace raylet::objstat {
namespace {

using std::chrono::seconds;
using test::BytesOf;
using test::Eventually;
constexpr uint64_t kMiB = uint64_t{1} << 20;

class ObjstatStoreTest : public test::PlasmaStoreTest {
 protected:
  std::shared_ptr<client::StoreClient> Connect(const std::string& name) {
    auto made = client::StoreClient::Connect(socket(), name, Deadline::After(seconds(5)), false);
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
    EXPECT_EQ(ledger.owned.bytes, 5 * kMiB);
    EXPECT_EQ(ledger.unsealed.bytes, 7 * kMiB);
    EXPECT_EQ(full.unknown_pin_pages, 0u);
    ASSERT_EQ(full.clients.size(), 1u);
    EXPECT_EQ(full.clients[0].name, "holder");
    EXPECT_TRUE(full.resident_bytes);
  }
  EXPECT_TRUE(Eventually(seconds(5), [&] {
    const Snapshot after = Take();
    return after.clients.empty() && after.ledger.AddsUp() &&
           after.ledger.pinned.bytes + after.ledger.owned.bytes == 0 &&
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
  ASSERT_TRUE(Eventually(seconds(5), [&] { return Take().daemon_stopped; }));
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

TEST_F(ObjstatStoreTest, LooksOnlyAndAsksNobody) {
  const auto holder = Connect("holder");
  const auto view = holder->Get(Put(*holder, kMiB), Deadline::AfterMs(0));
  ASSERT_TRUE(view);
  const test::RunFolder folder;
  for (const std::vector<std::string>& verb :
       std::initializer_list<std::vector<std::string>>{{}, {"ls"}, {"clients"}, {"--json"}}) {
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
