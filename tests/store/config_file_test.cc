#include "store/config_file.h"

#include <gtest/gtest.h>

#include <string>

namespace raylet::store {
namespace {

TEST(ConfigFile, LinesOfTomlAreRead) {
  const auto settings = ParseConfig(
      "# the store\n"
      "memory = \"1G\"   # a comment\n"
      "\r\n"
      "socket='/run/raylet/plasma #1'\n"
      "\tmetrics-port =9401\r\n"
      "hugepages = true\n"
      "directory = \"a \\\"b\\\\\"");
  ASSERT_TRUE(settings) << settings.error().message;
  const std::vector<std::pair<std::string, std::string>> wanted = {{"memory", "1G"},
                                                                   {"socket", "/run/raylet/plasma #1"},
                                                                   {"metrics-port", "9401"},
                                                                   {"hugepages", "true"},
                                                                   {"directory", "a \"b\\"}};
  ASSERT_EQ(settings->size(), wanted.size());
  for (size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_EQ((*settings)[i].key, wanted[i].first);
    EXPECT_EQ((*settings)[i].value, wanted[i].second);
  }
  EXPECT_EQ((*settings)[1].line, 4u);
  EXPECT_TRUE(ParseConfig("")->empty());
}

TEST(ConfigFile, LinesThatAreNoSettingAreRefusedWithTheirNumber) {
  for (const char* wrong : {"memory", "= 1", "memory =", "memory = 1G", "memory = \"1G", "memory = \"1G\" 2",
                            "two words = 1", "memory = \"\\n\"", "memory = [1]", "memory = -1", "memory = \"a\\"}) {
    const auto settings = ParseConfig(std::string("\n") + wrong);
    ASSERT_FALSE(settings) << wrong;
    EXPECT_EQ(settings.error().message.substr(0, 24), "line 2 is no setting: wr") << wrong;
  }
  EXPECT_NE(ParseConfig("[store]").error().message.find("line 1 begins a table"), std::string::npos);
  EXPECT_EQ(ParseConfig("a = 1\nb = 2\na = 3").error().message, "line 3 says a again, after line 1: say it once");
  EXPECT_NE(ParseConfig(std::string(kConfigBytesMax + 1, ' ')).error().message.find("65536 is the limit"),
            std::string::npos);
}

}  // namespace
}  // namespace raylet::store
