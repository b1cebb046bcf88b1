// Addresses of a control store, and what Redis answers, whole and in pieces.
#include "raylet/control/redis_reply.h"

#include <gtest/gtest.h>

#include "raylet/control/control_address.h"

namespace raylet {
namespace {

std::span<const std::byte> Bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

TEST(RedisReplyTest, AnswersComeBackWholeFromAnyPieces) {
  const std::string stream =
      "+OK\r\n$-1\r\n$5\r\na\r\nbc\r\n:-7\r\n-ERR no\r\n*3\r\n$1\r\nx\r\n*1\r\n:2\r\n$-1\r\n*0\r\n*-1\r\n";
  for (size_t piece = 1; piece <= stream.size(); ++piece) {
    RedisReplyReader reader;
    std::vector<RedisReply> replies;
    for (size_t at = 0; at < stream.size(); at += piece) {
      reader.Feed(Bytes(stream.substr(at, piece)));
      for (auto reply = reader.Next(); *reply; reply = reader.Next()) replies.push_back(std::move(**reply));
    }
    ASSERT_EQ(replies.size(), 8u);
    EXPECT_EQ(replies[0].kind, RedisReply::Kind::kStatus);
    EXPECT_EQ(replies[1].kind, RedisReply::Kind::kNil);
    EXPECT_EQ(replies[2].text, "a\r\nbc");
    EXPECT_EQ(replies[3].integer, -7);
    EXPECT_EQ(replies[4].text, "ERR no");
    ASSERT_TRUE(replies[5].IsList(3));
    EXPECT_EQ(replies[5].list[0].text, "x");
    EXPECT_EQ(replies[5].list[1].list[0].integer, 2);
    EXPECT_TRUE(replies[6].IsList(0));
    EXPECT_EQ(replies[7].kind, RedisReply::Kind::kNil);
  }
}

TEST(RedisReplyTest, NonsenseAndTooMuchAreErrors) {
  for (const std::string& stream : {std::string("hello\r\n"), std::string("$x\r\n"), std::string("*1000000\r\n"),
                                    std::string("*200000\r\n*200000\r\n"),
                                    std::string("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n")}) {
    RedisReplyReader reader;
    reader.Feed(Bytes(stream));
    const auto reply = reader.Next();
    ASSERT_FALSE(reply) << stream;
    EXPECT_EQ(reply.error().code, ErrorCode::kProtocolError);
    EXPECT_FALSE(reader.Next());
  }
  RedisReplyReader reader;
  const std::string part = "$100000000\r\n" + std::string(size_t{1} << 20, 'x');
  for (int i = 0; i < 65; ++i) reader.Feed(Bytes(part));
  EXPECT_FALSE(reader.Next());
}

TEST(RedisReplyTest, ACommandIsItsWordsWhateverBytesTheyHave) {
  std::string out;
  AppendRedisCommand(out, {"SET", "a b", std::string("\r\n\0", 3), ""});
  EXPECT_EQ(out, "*4\r\n$3\r\nSET\r\n$3\r\na b\r\n$3\r\n" + std::string("\r\n\0", 3) + "\r\n$0\r\n\r\n");
}

TEST(ControlAddressTest, EveryFormIsTaken) {
  const auto parse = [](const char* text) { return *ParseControlAddress(text); };
  EXPECT_EQ(parse("redis://head"), (ControlAddress{"head", 6379, "", "", ""}));
  EXPECT_EQ(parse("redis://10.0.0.1:7/"), (ControlAddress{"10.0.0.1", 7, "", "", ""}));
  EXPECT_EQ(parse("redis://[::1]:7"), (ControlAddress{"::1", 7, "", "", ""}));
  EXPECT_EQ(parse("redis://:pa%3As@head"), (ControlAddress{"head", 6379, "", "", "pa:s"}));
  EXPECT_EQ(parse("redis://me:p@ss:w@head:1"), (ControlAddress{"head", 1, "", "me", "p@ss:w"}));
  EXPECT_EQ(parse("redis://me@head"), (ControlAddress{"head", 6379, "", "me", ""}));
  EXPECT_EQ(parse("unix:///tmp/redis"), (ControlAddress{"", 6379, "/tmp/redis", "", ""}));
  EXPECT_EQ(parse("unix://me:pw@/tmp/redis"), (ControlAddress{"", 6379, "/tmp/redis", "me", "pw"}));
  EXPECT_EQ(parse("redis://me:secret@[::1]").Shown(), "redis://[::1]:6379");
  EXPECT_EQ(parse("unix://me:secret@/a").Shown(), "unix:///a");
}

TEST(ControlAddressTest, BadAddressIsRefusedWithoutShowingAPassword) {
  for (const char* text :
       {"", "head:6379", "http://head", "rediss://:secret@head", "redis://", "redis://head:0", "redis://head:65536",
        "redis://head:", "redis://head:x", "redis://head/3", "redis://[::1", "redis://[::1]x", "redis://@head",
        "redis://me:@head", "redis://:secret%4@head", "redis://:secret%zz@head", "unix://relative", "unix://"}) {
    const auto address = ParseControlAddress(text);
    ASSERT_FALSE(address) << text;
    EXPECT_EQ(address.error().code, ErrorCode::kInvalid);
    EXPECT_NE(address.error().message.find("redis://host:port"), std::string::npos);
    EXPECT_EQ(address.error().message.find("secret"), std::string::npos);
  }
}

}  // namespace
}  // namespace raylet
