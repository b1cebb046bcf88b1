// objstat over an index that the test writes as a daemon would.
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "base/shm_segment.h"
#include "tests/client/plasma/index_writer.h"
#include "tests/harness/daemon_process.h"
#include "tests/harness/run_folder.h"
#include "tools/objstat/json.h"
#include "tools/objstat/screen.h"
#include "tools/objstat/snapshot.h"

namespace raylet::objstat {
namespace {

constexpr uint64_t kEntries = 64;
constexpr uint64_t kMiB = uint64_t{1} << 20;

// The daemon's part: an index segment under its name, locked, and a client's pin page among our own descriptors.
class ObjstatTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto fd = CreateNamedSegment(segment_, IndexSegmentBytes(kEntries));
    ASSERT_TRUE(fd) << fd.error().message;
    lock_ = *std::move(fd);
    auto mapping = Mapping::Map(lock_.get(), IndexSegmentBytes(kEntries), Mapping::Access::kReadWrite);
    ASSERT_TRUE(mapping);
    mapping_ = *std::move(mapping);
    writer_.emplace(mapping_.data(), kEntries);
    header().capacity_bytes = 64 * kMiB;
    header().arena_bytes = 72 * kMiB;
    header().daemon_pid = ::getpid();

    constexpr uint32_t kClient = 4711;
    auto pins = CreateMemfd(PinPageName(kClient), PinPageBytes(), false);
    ASSERT_TRUE(pins);
    pins_fd_ = *std::move(pins);
    auto page = Mapping::Map(pins_fd_.get(), PinPageBytes(), Mapping::Access::kReadWrite);
    ASSERT_TRUE(page);
    pins_ = *std::move(page);
    pins_.As<PinPage>()->magic = kPinsMagic;
    pins_.As<PinPage>()->layout_version = kLayoutVersion;
    pins_.As<PinPage>()->client = kClient;
    ClientRow& row = header().clients.get()[3];
    std::strcpy(row.name, "trainer");
    row.pid = ::getpid();
    row.number = kClient;
  }
  void TearDown() override { UnlinkNamedSegment(segment_); }

