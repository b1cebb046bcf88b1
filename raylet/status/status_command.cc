#include "raylet/status/status_command.h"

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <string>

#include "base/exit_code.h"
#include "base/frame_connection.h"
#include "base/strings.h"
#include "client/finder/raylet_finder.h"
#include "fbs/messages.h"
#include "raylet/status/status_screen.h"

namespace raylet {
namespace {

using wire::RayletMessage;

constexpr double kTimeoutSecondsMax = 3600;
constexpr const char* kAbout =
    "Asks the raylet of this machine for its status and prints one screen: resources, workers, what waits and why, "
    "actors, "
    "jobs, other machines, and objects on their way.";
constexpr const char* kExplained =
    "Examples:\n"
    "  raylet status -s /tmp/run/raylet\n"
    "  RAY_ADDRESS=/tmp/run/raylet raylet status\n"
    "  raylet status -s /tmp/run/raylet --json | jq '.queues[].why'\n"
    "Tables show their first 20 lines; --json has more.\n"
    "objstat shows what a plasma_store holds.\n"
    "Exit codes: 0 fine, 1 failed, 2 usage, 3 not running, 4 not allowed, 5 timed out.";

Result<Frame> Call(FrameConnection& connection, RayletMessage type, std::span<const std::byte> body, uint64_t request,
                   RayletMessage awaited, Deadline deadline) {
  RAYLET_RETURN_IF_ERROR(connection.Send(static_cast<uint16_t>(type), request, body, deadline));
  for (;;) {
    auto frame = connection.Receive(deadline);
    if (!frame) return Fail(frame.error());
    if (!frame->has_value()) return Fail(ErrorCode::kTimedOut, "it does not answer");
    if ((*frame)->header.type == static_cast<uint16_t>(awaited)) return std::move(**frame);
  }
}

Result<std::string> AskStatus(const std::string& socket, Deadline deadline) {
  auto connection = FrameConnection::Connect(socket, deadline, /*retry=*/false);
  if (!connection) return Fail(connection.error());
  const auto welcome = client::RegisterTool(*connection, deadline);
  if (!welcome) return Fail(welcome.error());
  const auto answered = Call(*connection, RayletMessage::NodeStatus, Encode(wire::EmptyNoticeT()), 2,
                             RayletMessage::NodeStatusReply, deadline);
  if (!answered) return Fail(answered.error());
  auto reply = Parse<wire::NodeStatusReplyT>(answered->body);
  if (!reply) return Fail(reply.error());
  return std::move(reply->json);
}

// The error, with its remedy.
std::string Explain(const Error& error, const std::string& socket, double timeout_seconds) {
  switch (error.code) {
    case ErrorCode::kNotRunning:
      return StrCat("no raylet is running at ", socket, "; this starts one: raylet --socket ", socket,
                    " --store-socket STORE");
    case ErrorCode::kTimedOut:
    case ErrorCode::kFull: {
      char seconds[32];
      std::snprintf(seconds, sizeof seconds, "%g", timeout_seconds);
      return StrCat("the raylet at ", socket, " did not answer within ", seconds,
                    " s: it is busy or stopped; --timeout SECONDS waits longer");
    }
    case ErrorCode::kProtocolError:
    case ErrorCode::kDisconnected:
      return StrCat(error.message, "; is it a raylet that listens at ", socket, ", and does it belong to you?");
    default: return error.message;
  }
}

}  // namespace

int StatusCommand(int argc, char** argv) {
  constexpr int kUsage = 2;
  CLI::App app(kAbout, "raylet status");
  std::string socket;
  bool as_json = false;
  double timeout_seconds = 5;
  app.add_option("-s,--socket", socket,
                 "the raylet's socket, or host:port of any raylet of the cluster that the one here is in")
      ->envname("RAY_ADDRESS");
  app.add_flag("--json", as_json, "print JSON");
  app.add_option("--timeout", timeout_seconds, "seconds to wait for the answer")->capture_default_str();
  app.set_version_flag("--version", StrCat("raylet ", kBuild));
  app.footer(kExplained);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsage;
  }
  if (socket.empty()) {
    std::fputs("raylet status: which raylet? Say --socket SOCKET, or set RAY_ADDRESS\n", stderr);
    return kUsage;
  }
  if (!(timeout_seconds > 0 && timeout_seconds <= kTimeoutSecondsMax)) {
    std::fputs("raylet status: --timeout must be above 0 and at most 3600 seconds\n", stderr);
    return kUsage;
  }
  auto found = client::FindRaylet(socket);
  if (!found) {
    std::fprintf(stderr, "raylet status: %s\n", found.error().message.c_str());
    return ExitCode(found.error().code);
  }
  socket = *std::move(found);
  const auto complain = [&](const Error& error) {
    std::fprintf(stderr, "raylet status: %s\n", Explain(error, socket, timeout_seconds).c_str());
    return error.code == ErrorCode::kFull ? ExitCode(ErrorCode::kTimedOut) : ExitCode(error.code);
  };
  const auto timeout = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(timeout_seconds));
  const auto json = AskStatus(socket, Deadline::After(timeout));
  if (!json) return complain(json.error());
  const auto text = as_json ? Result<std::string>(*json + "\n") : StatusScreen(*json);
  if (!text) return complain(text.error());
  const bool written = std::fputs(text->c_str(), stdout) >= 0 && std::fflush(stdout) == 0;
  return written ? 0 : 1;
}

}  // namespace raylet
