#include "client/ray/cluster/private_folder.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "base/unix_socket.h"
#include "tests/harness/run_folder.h"

namespace raylet::client {
namespace {

namespace fs = std::filesystem;

class PrivateFolderTest : public ::testing::Test {
 protected:
  // One that a program left so many hours ago.
  std::string Make(const std::string& letters, int hours) {
    const std::string folder = base_.File("raylet-" + letters);
    fs::create_directories(folder + "/logs");
    fs::permissions(folder, fs::perms::owner_all);
    timespec times[2] = {{::time(nullptr) - hours * 3600, 0}, {::time(nullptr) - hours * 3600, 0}};
    EXPECT_EQ(::utimensat(AT_FDCWD, folder.c_str(), times, 0), 0);
    return folder;
  }

  test::RunFolder base_;
};

TEST_F(PrivateFolderTest, TheNewestOfThoseThatWereLeftStay) {
  std::vector<std::string> folders;
  for (int i = 0; i < 6; ++i) folders.push_back(Make("aaaaa" + std::to_string(i), 10 - i));
  RemoveLeftFolders(base_.path());
  for (size_t i = 0; i < folders.size(); ++i)
    EXPECT_EQ(fs::exists(folders[i]), i >= folders.size() - kLeftFoldersMax) << folders[i];
}

TEST_F(PrivateFolderTest, OneWhoseDaemonServesStays) {
  const std::string served = Make("served", 100);
  const auto socket = ListenUnix(served + "/raylet.sock", 1);
  ASSERT_TRUE(socket) << socket.error().message;
  Make("served", 100);  // the socket has changed the folder's time
  for (int i = 0; i < 6; ++i) Make("aaaaa" + std::to_string(i), 1);
  RemoveLeftFolders(base_.path());
  EXPECT_TRUE(fs::exists(served));
}

TEST_F(PrivateFolderTest, OtherFoldersStay) {
  for (int i = 0; i < 6; ++i) Make("aaaaa" + std::to_string(i), 1);
  const std::string open = Make("public", 100);
  fs::permissions(open, fs::perms::all);
  const std::string other = base_.File("raylet-of-mine");
  fs::create_directories(other + "/logs");
  const std::string young = Make("youngs", 0);
  RemoveLeftFolders(base_.path());
  for (const std::string& kept : {open, other, young}) EXPECT_TRUE(fs::exists(kept)) << kept;
}

TEST_F(PrivateFolderTest, IsMadeInTheFolderForTemporaryFiles) {
  ASSERT_EQ(::setenv("TMPDIR", base_.path().c_str(), 1), 0);
  const std::string made = MakePrivateFolder();
  ::unsetenv("TMPDIR");
  EXPECT_EQ(fs::path(made).parent_path(), base_.path());
  EXPECT_EQ(fs::status(made).permissions(), fs::perms::owner_all);
}

}  // namespace
}  // namespace raylet::client
