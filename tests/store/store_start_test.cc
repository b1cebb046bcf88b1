// What cannot work is said by plasma_store when it starts, with the numbers and the way out.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>

#include "base/clock.h"
#include "base/unix_socket.h"
#include "tests/harness/daemon_process.h"
#include "tests/harness/help_text.h"
#include "tests/harness/run_folder.h"

namespace raylet::test {
namespace {

// Runs it to its end, and returns what it wrote.
std::string Refusal(const std::string& program, std::vector<std::string> arguments, int exit_code) {
  auto process = DaemonProcess::StartPlain(program, std::move(arguments));
  if (!process) return process.error().message;
  const auto end = process->Wait(Deadline::AfterMs(20000));
  EXPECT_TRUE(end);
  EXPECT_EQ(end ? end->exit_code : -1, exit_code) << process->Output();
  return process->Output();
}
void ExpectRefusedWith(std::vector<std::string> arguments, int exit_code, const std::string& words) {
  const std::string text = Refusal("plasma_store", std::move(arguments), exit_code);
  EXPECT_NE(text.find(words), std::string::npos) << text;
}

class StoreStart : public testing::Test {
 protected:
  const RunFolder folder_;
  const std::string socket_ = folder_.File("store");
};

TEST_F(StoreStart, BadFlagsAreUsageAndNameTheFlag) {
  ExpectRefusedWith({"-m", "16M", "-s", socket_, "--lifeline-fd", "99"}, 2, "--lifeline-fd 99 cannot be waited for");
  ExpectRefusedWith({"-m", "many", "-s", socket_}, 2, "no amount of memory");
  ExpectRefusedWith({"-m", "0", "-s", socket_}, 2, "no amount of memory");
  ExpectRefusedWith({"-s", socket_}, 2, "--memory");
  ExpectRefusedWith({"-m", "1M", "-s", socket_, "--no-such-flag"}, 2, "--no-such-flag");
  ExpectRefusedWith({"-m", "1M", "-s", socket_, "-e", "somewhere"}, 2, "say -e file:///FOLDER");
  ExpectRefusedWith({"--help"}, 0, "Example");
  ExpectRefusedWith({"--version"}, 0, "plasma_store 0.");
  EXPECT_FALSE(std::filesystem::exists(socket_));
}

TEST_F(StoreStart, HelpShowsTheDefaultOfEachFlagThatHasOne) {
  const std::map<std::string, std::string> flags = {
      {"--help", ""},
      {"--version", ""},
      {"--memory", ""},
      {"--socket", ""},
      {"--directory", ""},
      {"--hugepages", ""},
      {"--external-store", ""},
      {"--spill-dir", ""},
      {"--spill-max", "what the disk has"},
      {"--isolation", "user"},
      {"--log-level", "warning"},
      {"--metrics-port", ""},
      {"--metrics-address", "127.0.0.1"},
      {"--decay", "0"},
      {"--take-over", ""},
      {"--config", ""},
      {"--memory-root", "/"},
      {"--deaths-max", "10"},
      {"--ready-fd", ""},
      {"--lifeline-fd", ""},
  };
  const std::string help = Refusal("plasma_store", {"--help"}, 0);
  EXPECT_EQ(DefaultsIn(help), flags) << help;
}

TEST_F(StoreStart, ASocketPathThatIsTooLongIsRefusedWithBothLengths) {
  std::string path = folder_.File("");
  path.append(kSocketPathBytesMax - path.size(), 'x');
  auto longest = DaemonProcess::Start("plasma_store", {"-m", "1M", "-s", path});
  EXPECT_TRUE(longest) << longest.error().message;
  path += 'x';
  const std::string text = Refusal("plasma_store", {"-m", "1M", "-s", path}, 2);
  EXPECT_NE(text.find("has 108 bytes and the kernel takes 107"), std::string::npos) << text;
}

TEST_F(StoreStart, AMissingFolderIsNamed) {
  ExpectRefusedWith({"-m", "1M", "-s", folder_.File("absent/store")}, 1, "no folder " + folder_.File("absent"));
}

TEST_F(StoreStart, AFolderThatIsNotOursToReadIsNamed) {
  const std::string closed = folder_.File("closed");
  ASSERT_EQ(::mkdir(closed.c_str(), 0), 0);
  std::vector<std::string> arguments = {"-m", "1M", "-s", closed + "/store"};
  std::string program = ProgramPath("plasma_store");
  if (::geteuid() == 0) {  // whom no mode stops, unless these two capabilities are gone
    arguments.insert(arguments.begin(), {"--bounding-set", "-dac_override,-dac_read_search", program});
    program = "/usr/bin/setpriv";
  }
  const std::string text = Refusal(program, arguments, 1);
  EXPECT_NE(text.find("folder " + closed + " is not ours to read and write; choose another"), std::string::npos)
      << text;
}

TEST_F(StoreStart, AnAddressInUseIsRefusedAndNamesWhoServesIt) {
  auto first = DaemonProcess::Start("plasma_store", {"-m", "1M", "-s", socket_});
  ASSERT_TRUE(first) << first.error().message;
  const std::string text = Refusal("plasma_store", {"-m", "1M", "-s", socket_}, 1);
  EXPECT_NE(text.find("somebody serves it already"), std::string::npos) << text;
  EXPECT_NE(text.find("process " + std::to_string(first->pid())), std::string::npos) << text;
  EXPECT_TRUE(ConnectUnix(socket_)) << "the first one goes on";
  const std::string file = folder_.File("file");
  std::ofstream(file) << "mine";
  ExpectRefusedWith({"-m", "1M", "-s", file}, 1, "a file that is no socket lies there");
  EXPECT_TRUE(std::filesystem::exists(file));
}

TEST_F(StoreStart, MoreMemoryThanTheMachineHasIsRefusedWithBothNumbers) {
  const std::string text = Refusal("plasma_store", {"-m", "90000G", "-s", socket_}, 1);
  const std::regex numbers(
      "-m 90000G needs 1[0-9.]+ (TiB|GiB) .* machine or its cgroup has [0-9.]+ [KMGT]iB left; say a smaller -m");
  EXPECT_TRUE(std::regex_search(text, numbers)) << text;
  EXPECT_FALSE(std::filesystem::exists(socket_));
}

}  // namespace
}  // namespace raylet::test
