#include "raylet/node/process_session.h"

#include <fcntl.h>

#include "base/log.h"
#include "base/shm_segment.h"
#include "base/strings.h"
#include "base/unix_socket.h"
#include "base/waiter.h"

namespace raylet {
namespace {

constexpr std::chrono::milliseconds kRegisterTimeout{10'000};
constexpr FramedSocketLimits kLimits{kRayletBodyBytesMax, size_t{64} << 20, 4};

// Others will map it and write there: it must be as long as a doorbell, and stay so.
Result<void> CheckDoorbell(int fd) {
  const auto size = FileSize(fd);
  if (!size) return Fail(ErrorCode::kProtocolError, StrCat("a doorbell is no memory: ", size.error().message));
  const int seals = ::fcntl(fd, F_GET_SEALS);
  if (*size < sizeof(Doorbell) || seals < 0 || (seals & F_SEAL_SHRINK) == 0) {
    return Fail(ErrorCode::kProtocolError, StrCat("a doorbell must be a memfd of at least ", sizeof(Doorbell),
                                                  " bytes that is sealed against shrinking"));
  }
  return {};
}

}  // namespace

ProcessSession::ProcessSession(Loop& loop, SessionId id, UniqueFd fd, Events& events)
    : id_(id), events_(events), socket_(loop, std::move(fd), kLimits, *this) {
  if (const auto credentials = GetPeerCredentials(socket_.fd())) peer_pid_ = credentials->pid;
  register_timer_ = Timer(loop, kRegisterTimeout, {}, [this] {
    Close({ErrorCode::kTimedOut,
           StrCat("this connection did not register within ", kRegisterTimeout.count() / 1000, " s")});
  });
}

void ProcessSession::SendBytes(wire::RayletMessage type, uint64_t request_id, std::span<const std::byte> body,
                               std::span<const int> fds) {
  socket_.Send(static_cast<uint16_t>(type), request_id, body, fds);
}

void ProcessSession::Close(Error reason) { socket_.Close(std::move(reason)); }

void ProcessSession::OnFrame(const Frame& frame, std::vector<UniqueFd>& fds) {
  const auto heard = Hear(frame, fds);
  if (heard) return;
  RAYLET_LOG(kWarning, "session ", id_, " (process ", peer_pid_, "): ", ErrorCodeName(heard.error().code), ": ",
             heard.error().message);
  if (heard.error().code == ErrorCode::kProtocolError) {
    wire::StatusReplyT reply;
    reply.status = ToStatus(heard.error());
    Send(wire::RayletMessage::StatusReply, frame.header.request_id, reply);
  }
  Close(heard.error());
}

Result<void> ProcessSession::Hear(const Frame& frame, std::vector<UniqueFd>& fds) {
  const auto type = static_cast<wire::RayletMessage>(frame.header.type);
  if (!identity) {
    if (type != wire::RayletMessage::Register)
      return Fail(ErrorCode::kProtocolError, StrCat("message ", frame.header.type, " came before Register"));
    auto request = Parse<wire::RegisterRequestT>(frame.body);
    if (!request) return Fail(request.error());
    if (fds.size() > 1) return Fail(ErrorCode::kProtocolError, StrCat(fds.size(), " descriptors came with Register"));
    UniqueFd doorbell;
    if (!fds.empty()) {
      doorbell = std::move(fds.front());
      fds.clear();
      RAYLET_RETURN_IF_ERROR(CheckDoorbell(doorbell.get()));
    }
    RAYLET_RETURN_IF_ERROR(
        events_.OnRegister(*this, frame.header.request_id, std::move(*request), std::move(doorbell)));
    register_timer_.Cancel();
    return {};
  }
  if (type == wire::RayletMessage::Register) return Fail(ErrorCode::kProtocolError, "a process registered twice");
  if (!fds.empty()) return Fail(ErrorCode::kProtocolError, "descriptors came with a message that takes none");
  return events_.OnMessage(*this, type, frame);
}

void ProcessSession::OnClosed(const Error& reason) {
  register_timer_.Cancel();
  events_.OnSessionClosed(*this, reason);
}

}  // namespace raylet
