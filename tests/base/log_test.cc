#include "base/log.h"

#include <gtest/gtest.h>
#include <regex.h>
#include <unistd.h>

#include <string>

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
  const std::string wanted =
      StrCat("^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}[+-][0-9]{2}:[0-9]{2} warning ",
             ::getpid(), " store: 3 objects \\{\\} left %s\n$");
  regex_t compiled{};
  ASSERT_EQ(::regcomp(&compiled, wanted.c_str(), REG_EXTENDED | REG_NOSUB), 0);
  EXPECT_EQ(::regexec(&compiled, line.c_str(), 0, nullptr, 0), 0) << line;
  ::regfree(&compiled);
}

TEST_F(LogTest, BelowTheLevelNothingIsLoggedOrComputed) {
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
