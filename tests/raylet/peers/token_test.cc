#include "raylet/peers/token.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>
#include <vector>

#include "tests/harness/run_folder.h"

namespace raylet {
namespace {

class TokenFiles : public ::testing::Test {
 protected:
  std::string Write(const std::string& text, mode_t mode) {
    const std::string path = folder_.File("token");
    std::ofstream(path) << text;
    ::chmod(path.c_str(), mode);
    return path;
  }
  static mode_t ModeOf(const std::string& path) {
    struct stat status {};
    return ::lstat(path.c_str(), &status) == 0 ? status.st_mode & 07777 : 0;
  }
  static void ExpectRefused(const Result<PeerToken>& token, ErrorCode code, const std::vector<std::string>& words) {
    ASSERT_FALSE(token);
    EXPECT_EQ(token.error().code, code) << token.error().message;
    for (const std::string& each : words)
      EXPECT_NE(token.error().message.find(each), std::string::npos)
          << each << " is missing: " << token.error().message;
  }
  test::RunFolder folder_;
};

TEST_F(TokenFiles, FileIsReadWithoutTheLineEndBehindIt) {
  EXPECT_EQ(ReadTokenFile(Write("0123456789abcdef\r\n", 0600))->bytes(), "0123456789abcdef");
  EXPECT_EQ(ReadTokenFile(Write("0123456789abcdef", 0400))->bytes(), "0123456789abcdef");
}

TEST_F(TokenFiles, FileThatOthersMayReadIsRefusedWithTheCommandThatHelps) {
  for (const mode_t mode : {0640, 0604, 0610, 0602}) {
    const auto path = Write("0123456789abcdef", mode);
    const auto token = ReadTokenFile(path);
    ASSERT_FALSE(token);
    EXPECT_EQ(token.error().code, ErrorCode::kNotAllowed);
    EXPECT_NE(token.error().message.find("chmod 600 " + path), std::string::npos) << token.error().message;
  }
}

TEST_F(TokenFiles, AbsentOrTooShortFileOrFolderIsRefused) {
  EXPECT_EQ(ReadTokenFile(folder_.File("absent")).error().code, ErrorCode::kNotFound);
  const auto empty = ReadTokenFile(Write("\n", 0600));
  EXPECT_EQ(empty.error().code, ErrorCode::kInvalid);
  EXPECT_NE(empty.error().message.find("head -c 32 /dev/urandom"), std::string::npos) << empty.error().message;
  EXPECT_FALSE(ReadTokenFile(Write("0123456789abcde", 0600)));
  EXPECT_FALSE(ReadTokenFile(Write(std::string(5000, 'x'), 0600)));
  EXPECT_FALSE(ReadTokenFile(folder_.path()));
}

TEST_F(TokenFiles, PasswordMayBeShorterAndErrorsCallItSo) {
  EXPECT_EQ(*ReadPasswordFile(Write("secret\n", 0600)), "secret");
  for (const auto& refused : {ReadPasswordFile(folder_.File("absent")), ReadPasswordFile(Write("\n", 0600)),
                              ReadPasswordFile(Write("secret", 0644))}) {
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("password"), std::string::npos) << refused.error().message;
    EXPECT_EQ(refused.error().message.find("urandom"), std::string::npos) << refused.error().message;
  }
}

TEST_F(TokenFiles, SymbolicLinkIsRefused) {
  const std::string link = folder_.File("link");
  ASSERT_EQ(::symlink(Write("0123456789abcdef", 0600).c_str(), link.c_str()), 0);
  ExpectRefused(ReadTokenFile(link), ErrorCode::kNotAllowed, {link, "symbolic link", "copy it"});
}

TEST_F(TokenFiles, FileOfAnotherUserIsRefused) {
  std::string path = "/etc/passwd";  // another user's, unless root runs the test
  if (::geteuid() == 0) {
    path = Write("0123456789abcdef", 0600);
    ASSERT_EQ(::chown(path.c_str(), 65534, 65534), 0);
  }
  ExpectRefused(ReadTokenFile(path), ErrorCode::kNotAllowed, {path, "belongs to user", "copy it"});
}

TEST_F(TokenFiles, TokensAreNeverEmptyAndRandomOnesDiffer) {
  EXPECT_FALSE(PeerToken::FromBytes(""));
  EXPECT_FALSE(PeerToken::FromBytes("0123456789abcde"));
  EXPECT_TRUE(PeerToken::FromBytes("0123456789abcdef"));
  EXPECT_GE(PeerToken().bytes().size(), kTokenBytesMin);
  EXPECT_NE(PeerToken().bytes(), PeerToken().bytes());
}

TEST_F(TokenFiles, UserTokenIsMadeForTheUserAloneAndThenKept) {
  const std::string path = folder_.File("config/raylet/token");
  const auto made = UserToken(path);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->bytes().size(), 64u);
  EXPECT_EQ(made->file(), path);
  EXPECT_EQ(ModeOf(path), 0600u);
  EXPECT_EQ(ModeOf(folder_.File("config/raylet")), 0700u);
  EXPECT_EQ(UserToken(path)->bytes(), made->bytes());
  const std::filesystem::directory_iterator all(folder_.File("config/raylet"));
  EXPECT_EQ(std::distance(begin(all), end(all)), 1) << "nothing else stays there";
}

TEST_F(TokenFiles, ConcurrentMakersOfTheUserTokenGetTheSame) {
  for (int round = 0; round < 20; ++round) {
    const std::string path = folder_.File("config" + std::to_string(round) + "/raylet/token");
    std::vector<std::string> got(8);
    std::vector<std::thread> makers;
    for (std::string& each : got) {
      makers.emplace_back([&] {
        const auto token = UserToken(path);
        each = token ? token->bytes() : token.error().message;
      });
    }
    for (std::thread& each : makers) each.join();
    EXPECT_EQ(std::set<std::string>(got.begin(), got.end()).size(), 1u) << got[0] << " and " << got[1];
    EXPECT_EQ(got[0].size(), 64u) << got[0];
  }
}

TEST_F(TokenFiles, UserTokenInAFolderThatOthersMayUseIsRefused) {
  const std::string folder = folder_.File("raylet"), path = folder + "/token";
  ASSERT_TRUE(UserToken(path));
  ::chmod(folder.c_str(), 0755);
  ExpectRefused(UserToken(path), ErrorCode::kNotAllowed, {folder, "chmod 700 " + folder, "--token-file"});
  std::filesystem::remove_all(folder);
  std::filesystem::create_directory_symlink(folder_.path(), folder);
  ExpectRefused(UserToken(path), ErrorCode::kNotAllowed, {folder, "no folder", "--token-file"});
}

TEST_F(TokenFiles, EmptyUserTokenIsRefusedAndNotReplaced) {
  const std::string path = folder_.File("raylet/token");
  ASSERT_TRUE(UserToken(path));
  std::ofstream(path).flush();
  ExpectRefused(UserToken(path), ErrorCode::kInvalid, {path, "0 bytes", "head -c 32 /dev/urandom"});
  EXPECT_EQ(std::filesystem::file_size(path), 0u);
}

TEST_F(TokenFiles, UserTokenIsNotMadeInTheFolderOfAnotherUser) {
  // Root's, or another user's if root runs the test.
  std::string home = "/";
  if (::geteuid() == 0) {
    home = folder_.File("home");
    std::filesystem::create_directory(home);
    ASSERT_EQ(::chown(home.c_str(), 65534, 65534), 0);
  }
  ExpectRefused(UserToken(home + "/raylet/token"), ErrorCode::kNotAllowed, {"set HOME", "--token-file"});
}

}  // namespace
}  // namespace raylet
