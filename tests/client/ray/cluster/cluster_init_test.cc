// Where ray::Init looks for its daemons, in which order, and its error where there are none.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/harness/daemon_process.h"
#include "tests/harness/run_folder.h"

namespace cluster_test {
namespace {

using raylet::test::DaemonProcess;
using raylet::test::ProcessOptions;
using raylet::test::ProgramPath;
using raylet::test::RunFolder;
namespace fs = std::filesystem;
using namespace std::chrono_literals;

struct Ran {
  int exit_code = -1;
  std::string output;
};

class ClusterInitTest : public ::testing::Test {
 protected:
  // A program at prefix/tests/program. For an installed one, at prefix/bin, "beside the program" and "in the install
  // prefix" would be the same folder.
  void SetUp() override {
    for (const char* const name : {"prefix/tests", "prefix/bin", "variable", "path"})
      fs::create_directories(folder_.File(name));
    fs::copy_file(RAY_CLUSTER_FINDER, program_);
  }

  // The two daemons, there.
  std::string Put(const std::string& where) {
    for (const char* const name : {"plasma_store", "raylet"})
      fs::create_symlink(ProgramPath(name), folder_.File(where) + "/" + name);
    return folder_.File(where) + "/plasma_store\n";
  }
  void Remove(const std::string& where) {
    for (const char* const name : {"plasma_store", "raylet"}) fs::remove(folder_.File(where) + "/" + name);
  }

  Ran Run(const std::string& argument, const std::string& address = "") {
    ProcessOptions options;
    options.environment = {{"RAYLET_BIN_DIR", folder_.File("variable")},
                           {"PATH", folder_.File("absent") + ":" + folder_.File("path")},
                           {"RAY_ADDRESS", address}};
    auto process = DaemonProcess::StartPlain(program_, {argument}, options);
    if (!process) return {-1, process.error().message};
    const auto end = process->Wait(raylet::Deadline::After(20s));
    return {end ? end->exit_code : -2, process->Output()};
  }

  RunFolder folder_;
  const std::string program_ = folder_.File("prefix/tests/finder");
};

TEST_F(ClusterInitTest, FindsTheDaemonsByVariableBesideTheProgramInThePrefixAndOnThePathInThatOrder) {
  const std::string variable = Put("variable");
  const std::string beside = Put("prefix/tests");
  const std::string prefix = Put("prefix/bin");
  const std::string path = Put("path");
  const auto expect = [&](const std::string& wanted) {
    const Ran found = Run("plasma_store");
    EXPECT_EQ(found.output, wanted);
    const Ran started = Run("init");
    EXPECT_EQ(started.exit_code, 0) << started.output;
    EXPECT_EQ(started.output, "initialized\n");
  };
  expect(variable);
  Remove("variable");
  expect(beside);
  Remove("prefix/tests");
  expect(prefix);
  Remove("prefix/bin");
  expect(path);
}

TEST_F(ClusterInitTest, PassesOverFoldersAndFilesThatOnlyHaveADaemonsName) {
  for (const char* const name : {"plasma_store", "raylet"}) {
    fs::create_directory(folder_.File(std::string("variable/") + name));
    std::ofstream(folder_.File(std::string("prefix/tests/") + name)) << "notes";
  }
  Put("prefix/bin");
  const Ran started = Run("init");
  EXPECT_EQ(started.exit_code, 0) << started.output;
}

TEST_F(ClusterInitTest, SaysThatADaemonsFileCannotBeExecuted) {
  Put("path");
  const std::string broken = folder_.File("variable/plasma_store");
  std::ofstream(broken) << "notes";
  fs::permissions(broken, fs::perms::owner_all);
  const Ran ran = Run("init");
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_NE(ran.output.find(broken + " ended before it was ready; it said: the kernel does not execute it"),
            std::string::npos)
      << ran.output;
}

TEST_F(ClusterInitTest, SaysWhereItLookedForDaemonsThatAreNowhereAndWhatToDo) {
  const Ran ran = Run("init");
  EXPECT_EQ(ran.exit_code, 1);
  for (const char* const place : {"variable", "prefix/tests", "prefix/bin", "path"})
    EXPECT_NE(ran.output.find(folder_.File(place)), std::string::npos) << place << ": " << ran.output;
  EXPECT_NE(ran.output.find("set RAYLET_BIN_DIR"), std::string::npos) << ran.output;
  EXPECT_NE(ran.output.find("RAY_ADDRESS"), std::string::npos) << ran.output;
}

TEST_F(ClusterInitTest, AnAddressThatNobodyServesNamesTheCommandAndIsAnExceptionOfItsOwn) {
  const std::string address = folder_.File("nobody.sock");
  const Ran ran = Run("init", address);
  EXPECT_EQ(ran.exit_code, 3) << ran.output;
  EXPECT_NE(ran.output.find("no raylet serves " + address), std::string::npos) << ran.output;
  EXPECT_NE(ran.output.find("raylet --socket " + address), std::string::npos) << ran.output;
  EXPECT_NE(ran.output.find("plasma_store -m"), std::string::npos) << ran.output;
}

}  // namespace
}  // namespace cluster_test
