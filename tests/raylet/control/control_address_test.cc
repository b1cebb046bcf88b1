#include "raylet/control/control_address.h"

#include <gtest/gtest.h>

namespace raylet {
namespace {

ControlAddress Parsed(const std::string& text) {
  const auto address = ParseControlAddress(text);
  EXPECT_TRUE(address) << text << ": " << address.error().message;
  return address ? *address : ControlAddress();
}

TEST(ControlAddress, ReadsEveryFormOfTcp) {
  EXPECT_EQ(Parsed("redis://redis.local"), (ControlAddress{"redis.local", kRedisPort, "", "", ""}));
  EXPECT_EQ(Parsed("redis://10.0.0.1:7000/"), (ControlAddress{"10.0.0.1", 7000, "", "", ""}));
  EXPECT_EQ(Parsed("redis://[fd00::1]:7000"), (ControlAddress{"fd00::1", 7000, "", "", ""}));
  EXPECT_EQ(Parsed("redis://[fd00::1]"), (ControlAddress{"fd00::1", kRedisPort, "", "", ""}));
  EXPECT_EQ(Parsed("redis://ann:secret@host"), (ControlAddress{"host", kRedisPort, "", "ann", "secret"}));
  EXPECT_EQ(Parsed("redis://:secret@host"), (ControlAddress{"host", kRedisPort, "", "", "secret"}));
  EXPECT_EQ(Parsed("redis://ann@host"), (ControlAddress{"host", kRedisPort, "", "ann", ""}));
}

TEST(ControlAddress, ReadsAPathOfASocket) {
  EXPECT_EQ(Parsed("unix:///run/redis.sock"), (ControlAddress{"", kRedisPort, "/run/redis.sock", "", ""}));
  EXPECT_EQ(Parsed("unix://:secret@/run/redis.sock"),
            (ControlAddress{"", kRedisPort, "/run/redis.sock", "", "secret"}));
}

TEST(ControlAddress, APasswordMayHoldAnyByte) {
  EXPECT_EQ(Parsed("redis://ann:a%40b%3a%2F%25@host").password, "a@b:/%");
  EXPECT_EQ(Parsed("redis://ann:a@b:c@host").password, "a@b:c") << "the last @ ends it";
}

TEST(ControlAddress, ShowsNoPassword) {
  EXPECT_EQ(Parsed("redis://ann:secret@[fd00::1]:7000").Shown(), "redis://[fd00::1]:7000");
  EXPECT_EQ(Parsed("redis://:secret@host").Shown(), "redis://host:6379");
  EXPECT_EQ(Parsed("unix://:secret@/run/redis.sock").Shown(), "unix:///run/redis.sock");
}

TEST(ControlAddress, RefusesOtherTextsWithoutShowingThem) {
  const std::vector<std::string> texts = {
      "",
      "secret",
      "secret:6379",
      "rediss://secret",
      "redis://",
      "redis://:6379",
      "redis://secret:",
      "redis://secret:0",
      "redis://secret:65536",
      "redis://secret:1x",
      "redis://secret:-1",
      "redis://secret/1",
      "redis://[secret",
      "redis://[secret]7000",
      "redis://@secret",
      "redis://ann:@secret",
      "redis://ann:secret%4@host",
      "redis://ann:secret%4g@host",
      "redis://ann:secret%@host",
      "unix://secret",
      "unix:///secret" + std::string(107, 'p'),
  };
  for (const std::string& text : texts) {
    const auto address = ParseControlAddress(text);
    ASSERT_FALSE(address) << text;
    EXPECT_EQ(address.error().code, ErrorCode::kInvalid) << text;
    EXPECT_EQ(address.error().message.find("secret"), std::string::npos) << address.error().message;
  }
}

}  // namespace
}  // namespace raylet
