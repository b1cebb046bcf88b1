// Programs that begin or live in unusual ways: ray:: works in them all the same.
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/harness/daemon_process.h"
#include "tests/harness/run_folder.h"

namespace cluster_test {
namespace {

using raylet::Deadline;
using raylet::test::DaemonProcess;
using raylet::test::ProcessOptions;
using raylet::test::RunFolder;
using namespace std::chrono_literals;

// Through a shell, which takes `redirections`.
// Returns its output.
std::string ExpectServed(const std::string& way, const std::string& redirections = "", const std::string& address = "",
                         const std::string& path = RAY_CLUSTER_AWKWARD) {
  ProcessOptions options;
  options.environment = {{"RAY_ADDRESS", address}};
  auto program = DaemonProcess::StartPlain("/bin/sh", {"-c", "exec \"$0\" \"$1\" " + redirections, path, way}, options);
  if (!program) {
    ADD_FAILURE() << program.error().message;
    return {};
  }
  const auto end = program->Wait(Deadline::After(30s));
  EXPECT_TRUE(end) << way << redirections << " hangs: " << program->Output();
  if (end) {
    EXPECT_EQ(end->exit_code, 0) << way << redirections << ", signal " << end->signal << ": " << program->Output();
  }
  return program->Output();
}

TEST(ClusterAwkwardTest, TellsOfAWorkersDeathThoughTheDriverBlocksAllSignals) { ExpectServed("blocked signals"); }

TEST(ClusterAwkwardTest, LeavesTheProgramsSignalsToTheProgramsThreads) { ExpectServed("own signals"); }

TEST(ClusterAwkwardTest, StartsWorkersOfAProgramThatWasMovedAndReplacedSinceItStarted) {
  const RunFolder folder;
  std::filesystem::copy_file(RAY_CLUSTER_AWKWARD, folder.File("program"));
  ExpectServed("moved", "", "", folder.File("program"));
}

TEST(ClusterAwkwardTest, ReportsTheLastOutputOfADeadWorker) { ExpectServed("last words"); }

TEST(ClusterAwkwardTest, InitAndShutdownAgainAndAgainLeavesNoDescriptorOpen) {
  ExpectServed("init and shutdown again");
}

TEST(ClusterAwkwardTest, RefusesWhatWasMadeBeforeShutdownAfterTheNextInit) { ExpectServed("earlier sessions"); }

TEST(ClusterAwkwardTest, TakesTheHeadArgsOfRayAndNamesThoseThatItPassesOver) {
  const std::string output = ExpectServed("head args");
  EXPECT_NE(output.find("passed over, since private daemons have nothing for it: --include-dashboard, "
                        "--block, --temp-dir\n"),
            std::string::npos)
      << output;
}

TEST(ClusterAwkwardTest, PrintsIntoNoSocketWhereTheStandardDescriptorsAreClosed) {
  for (const char* const closed : {"<&- >&- 2>&-", ">&-", "2>&-"}) ExpectServed("printing", closed);
  // With daemons of another program, whose own descriptors are closed too.
  const RunFolder folder;
  ProcessOptions plain;
  plain.ready_fd = false;
  plain.lifeline_fd = false;
  const auto start = [&](const std::string& program, const std::string& arguments) {
    return DaemonProcess::StartPlain(
        "/bin/sh", {"-c", "exec " + raylet::test::ProgramPath(program) + " " + arguments + " <&- >&- 2>&-"}, plain);
  };
  auto store = start("plasma_store", "-m 16M -s " + folder.File("store"));
  ASSERT_TRUE(store);
  ASSERT_TRUE(raylet::test::Eventually(20s, [&] { return std::filesystem::exists(folder.File("store")); }));
  auto raylet = start("raylet", "-s " + folder.File("raylet") + " --store-socket " + folder.File("store"));
  ASSERT_TRUE(raylet);
  ASSERT_TRUE(raylet::test::Eventually(20s, [&] { return std::filesystem::exists(folder.File("raylet")); }));
  ExpectServed("printing", "<&- >&- 2>&-", folder.File("raylet"));
  EXPECT_TRUE(raylet->Terminate());
  EXPECT_TRUE(store->Terminate());
}

}  // namespace
}  // namespace cluster_test
