#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "tests/client/plasma/store_fixture.h"

namespace raylet::test {
namespace {

class SystemCallsTest : public PlasmaStoreTest {};

TEST_F(SystemCallsTest, TenThousandGetsAndReleasesMakeNoSystemCallButALookAtTheSocket) {
  const RunFolder folder;
  const std::string trace = folder.File("trace");
  ProcessOptions options;
  options.environment = {{"ASAN_OPTIONS", "detect_leaks=0"}};  // it traces its own process, and strace already does
  auto strace =
      DaemonProcess::StartPlain("/usr/bin/strace", {"-f", "-o", trace, GET_BETWEEN_MARKERS, socket()}, options);
  ASSERT_TRUE(strace) << strace.error().message << " (this test wants Debian's package strace)";
  const auto end = strace->Wait(Deadline::AfterMs(50'000));
  ASSERT_TRUE(end) << strace->Output();
  ASSERT_EQ(end->exit_code, 0) << strace->Output();

  std::ifstream lines(trace);
  int markers = 0, between = 0, looks = 0;
  std::string calls;
  for (std::string line; std::getline(lines, line);) {
    if (line.find("getppid(") != std::string::npos) {
      ++markers;
    } else if (markers == 1 && line.find("poll([{fd=") != std::string::npos) {
      ++looks;  // at the socket, twice a second: the daemon may have died
    } else if (markers == 1) {
      ++between;
      if (between < 20) calls += line + "\n";
    }
  }
  EXPECT_EQ(markers, 2);
  EXPECT_EQ(between, 0) << calls;
  EXPECT_LE(looks, 20) << "ten thousand gets take some milliseconds, and a look comes twice a second";
}

}  // namespace
}  // namespace raylet::test
