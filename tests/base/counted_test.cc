#include "base/counted.h"

#include <gtest/gtest.h>

namespace raylet {
namespace {

TEST(Counted, OneIsSingularAndAllElseIsPlural) {
  EXPECT_EQ(Counted(0, "task"), "0 tasks");
  EXPECT_EQ(Counted(1, "task"), "1 task");
  EXPECT_EQ(Counted(size_t{2}, "task"), "2 tasks");
  EXPECT_EQ(Counted(1, "process", "processes"), "1 process");
  EXPECT_EQ(Counted(uint64_t{1} << 40, "process", "processes"), "1099511627776 processes");
}

}  // namespace
}  // namespace raylet
