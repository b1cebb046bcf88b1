#include "store/spill_target.h"

#include <gtest/gtest.h>

namespace raylet::store {
namespace {

std::string WhyNot(const std::string& spill_dir, const std::string& external_store, const std::string& spill_max) {
  const auto target = ReadSpillFlags(spill_dir, external_store, spill_max);
  if (target) return "";
  EXPECT_EQ(target.error().code, ErrorCode::kInvalid);
  return target.error().message;
}

TEST(SpillTargetTest, EachFlagNamesAFolder) {
  const auto nowhere = ReadSpillFlags("", "", "");
  ASSERT_TRUE(nowhere);
  EXPECT_FALSE(*nowhere);
  const auto owned = ReadSpillFlags("disk", "", "2M");
  ASSERT_TRUE(owned && *owned);
  EXPECT_EQ((*owned)->folder, "disk");
  EXPECT_EQ((*owned)->what, SpillWhat::kOwned);
  EXPECT_EQ((*owned)->bytes_max, uint64_t{2} << 20);
  const auto all = ReadSpillFlags("", "file:///var/objects", "");
  ASSERT_TRUE(all && *all);
  EXPECT_EQ((*all)->folder, "/var/objects");
  EXPECT_EQ((*all)->what, SpillWhat::kAll);
  EXPECT_EQ((*all)->bytes_max, UINT64_MAX);
}

TEST(SpillTargetTest, MistakesAreNamedWithTheRemedy) {
  EXPECT_NE(WhyNot("", "hashtable://x", "").find("no external store of the kind hashtable://"), std::string::npos);
  for (const char* const wrong : {"hashtable://x", "/folder", "file:/folder", "file://folder", "file://", "://", "x"})
    EXPECT_NE(WhyNot("", wrong, "").find("say -e file:///FOLDER"), std::string::npos) << wrong;
  EXPECT_NE(WhyNot("disk", "file:///disk", "").find("say one of them"), std::string::npos);
  EXPECT_NE(WhyNot("", "", "1G").find("--spill-dir or -e"), std::string::npos);
  EXPECT_NE(WhyNot("disk", "", "much").find("--spill-max \"much\""), std::string::npos);
}

}  // namespace
}  // namespace raylet::store
