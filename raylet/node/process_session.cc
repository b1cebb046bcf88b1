#include "raylet/node/process_session.h"

#include <fcntl.h>

#include <algorithm>
#include <cstdio>

#include "base/log.h"
#include "base/shm_segment.h"
#include "base/strings.h"
#include "base/unix_socket.h"
#include "base/waiter.h"
#include "fbs/last_word.h"

namespace raylet {
namespace {

constexpr std::chrono::milliseconds kRegisterTimeout{10'000};
constexpr int kLooksPerStall = 10;  // looks at a process that is behind, before it counts as stalled at the soonest

std::chrono::milliseconds LookPeriod(const SessionLimits& limits) {
  return std::max(std::min(limits.stalled_for, limits.full_for) / kLooksPerStall, std::chrono::milliseconds(1));
}

FramedSocketLimits SocketLimits(const SessionLimits& limits) {
  FramedSocketLimits socket;
  socket.body_bytes_max = kRayletBodyBytesMax;
  socket.queued_bytes_max = SIZE_MAX;  // see process_session.h
  socket.received_fds_max = 4;
  socket.behind_bytes = limits.behind_bytes;
  socket.caught_up_bytes = limits.caught_up_bytes;
  // So a turn hears of one message with as many objects as one may name.
  socket.reads_per_turn = 1;
  socket.bytes_per_read = size_t{32} << 10;
  return socket;
}

// Other processes will map the memory and write there, so it must be as long as a doorbell, and stay so.
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

ProcessSession::ProcessSession(Loop& loop, SessionId id, UniqueFd fd, Events& events, const SessionLimits& limits)
    : id_(id),
      loop_(loop),
      events_(events),
      limits_(limits),
      socket_(loop, std::move(fd), SocketLimits(limits), *this) {
  if (const auto credentials = GetPeerCredentials(socket_.fd())) peer_pid_ = credentials->pid;
  register_timer_ = Timer(loop, kRegisterTimeout, {}, [this] {
    Close({ErrorCode::kTimedOut,
           StrCat("this connection did not register within ", kRegisterTimeout.count() / 1000, " s")});
  });
}

void ProcessSession::SendBytes(wire::RayletMessage type, uint64_t request_id, std::span<const std::byte> body,
                               std::span<const int> fds) {
  socket_.Send(static_cast<uint16_t>(type), request_id, body, fds);
  if (socket_.queued_bytes() > limits_.stalled_bytes) socket_.SetReading(false);
}

void ProcessSession::Close(Error reason) { socket_.Close(std::move(reason)); }

void ProcessSession::OnFrame(const Frame& frame, std::vector<UniqueFd>& fds) {
  const auto heard = Hear(frame, fds);
  if (heard) return;
  RAYLET_LOG(kWarning, "session ", id_, " (process ", peer_pid_, "): ", ErrorCodeName(heard.error().code), ": ",
             heard.error().message);
  if (heard.error().code == ErrorCode::kProtocolError) {
    wire::StatusReplyT reply;
    reply.status = MakeWireStatus(heard.error());
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

void ProcessSession::OnBehind(bool behind) {
  reading_timer_.Cancel();
  if (behind) {
    bytes_taken_ = socket_.bytes_sent();
    stalled_looks_ = full_looks_ = 0;
    warned_ = false;
    const auto pause = LookPeriod(limits_);
    reading_timer_ = Timer(loop_, pause, pause, [this] { LookWhetherItReads(); });
  } else {
    socket_.SetReading(true);
  }
  events_.OnBehind(*this, behind);
}

void ProcessSession::LookWhetherItReads() {
  const uint64_t taken = socket_.bytes_sent();
  if (std::exchange(bytes_taken_, taken) != taken) {
    stalled_looks_ = full_looks_ = 0;
    return;
  }
  if (!std::exchange(warned_, true)) {
    RAYLET_LOG(kWarning, Name(), " does not read: ", FormatBytes(socket_.queued_bytes()),
               " wait for it, and its tasks wait until it does");
  }
  const size_t waits = socket_.queued_bytes();
  stalled_looks_ = waits > limits_.stalled_bytes ? stalled_looks_ + 1 : 0;
  full_looks_ = waits > limits_.full_bytes ? full_looks_ + 1 : 0;
  EndIfStalled(full_looks_, limits_.full_for, limits_.full_bytes);
  EndIfStalled(stalled_looks_, limits_.stalled_for, limits_.stalled_bytes);
}

void ProcessSession::EndIfStalled(int looks, std::chrono::milliseconds patience, size_t limit) {
  if (socket_.closed() || looks * LookPeriod(limits_) < patience) return;
  char seconds[32];
  std::snprintf(seconds, sizeof seconds, "%g", static_cast<double>(patience.count()) / 1000);
  Close({ErrorCode::kSlowConsumer,
         StrCat("it took no byte for ", seconds, " s while ", FormatBytes(socket_.queued_bytes()),
                " waited for it; the limit is ", FormatBytes(limit))});
}

void ProcessSession::OnClosing(const Error& reason) {
  reading_timer_.Cancel();
  if (reason.code == ErrorCode::kDisconnected) return;  // the process has closed the connection, or is dead
  if (reason.code == ErrorCode::kSlowConsumer) {
    RAYLET_LOG(kError, Name(), " is ended: ", reason.message);
  }
  if (!identity || !identity->doorbell) return;
  if (const auto left = LeaveLastWord(identity->doorbell.get(), reason); !left)
    RAYLET_LOG(kWarning, Name(), " will not know why its connection ends: ", left.error().message);
}

std::string ProcessSession::Name() const {
  const char* kind = identity ? wire::EnumNameProcessKind(identity->kind) : "unregistered";
  return StrCat("process ", peer_pid_, " (", kind, ")");
}

void ProcessSession::OnClosed(const Error& reason) {
  register_timer_.Cancel();
  events_.OnSessionClosed(*this, reason);
}

}  // namespace raylet
