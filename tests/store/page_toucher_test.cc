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

constexpr uint64_t kBytes = uint64_t{200} << 20, kAhead = uint64_t{70} << 20;

class PageToucherTest : public ::testing::Test {
 protected:
  // Pages that the kernel has cleared; those that are only reserved do not count.
  uint64_t ReadyBytes() const {
    std::vector<unsigned char> pages(kBytes / kPageBytes);
    EXPECT_EQ(::mincore(mapping_.data(), kBytes, pages.data()), 0);
    return static_cast<uint64_t>(std::count_if(pages.begin(), pages.end(), [](auto page) { return page & 1; })) *
           kPageBytes;
  }

  UniqueFd fd_ = *CreateMemfd("touched", kBytes, /*reserve=*/true);
  Mapping mapping_ = *Mapping::Map(fd_.get(), kBytes, Mapping::Access::kReadWrite);
};

TEST_F(PageToucherTest, TouchesAheadOfWhatIsUsedAndNoFurther) {
  ASSERT_EQ(ReadyBytes(), 0u);
  PageToucher toucher(fd_.get(), kBytes, kAhead);
  EXPECT_TRUE(Eventually(20s, [&] { return toucher.touched_bytes() == kAhead; }));
  EXPECT_EQ(ReadyBytes(), kAhead);
  toucher.UsedUntil(uint64_t{100} << 20);
  EXPECT_TRUE(Eventually(20s, [&] { return toucher.touched_bytes() == (uint64_t{100} << 20) + kAhead; }));
  EXPECT_EQ(ReadyBytes(), (uint64_t{100} << 20) + kAhead);
  toucher.UsedUntil(kBytes);
  EXPECT_TRUE(Eventually(20s, [&] { return toucher.touched_bytes() == kBytes; }));
}

TEST_F(PageToucherTest, LeavesEveryByteAsItIs) {
  std::memset(mapping_.data(), 7, kBytes / 2);
  PageToucher toucher(fd_.get(), kBytes, kBytes);
  std::memset(mapping_.data() + kBytes / 2, 9, kBytes / 2);  // at the same time
  ASSERT_TRUE(Eventually(20s, [&] { return toucher.touched_bytes() == kBytes; }));
  const auto all = [&](size_t from, std::byte value) {
    return std::all_of(mapping_.data() + from, mapping_.data() + from + kBytes / 2,
                       [value](std::byte byte) { return byte == value; });
  };
  EXPECT_TRUE(all(0, std::byte{7}));
  EXPECT_TRUE(all(kBytes / 2, std::byte{9}));
}

TEST_F(PageToucherTest, StaysBelowPagesThatAreLent) {
  constexpr uint64_t kLimit = uint64_t{100} << 20;
  PageToucher toucher(fd_.get(), kBytes, kAhead);
  toucher.StayBelow(kLimit);
  toucher.StayBelow(kBytes - kPageBytes);
  toucher.UsedUntil(kBytes);
  EXPECT_TRUE(Eventually(20s, [&] { return toucher.touched_bytes() == kLimit; }));
  EXPECT_EQ(ReadyBytes(), kLimit);
}

TEST_F(PageToucherTest, EndsInTheMiddle) {
  { const PageToucher toucher(fd_.get(), kBytes, kBytes); }
  EXPECT_LT(ReadyBytes(), kBytes);
}

}  // namespace
}  // namespace raylet::store
