#include "raylet/channels/channel_book.h"

#include <gtest/gtest.h>

namespace raylet {
namespace {

constexpr ProcessId kCaller = 11, kOther = 12;
constexpr WorkerId kWorker = 5;
const ActorId kActor = ActorId::FromRandom();

TEST(ChannelBook, ACallersSecondChannelClosesItsFirst) {
  ChannelBook book;
  const ChannelId first = book.NewNumber();
  EXPECT_FALSE(book.Open({first, kActor, kCaller, kWorker}).has_value());
  EXPECT_FALSE(book.Open({book.NewNumber(), kActor, kOther, kWorker}).has_value());
  const auto closed = book.Open({book.NewNumber(), kActor, kCaller, kWorker});
  ASSERT_TRUE(closed.has_value());
  EXPECT_EQ(closed->number, first);
  EXPECT_EQ(book.CountOf(kActor), 2u);
}

TEST(ChannelBook, ACallersEndClosesItsChannelsAndAWorkersEndForgetsThem) {
  ChannelBook book;
  const ActorId another = ActorId::FromRandom();
  book.Open({book.NewNumber(), kActor, kCaller, kWorker});
  book.Open({book.NewNumber(), another, kCaller, 6});
  book.Open({book.NewNumber(), another, kOther, 6});
  EXPECT_EQ(book.CallersGone({kCaller}).size(), 2u);
  EXPECT_EQ(book.CountOf(kActor), 0u);
  EXPECT_EQ(book.CountOf(another), 1u);
  book.WorkersGone({6});
  EXPECT_EQ(book.size(), 0u);
  EXPECT_TRUE(book.CallersGone({kOther}).empty());
}

}  // namespace
}  // namespace raylet
