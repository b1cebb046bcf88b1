#include "fbs/lease_page.h"

#include <gtest/gtest.h>

namespace raylet {
namespace {

TimePoint Now() { return SteadyClock().Now(); }

TEST(LeasePage, AReaderSeesALeaseRunOutWithoutAWordOfTheWriter) {
  UniqueFd readers;
  const auto page = LeasePage::Make(readers);
  ASSERT_TRUE(page) << page.error().message;
  const auto theirs = LeasePage::Attach(readers);
  ASSERT_TRUE(theirs) << theirs.error().message;
  const auto lease = theirs->View(7);
  ASSERT_TRUE(lease);
  EXPECT_FALSE(lease->Holds()) << "nobody gave it";
  page->Write(7, Now() + std::chrono::hours(1));
  EXPECT_TRUE(lease->Holds());
  EXPECT_FALSE(theirs->View(8)->Holds());
  const TimePoint end = Now() + std::chrono::milliseconds(50);
  page->Write(7, end);
  while (lease->Holds()) ASSERT_LT(Now(), end + std::chrono::seconds(10));
  EXPECT_GE(Now(), end);
  page->Write(7, Now() + std::chrono::hours(1));
  EXPECT_TRUE(lease->Holds());
  page->Write(7, {});
  EXPECT_FALSE(lease->Holds());
}

TEST(LeasePage, NoLeaseAlwaysHoldsAndANumberBeyondThePageIsNonsense) {
  EXPECT_TRUE(LeasePage().View(0)->Holds());
  EXPECT_EQ(LeasePage().View(1).error().code, ErrorCode::kProtocolError);
  UniqueFd readers;
  const auto page = LeasePage::Make(readers);
  ASSERT_TRUE(page);
  EXPECT_TRUE(page->View(0)->Holds());
  EXPECT_TRUE(page->View(kLeasesMax - 1));
  EXPECT_EQ(page->View(kLeasesMax).error().code, ErrorCode::kProtocolError);
}

TEST(LeasePage, ReadersCannotWriteAndAShortFileIsNoPage) {
  UniqueFd readers;
  ASSERT_TRUE(LeasePage::Make(readers));
  EXPECT_EQ(Mapping::Map(readers.get(), 64, Mapping::Access::kReadWrite).error().code, ErrorCode::kNotAllowed);
  const auto small = CreateMemfd("small", 64, /*reserve=*/false);
  ASSERT_TRUE(small);
  EXPECT_FALSE(LeasePage::Attach(*small));
}

}  // namespace
}  // namespace raylet
