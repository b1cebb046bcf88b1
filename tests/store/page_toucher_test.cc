#include "store/page_toucher.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <vector>

#include "base/shm_segment.h"
#include "store/page_runs.h"
#include "tests/harness/daemon_process.h"

namespace raylet::store {
namespace {

using test::Eventually;
using namespace std::chrono_literals;

constexpr uint64_t kMemfdBytes = uint64_t{200} << 20, kAhead = uint64_t{70} << 20;

class PageToucherTest : public ::testing::Test {
 protected:
  // Pages that the kernel has cleared; those that are only reserved do not count.
  uint64_t ReadyBytes() const {
    std::vector<unsigned char> pages(kMemfdBytes / kPageBytes);
    EXPECT_EQ(::mincore(mapping_.data(), kMemfdBytes, pages.data()), 0);
    return static_cast<uint64_t>(std::count_if(pages.begin(), pages.end(), [](auto page) { return page & 1; })) *
           kPageBytes;
  }

  UniqueFd fd_ = *CreateMemfd("touched", kMemfdBytes, /*reserve=*/true);
  Mapping mapping_ = *Mapping::Map(fd_.get(), kMemfdBytes, Mapping::Access::kReadWrite);
};

TEST_F(PageToucherTest, TouchesAheadOfWhatIsUsedAndNoFurther) {
  ASSERT_EQ(ReadyBytes(), 0u);
  PageToucher toucher(fd_.get(), kMemfdBytes, kAhead);
  EXPECT_TRUE(Eventually(20s, [&] { return toucher.touched_bytes() == kAhead; }));
  EXPECT_EQ(ReadyBytes(), kAhead);
  toucher.UsedUntil(uint64_t{100} << 20);
  EXPECT_TRUE(Eventually(20s, [&] { return toucher.touched_bytes() == (uint64_t{100} << 20) + kAhead; }));
  EXPECT_EQ(ReadyBytes(), (uint64_t{100} << 20) + kAhead);
  toucher.UsedUntil(kMemfdBytes);
  EXPECT_TRUE(Eventually(20s, [&] { return toucher.touched_bytes() == kMemfdBytes; }));
}

TEST_F(PageToucherTest, LeavesEveryByteAsItIs) {
  std::memset(mapping_.data(), 7, kMemfdBytes / 2);
  PageToucher toucher(fd_.get(), kMemfdBytes, kMemfdBytes);
  std::memset(mapping_.data() + kMemfdBytes / 2, 9, kMemfdBytes / 2);  // at the same time
  ASSERT_TRUE(Eventually(20s, [&] { return toucher.touched_bytes() == kMemfdBytes; }));
  const auto all = [&](size_t from, std::byte value) {
    return std::all_of(mapping_.data() + from, mapping_.data() + from + kMemfdBytes / 2,
                       [value](std::byte byte) { return byte == value; });
  };
  EXPECT_TRUE(all(0, std::byte{7}));
  EXPECT_TRUE(all(kMemfdBytes / 2, std::byte{9}));
}

TEST_F(PageToucherTest, StaysBelowPagesThatAreLent) {
  constexpr uint64_t kLimit = uint64_t{100} << 20;
  PageToucher toucher(fd_.get(), kMemfdBytes, kAhead);
  toucher.StayBelow(kLimit);
  toucher.StayBelow(kMemfdBytes - kPageBytes);
  toucher.UsedUntil(kMemfdBytes);
  EXPECT_TRUE(Eventually(20s, [&] { return toucher.touched_bytes() == kLimit; }));
  EXPECT_EQ(ReadyBytes(), kLimit);
}

TEST_F(PageToucherTest, EndsInTheMiddle) {
  { const PageToucher toucher(fd_.get(), kMemfdBytes, kMemfdBytes); }
  EXPECT_LT(ReadyBytes(), kMemfdBytes);
}

}  // namespace
}  // namespace raylet::store
