#include "store/event_log.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <optional>
#include <string>
#include <thread>

#include "tests/client/plasma/index_writer.h"

namespace raylet::store {
namespace {

class EventLogTest : public ::testing::Test {
 protected:
  std::optional<Event> At(uint64_t number) {
    return ReadEvent(header().events[static_cast<std::ptrdiff_t>(number % kEventSlots)], number);
  }
  IndexHeader& header() { return writer_.header(); }

  test::IndexWriter writer_{64};
  EventLog log_{header()};
};

TEST_F(EventLogTest, EvictionsWithinASecondAreOneEvent) {
  log_.Evicted(100, 2, 50);
  log_.Evicted(1099, 3, 70);
  ASSERT_TRUE(At(1));
  EXPECT_EQ(At(1)->objects, 5u);
  EXPECT_EQ(At(1)->bytes, 120u);
  EXPECT_EQ(At(1)->count, 2u);
  EXPECT_EQ(At(1)->time_ms, 1099u);
  log_.Evicted(1100, 1, 10);  // a second after the first
  EXPECT_EQ(header().last_event, 2u);
  EXPECT_EQ(At(2)->objects, 1u);
  log_.Evicted(1200, 0, 0);
  EXPECT_EQ(At(2)->count, 1u) << "nothing was evicted, so nothing happened";
}

TEST_F(EventLogTest, FullStoreNamesTheClientThatHoldsMostAndCountsRetries) {
  ClientTable clients(header());
  const uint32_t wants = *clients.Add(11, "wants", 0, 0), owns = *clients.Add(22, "owns", 0, 0);
  clients.At(owns).row->owned_bytes = 300;
  FullNumbers numbers;
  numbers.need_bytes = 1000;
  numbers.AddPinner({.pid = 33, .program = "pins", .bytes = 200});
  const auto id = ObjectId::FromRandom();
  for (const uint64_t now_ms : {10, 20, 30}) log_.Full(now_ms, wants, id, numbers, clients);
  const Event event = *At(1);
  EXPECT_EQ(header().last_event, 1u);
  EXPECT_EQ(event.count, 3u);
  EXPECT_EQ(event.bytes, 1000u) << "one create's, not the sum";
  EXPECT_EQ(event.pid, 11);
  EXPECT_STREQ(event.program, "wants");
  EXPECT_EQ(event.held_as, HeldAs::kOwned);
  EXPECT_EQ(event.holder_bytes, 300u);
  EXPECT_STREQ(event.holder_program, "owns");
  numbers.AddPinner({.pid = 33, .program = "pins", .bytes = 400});
  log_.Full(40, owns, id, numbers, clients);  // another client: another event
  EXPECT_EQ(At(2)->held_as, HeldAs::kPinned);
  EXPECT_STREQ(At(2)->holder_program, "pins");
}

TEST_F(EventLogTest, ClientThatLeavesNothingIsNoEvent) {
  ClientTable clients(header());
  const uint32_t client = *clients.Add(11, std::string(100, 'n'), 0, 0);
  ClientRow& row = *clients.At(client).row;
  log_.ClientLeft(10, client, row);
  EXPECT_EQ(header().last_event, 0u);
  row.unsealed_bytes = 5;
  row.owned_bytes = 7;
  log_.ClientLeft(10, client, row);
  EXPECT_EQ(At(1)->bytes, 12u);
  EXPECT_EQ(std::strlen(At(1)->program), sizeof(Event::program) - 1);
}

TEST_F(EventLogTest, LaterLogGoesOnBehindTheEventsThatAreThere) {
  log_.Evicted(1, 1, 1);
  EventLog later(header());
  later.Evicted(2, 9, 9);
  EXPECT_EQ(At(1)->objects, 1u);
  EXPECT_EQ(At(2)->objects, 9u);
}

TEST_F(EventLogTest, ReaderSeesWholeEventsOnly) {
  std::atomic<bool> stop{false};
  std::thread reader([&] {
    uint64_t seen = 0;
    while (!stop || seen == 0) {
      const uint64_t last = header().last_event.load(std::memory_order_acquire);
      const auto event = At(last);
      if (!event) continue;
      ++seen;
      EXPECT_EQ(event->objects, event->bytes);
    }
  });
  for (uint64_t i = 1; i < 20'000; ++i) log_.Evicted(i * 2000, i, i);
  stop = true;
  reader.join();
}

}  // namespace
}  // namespace raylet::store
