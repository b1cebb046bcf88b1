// ObjstatTest: an index that the test writes as a daemon would, a pin page among the test's own descriptors, and the
// program objstat. One thread.
#pragma once

#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/shm_segment.h"
#include "tests/client/plasma/index_writer.h"
#include "tests/harness/daemon_process.h"
#include "tests/harness/run_folder.h"
#include "tools/objstat/snapshot.h"

namespace raylet::objstat {

inline constexpr uint64_t kEntries = 64;
inline constexpr uint64_t kMiB = uint64_t{1} << 20;
inline constexpr uint32_t kHolder = 4711;  // a client: this process

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

    auto pins = CreateMemfd(PinPageName(kHolder), PinPageBytes(), false);
    ASSERT_TRUE(pins);
    pins_fd_ = *std::move(pins);
    auto page = Mapping::Map(pins_fd_.get(), PinPageBytes(), Mapping::Access::kReadWrite);
    ASSERT_TRUE(page);
    pins_ = *std::move(page);
    pins_.As<PinPage>()->magic = kPinsMagic;
    pins_.As<PinPage>()->layout_version = kLayoutVersion;
    pins_.As<PinPage>()->client = kHolder;
    ClientRow& row = header().clients.get()[3];
    std::strcpy(row.name, "trainer");
    row.pid = ::getpid();
    row.number = kHolder;
  }
  void TearDown() override { UnlinkNamedSegment(segment_); }

  IndexHeader& header() { return writer_->header(); }
  uint64_t Add(EntryState state, uint64_t data_bytes, bool owned = false) {
    const uint64_t offset = next_offset_;
    next_offset_ += AlignUp(data_bytes);
    return writer_->Insert(ObjectId::FromRandom(), state, offset, data_bytes, 0, owned);
  }
  // Where the test says, of a client.
  uint64_t AddAt(uint64_t offset, EntryState state, uint64_t data_bytes, bool owned = false) {
    return writer_->Insert(ObjectId::FromRandom(), state, offset, data_bytes, 0, owned);
  }
  // `word` says where on disk its bytes are. The daemon counts it, too.
  uint64_t AddSpilled(uint64_t word, uint64_t data_bytes) {
    header().counters.spilled_bytes += data_bytes;
    header().counters.spilled_count += 1;
    return writer_->Insert(ObjectId::FromRandom(), EntryState::kSpilled, word, data_bytes, 0, /*owned=*/true);
  }
  Snapshot Take() {
    auto snapshot = TakeSnapshot(socket_);
    if (!snapshot) {
      ADD_FAILURE() << snapshot.error().message;
      return {};
    }
    return *std::move(snapshot);
  }
  void Happen(uint64_t number, const Event& event) {
    WriteEvent(header().events[static_cast<std::ptrdiff_t>(number % kEventSlots)], number, event);
    header().last_event = number;
  }
  // The counters of what was added, as the daemon keeps them.
  void Count() {
    IndexCounters& counters = header().counters;
    for (auto* counter : {&counters.sealed_bytes, &counters.sealed_count, &counters.unsealed_bytes,
                          &counters.unsealed_count, &counters.dying_bytes, &counters.dying_count})
      *counter = 0;
    for (const Object& object : Take().objects) {
      const bool unsealed = object.place == Place::kUnsealed, dying = object.place == Place::kDying;
      (unsealed ? counters.unsealed_bytes : dying ? counters.dying_bytes : counters.sealed_bytes) += object.bytes();
      (unsealed ? counters.unsealed_count : dying ? counters.dying_count : counters.sealed_count) += 1;
    }
  }
  void Pin(uint64_t entry) {
    auto table = client::PinTable::Attach(pins_.data(), pins_.size(), kHolder);
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

}  // namespace raylet::objstat