  IndexHeader& header() { return writer_->header(); }
  uint64_t Add(EntryState state, uint64_t data_bytes, bool owned = false) {
    const uint64_t offset = next_offset_;
    next_offset_ += AlignUp(data_bytes);
    return writer_->Insert(ObjectId::FromRandom(), state, offset, data_bytes, 0, owned);
  }
  void Pin(uint64_t entry) {
    auto table = client::PinTable::Attach(pins_.data(), pins_.size(), 4711);
    ASSERT_TRUE(table);
    ASSERT_TRUE(table->Pin(entry));
  }
  // One of each kind: 5 pinned, 7 evictable, 11 owned, 13 unsealed, 17 dying.
  void FillAll() {
    Pin(Add(EntryState::kSealed, 5 * kMiB));
    Add(EntryState::kSealed, 7 * kMiB);
    Add(EntryState::kSealed, 11 * kMiB, true);
    Add(EntryState::kUnsealed, 13 * kMiB);
    Pin(Add(EntryState::kDying, 17 * kMiB));
    IndexCounters& counters = header().counters;
    counters.sealed_bytes = 23 * kMiB;
    counters.sealed_count = 3;
    counters.unsealed_bytes = 13 * kMiB;
    counters.unsealed_count = 1;
    counters.dying_bytes = 17 * kMiB;
    counters.dying_count = 1;
  }
  // The program's output, and its exit code.
  std::pair<std::string, int> Run(std::vector<std::string> arguments) {
    auto run = test::DaemonProcess::StartPlain("objstat", std::move(arguments));
    if (!run) return {run.error().message, -1};
    const auto end = run->Wait(Deadline::AfterMs(20'000));
    return {run->Output(), end ? end->exit_code : -2};
  }

  test::RunFolder folder_;
  std::string socket_ = folder_.File("s");
  std::string segment_ = IndexSegmentName(socket_);
  UniqueFd lock_;
  Mapping mapping_;
  UniqueFd pins_fd_;
  Mapping pins_;
  std::optional<test::IndexWriter> writer_;
  uint64_t next_offset_ = 0;
};

TEST_F(ObjstatTest, LedgerAddsUpWithObjectsOfEveryKind) {
  FillAll();
  const auto snapshot = TakeSnapshot(socket_);
  ASSERT_TRUE(snapshot) << snapshot.error().message;
  EXPECT_TRUE(snapshot->daemon_alive);
  EXPECT_TRUE(snapshot->consistent);
  const Ledger& ledger = snapshot->ledger;
  EXPECT_TRUE(ledger.AddsUp()) << ledger.differences.front();
  EXPECT_EQ(ledger.pinned.bytes, 5 * kMiB);
  EXPECT_EQ(ledger.evictable.bytes, 7 * kMiB);
  EXPECT_EQ(ledger.owned.bytes, 11 * kMiB);
  EXPECT_EQ(ledger.unsealed.bytes, 13 * kMiB);
  EXPECT_EQ(ledger.dying.bytes, 17 * kMiB);
  EXPECT_EQ(ledger.free_bytes, 11 * kMiB);
  EXPECT_EQ(snapshot->largest_run_bytes, 72 * kMiB - 53 * kMiB);
  const std::string screen = DefaultScreen(*snapshot, {});
  EXPECT_NE(
      screen.find("ledger: capacity 64.0 MiB = pinned 5.0 MiB + evictable 7.0 MiB + owned 11.0 MiB + unsealed 13.0 MiB "
                  "+ dying 17.0 MiB + free 11.0 MiB: adds up\n"),
      std::string::npos)
      << screen;
  EXPECT_NE(screen.find("oldest unsealed: "), std::string::npos);
  EXPECT_NE(screen.find("largest run   11.0 MiB"), std::string::npos) << "no more than is free: " << screen;
  EXPECT_EQ(screen.find('\033'), std::string::npos);
  EXPECT_NE(DefaultScreen(*snapshot, {true}).find('\033'), std::string::npos);
}

TEST_F(ObjstatTest, LedgerThatDoesNotAddUpSaysWhatDiffersAndFails) {
  FillAll();
  header().counters.sealed_bytes += 1;
  const auto [text, code] = Run({"-s", socket_});
  EXPECT_EQ(code, 1) << text;
  EXPECT_NE(text.find("does not add up"), std::string::npos) << text;
  EXPECT_NE(text.find("sealed objects have 24117248 bytes, and the daemon counts 24117249"), std::string::npos) << text;
}

TEST_F(ObjstatTest, ScreenListsAndJsonComeFromTheProgram) {
  FillAll();
  const auto [screen, code] = Run({"-s", socket_});
  EXPECT_EQ(code, 0) << screen;
  EXPECT_NE(screen.find(": adds up"), std::string::npos) << screen;

  const auto json = nlohmann::json::parse(Run({"--json", "-s", socket_}).first);
  EXPECT_EQ(json["ledger"]["adds_up"], true);
  EXPECT_EQ(json["ledger"]["pinned"]["bytes"], 5 * kMiB);
  EXPECT_EQ(json["daemon"]["alive"], true);

  const auto objects = nlohmann::json::parse(Run({"ls", "--json", "-s", socket_}).first);
  ASSERT_EQ(objects.size(), 5u);
  EXPECT_EQ(objects[0]["state"], "pinned");
  EXPECT_EQ(objects[0]["holders"][0], 4711);
  EXPECT_EQ(objects[4]["state"], "dying");
  const std::string list = Run({"-s", socket_, "ls"}).first;
  EXPECT_NE(list.find("evictable"), std::string::npos) << list;

  const auto clients = nlohmann::json::parse(Run({"clients", "--json", "-s", socket_}).first);
  ASSERT_EQ(clients.size(), 1u);
  EXPECT_EQ(clients[0]["name"], "trainer");
  EXPECT_EQ(clients[0]["pins"], 2);
  EXPECT_NE(Run({"-s", socket_, "clients"}).first.find("trainer"), std::string::npos);
}

TEST_F(ObjstatTest, DeadDaemonIsSaidAndWhatItLeftIsShown) {
  FillAll();
  ::flock(lock_.get(), LOCK_UN);  // as the kernel does when its process ends
  const auto [text, code] = Run({"-s", socket_});
  EXPECT_EQ(code, 0) << text;
  EXPECT_NE(text.find("is dead; this is what it left"), std::string::npos) << text;
  EXPECT_NE(text.find("pinned 5.0 MiB"), std::string::npos) << text;  // found among the client's descriptors
}

TEST_F(ObjstatTest, DaemonThatDiedInTheMiddleOfAChangeIsSaid) {
  FillAll();
  header().counters.mutation_seq = 7;
  ::flock(lock_.get(), LOCK_UN);  // as the kernel does when its process ends
  const auto [text, code] = Run({"-s", socket_});
  EXPECT_EQ(code, 1) << text;
  EXPECT_NE(text.find("died in the middle of a change"), std::string::npos) << text;
}

TEST_F(ObjstatTest, ExitCodesTellUsageFromNotRunning) {
  EXPECT_EQ(Run({"-s", socket_ + "-not"}).second, 3);
  EXPECT_NE(Run({"-s", socket_ + "-not"}).first.find("plasma_store -m 1G -s "), std::string::npos);
  EXPECT_EQ(Run({"--no-such-flag"}).second, 2);
  EXPECT_EQ(Run({"no-such-verb"}).second, 2);
  EXPECT_EQ(Run({}).second, 2);
  const auto [help, code] = Run({"--help"});
  EXPECT_EQ(code, 0);
  for (const char* word : {"pinned", "evictable", "owned", "unsealed", "dying", "free", "Examples:", "Exit codes: "})
    EXPECT_NE(help.find(word), std::string::npos) << word;
  EXPECT_EQ(Run({"--version"}).second, 0);
}

TEST_F(ObjstatTest, SegmentThatMakesNoSenseIsAFailureNotACrash) {
  header().magic = 1;
  EXPECT_EQ(Run({"-s", socket_}).second, 1);
}

}  // namespace
}  // namespace raylet::objstat
