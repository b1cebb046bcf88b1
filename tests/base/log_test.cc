#include "base/log.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <regex>

namespace raylet {
namespace {

class LogTest : public testing::Test {
 protected:
  ~LogTest() override { SetLogLevel(LogLevel::kWarning); }
};

TEST_F(LogTest, ALineHasTimeLevelProcessAndText) {
  testing::internal::CaptureStderr();
  RAYLET_LOG(kWarning, "store: ", 3, " objects {} left %s");
  const std::string line = testing::internal::GetCapturedStderr();
  const std::regex wanted("\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}[+-]\\d\\d:\\d\\d warning " +
                          std::to_string(::getpid()) + " store: 3 objects \\{\\} left %s\n");
  EXPECT_TRUE(std::regex_match(line, wanted)) << line;
}

TEST_F(LogTest, BelowTheLevelNothingIsSaidNorComputed) {
  testing::internal::CaptureStderr();
  int computed = 0;
  RAYLET_LOG(kInfo, ++computed);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  EXPECT_EQ(computed, 0);
  EXPECT_FALSE(LogEnabled(LogLevel::kInfo));
  SetLogLevel(LogLevel::kDebug);
  EXPECT_TRUE(LogEnabled(LogLevel::kDebug));
}

TEST_F(LogTest, LevelsAreReadByName) {
  EXPECT_EQ(ParseLogLevel("debug").value(), LogLevel::kDebug);
  EXPECT_EQ(ParseLogLevel("error").value(), LogLevel::kError);
  const auto bad = ParseLogLevel("loud");
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().message, "\"loud\" is no log level: say debug, info, warning or error");
}

}  // namespace
}  // namespace raylet
