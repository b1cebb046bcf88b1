#include "client/finder/raylet_finder.h"

#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <utility>

#include "base/strings.h"
#include "base/tcp_socket.h"
#include "base/unix_socket.h"

namespace raylet::client {
namespace {

constexpr Duration kAnswerPatience = std::chrono::seconds(1);  // for the answer of a raylet here, which may hang
constexpr Duration kReachPatience = std::chrono::seconds(3);   // for the answer of the raylet at the address
// The wait for a raylet here that is about to start, or to join the cluster.
constexpr Duration kJoinPatience = std::chrono::seconds(2);
constexpr Duration kJoinPause = std::chrono::milliseconds(50);
constexpr uint64_t kRegisterRequest = 1;

wire::RegisterRequestT ToolRequest() {
  wire::RegisterRequestT request;
  request.magic = kRayletMagic;
  request.version_min = kRayletProtocolMin;
  request.version_max = kRayletProtocolMax;
  request.build = kBuild;
  request.kind = wire::ProcessKind::Tool;
  request.pid = ::getpid();
  return request;
}

Result<void> SendRegister(FrameConnection& connection, Deadline deadline) {
  return connection.Send(static_cast<uint16_t>(wire::RayletMessage::Register), kRegisterRequest, Encode(ToolRequest()),
                         deadline);
}

Result<wire::RegisterReplyT> ReceiveWelcome(FrameConnection& connection, Deadline deadline) {
  const auto frame = connection.Receive(deadline);
  if (!frame) return Fail(frame.error());
  if (!frame->has_value()) return Fail(ErrorCode::kTimedOut, "it does not answer");
  if ((*frame)->header.type != static_cast<uint16_t>(wire::RayletMessage::RegisterReply))
    return Fail(ErrorCode::kProtocolError, StrCat("it answered with a message of type ", (*frame)->header.type));
  auto reply = Parse<wire::RegisterReplyT>((*frame)->body);
  if (!reply) return Fail(reply.error());
  RAYLET_RETURN_IF_ERROR(FromStatus(*reply->status));
  return reply;
}

// Connects only to a raylet of this user. Another user may have taken the name.
Result<FrameConnection> ConnectToLocal(size_t index) {
  auto fd = ConnectAbstract(LocalRayletName(::geteuid(), index));
  if (!fd) return Fail(fd.error());
  const auto peer = GetPeerCredentials(fd->get());
  if (!peer) return Fail(peer.error());
  if (peer->uid != ::geteuid()) return Fail(ErrorCode::kNotAllowed, "another user has this name");
  return FrameConnection(*std::move(fd));
}

// A raylet's own address is the best reason to choose it. Loopback is this machine, whatever a raylet here calls it.
const LocalRaylet* Choose(const std::vector<LocalRaylet>& raylets, const TcpAddress& address) {
  const LocalRaylet* chosen = nullptr;
  for (const LocalRaylet& each : raylets) {
    if (each.addresses.front() == address.text()) return &each;
    const bool knows = std::find(each.addresses.begin(), each.addresses.end(), address.text()) != each.addresses.end();
    const auto own = ParseTcpAddress(each.addresses.front());
    const bool here = address.loopback() && own && own->port() == address.port();
    if (knows || here) chosen = chosen == nullptr ? &each : chosen;
  }
  return chosen;
}

Result<void> Reach(const TcpAddress& address) {
  auto fd = ConnectTcp(address);
  if (!fd) return Fail(fd.error());
  const auto writable = WaitWritable(fd->get(), Deadline::After(kReachPatience));
  if (!writable) return Fail(writable.error());
  if (!*writable) {
    return Fail(ErrorCode::kTimedOut,
                StrCat("nothing answers at ", address.text(), " within ", kReachPatience / std::chrono::seconds(1),
                       " s: its machine is off, a firewall is between the two, or the address is wrong"));
  }
  return ConnectOutcome(fd->get(), address);
}

std::string List(const std::vector<LocalRaylet>& raylets) {
  std::string text;
  for (const LocalRaylet& each : raylets)
    text += StrCat(text.empty() ? "" : ", ", each.socket, " at ", each.addresses.front());
  return text;
}

Error NothingThere(const TcpAddress& address, const Error& why) {
  return {ErrorCode::kNotRunning,
          StrCat(why.message,
                 ". This starts a raylet there: `raylet --socket SOCKET --store-socket STORE_SOCKET --node-ip ",
                 address.host(), " --port ", address.port(),
                 address.loopback() ? std::string() : std::string(" --token-file FILE"),
                 "`, beside a `plasma_store -m 1G -s STORE_SOCKET`")};
}

bool IsHostAndPort(const std::string& address) {
  return address.find('/') == std::string::npos && address.find(':') != std::string::npos;
}

// A name in this folder, or a machine without its port?
Error NoSocketThere(const std::string& address) {
  const std::string meant =
      StrCat(address, " is no socket in this folder, and no host:port: for a raylet's socket say its path, for any ",
             "raylet of a cluster say its port, too, such as ", address, ":7000");
  const bool numeric = MakeTcpAddress(address, 1).has_value();
  return {numeric ? ErrorCode::kInvalid : ErrorCode::kNotRunning, meant};
}

Error NoneOfIts(const TcpAddress& address, const std::vector<LocalRaylet>& raylets) {
  const std::string here = raylets.empty() ? std::string("no raylet of this user in a cluster")
                                           : StrCat("only raylets that are not in its cluster (", List(raylets),
                                                    "; `raylet status -s SOCKET` shows whom one knows)");
  return {ErrorCode::kNotRunning,
          StrCat("somebody listens on ", address.text(), ", but on this machine runs ", here,
                 ", and a program needs one that shares its memory. This starts it: `raylet --socket SOCKET "
                 "--store-socket STORE_SOCKET ",
                 address.loopback() ? "" : "--node-ip THIS_MACHINE --token-file FILE ", "--peers ", address.text(),
                 "`, beside a `plasma_store -m 1G -s STORE_SOCKET`")};
}

}  // namespace

std::string LocalRayletName(uid_t user, size_t index) { return StrCat("raylet/", user, "/", index); }

Result<wire::RegisterReplyT> RegisterTool(FrameConnection& connection, Deadline deadline) {
  RAYLET_RETURN_IF_ERROR(SendRegister(connection, deadline));
  return ReceiveWelcome(connection, deadline);
}

std::vector<LocalRaylet> LocalRaylets(Deadline deadline) {
  // All are asked before one is heard, so that one that hangs costs the deadline once.
  std::vector<FrameConnection> asked;
  for (size_t i = 0; i < kLocalRayletsMax; ++i) {
    auto connection = ConnectToLocal(i);
    if (connection && SendRegister(*connection, deadline)) asked.push_back(*std::move(connection));
  }
  std::vector<LocalRaylet> raylets;
  for (FrameConnection& connection : asked) {
    auto welcome = ReceiveWelcome(connection, deadline);
    if (welcome && !welcome->socket.empty() && !welcome->addresses.empty())
      raylets.push_back({std::move(welcome->socket), std::move(welcome->addresses)});
  }
  return raylets;
}

Result<std::string> FindRaylet(const std::string& address) {
  if (!IsHostAndPort(address)) {
    if (address.find('/') == std::string::npos && ::access(address.c_str(), F_OK) != 0)
      return Fail(NoSocketThere(address));
    return address;
  }
  const auto wanted = ResolveTcpAddress(address);
  if (!wanted) return Fail(wanted.error());
  if (wanted->port() == 0) {
    return Fail(ErrorCode::kInvalid,
                StrCat(address,
                       " names no port, from 1 to 65535: say the one that the raylet there listens on, as its "
                       "--port or its `raylet status` has it"));
  }
  const Deadline joined = Deadline::After(kJoinPatience);
  for (bool reached = false;; reached = true) {
    const std::vector<LocalRaylet> raylets = LocalRaylets(Deadline::After(kAnswerPatience));
    if (const LocalRaylet* const chosen = Choose(raylets, *wanted)) return chosen->socket;
    if (!reached)
      if (const auto there = Reach(*wanted); !there) return Fail(NothingThere(*wanted, there.error()));
    if (joined.Passed()) return Fail(NoneOfIts(*wanted, raylets));
    const timespec pause{0, static_cast<long>(kJoinPause.count())};
    ::nanosleep(&pause, nullptr);
  }
}

}  // namespace raylet::client
