#include "tests/bench/iperf3.h"

#include <unistd.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "base/strings.h"
#include "base/tcp_socket.h"
#include "tests/harness/daemon_process.h"

namespace raylet::bench {
namespace {

using test::DaemonProcess;

constexpr std::chrono::seconds kPatience{30};

std::string FindIperf3() {
  const char* const path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "" : path);
  for (std::string folder; std::getline(folders, folder, ':');)
    if (std::string program = folder + "/iperf3"; ::access(program.c_str(), X_OK) == 0) return program;
  return {};
}

// A port that was free a moment ago.
Result<std::string> FreePort() {
  const auto fd = ListenTcp(*ParseTcpAddress("127.0.0.1:0"), 1);
  if (!fd) return Fail(fd.error());
  const auto address = LocalAddressOf(fd->get());
  if (!address) return Fail(address.error());
  return std::to_string(address->port());
}

}  // namespace

Result<double> Iperf3StreamGBs() {
  const std::string program = FindIperf3();
  if (program.empty())
    return Fail(ErrorCode::kNotFound, "iperf3 is not installed (Debian: apt-get install iperf3): no figure of its own");
  const auto port = FreePort();
  if (!port) return Fail(port.error());
  auto server = DaemonProcess::StartPlain(program, {"-s", "-1", "-4", "-B", "127.0.0.1", "-p", *port, "--forceflush"});
  if (!server) return Fail(server.error());
  const bool listens =
      test::Eventually(kPatience, [&] { return server->Output().find("listening") != std::string::npos; });
  if (!listens) return Fail(ErrorCode::kTimedOut, StrCat("iperf3 does not listen: ", server->Output()));
  auto client = DaemonProcess::StartPlain(program, {"-c", "127.0.0.1", "-p", *port, "-t", "3", "-J"});
  if (!client) return Fail(client.error());
  if (!client->Wait(Deadline::After(kPatience))) return Fail(ErrorCode::kTimedOut, "iperf3 does not end");
  const auto report = nlohmann::json::parse(client->Output(), nullptr, /*allow_exceptions=*/false);
  const nlohmann::json::json_pointer at("/end/sum_received/bits_per_second");
  if (report.is_discarded() || !report.contains(at) || !report.at(at).is_number())
    return Fail(ErrorCode::kProtocolError, StrCat("iperf3 gives no rate: ", client->Output()));
  return report.at(at).get<double>() / 8e9;
}

}  // namespace raylet::bench
