#include "raylet/node/process_door.h"

#include <unistd.h>

#include "base/log.h"
#include "base/strings.h"
#include "base/unix_socket.h"
#include "client/finder/raylet_finder.h"
#include "fbs/text_bounds.h"

namespace raylet {
namespace {

constexpr std::chrono::milliseconds kAcceptPause{200};

// Closes the connection of a process that may not come, and tells it why.
void TurnAway(UniqueFd connection, const Error& why) {
  RAYLET_LOG(kError, "a connection is refused: ", why.message);
  wire::RegisterReplyT refusal;
  refusal.status = MakeWireStatus(why);
  SendRefusal(connection.get(), static_cast<uint16_t>(wire::RayletMessage::RegisterReply), Encode(refusal));
}

}  // namespace

ProcessDoor::~ProcessDoor() {
  listener_.Cancel();
  local_listener_.Cancel();
}

Result<void> ProcessDoor::Listen(Events& events) {
  events_ = &events;
  auto fd = ListenUnix(options_.socket, 128);
  if (!fd) return Fail(fd.error());
  listen_fd_ = std::move(*fd);
  socket_file_.emplace(options_.socket);
  listener_ = FdWatcher(loop_, listen_fd_.get(), [this](FdWatcher::Events) { Accept(listen_fd_.get()); });
  listener_.Watch({true, false});
  if (options_.found_locally) ListenLocally();
  return {};
}

// A failure is no error: programs must name the socket then.
void ProcessDoor::ListenLocally() {
  for (size_t i = 0; i < client::kLocalRayletsMax; ++i) {
    auto fd = ListenAbstract(client::LocalRayletName(::geteuid(), i), 128);
    if (fd) {
      local_fd_ = std::move(*fd);
      local_listener_ = FdWatcher(loop_, local_fd_.get(), [this](FdWatcher::Events) { Accept(local_fd_.get()); });
      local_listener_.Watch({true, false});
      return;
    }
    if (fd.error().code == ErrorCode::kAlreadyExists) continue;
    RAYLET_LOG(kWarning, fd.error().message, ": programs find this raylet only by its socket, ", options_.socket);
    return;
  }
  RAYLET_LOG(kWarning, client::kLocalRayletsMax, " raylets of this user run here, which is the limit of those that ",
             "programs find by host:port; this one only by its socket, ", options_.socket);
}

void ProcessDoor::Accept(int listen_fd) {
  for (;;) {
    auto fd = AcceptUnix(listen_fd);
    if (!fd) {
      RAYLET_LOG(kError, "cannot accept a connection: ", fd.error().message, "; trying again soon");
      WatchListeners({});
      accept_pause_ = Timer(loop_, kAcceptPause, {}, [this] { WatchListeners({true, false}); });
      return;
    }
    if (!*fd) return;
    // The socket's mode keeps others away; an abstract name has none.
    if (const auto ours = CheckSameUser(fd->get(), "raylet"); !ours) {
      TurnAway(*std::move(fd), ours.error());
      continue;
    }
    if (sessions_.size() >= kSessionsMax) {
      TurnAway(*std::move(fd),
               {ErrorCode::kFull, StrCat(kSessionsMax, " processes are connected to this raylet, which is ",
                                         "the limit: end some, or start another raylet")});
      continue;
    }
    const SessionId id = next_session_++;
    sessions_.emplace(id, std::make_unique<ProcessSession>(loop_, id, std::move(*fd), *this, options_.limits));
  }
}

void ProcessDoor::WatchListeners(FdWatcher::Events wanted) {
  listener_.Watch(wanted);
  if (local_listener_) local_listener_.Watch(wanted);
}

void ProcessDoor::Refuse() {
  refuses_ = true;
  listener_.Cancel();
  local_listener_.Cancel();
  local_fd_.Reset();
  accept_pause_.Cancel();
  socket_file_.reset();
  listen_fd_.Reset();
}

void ProcessDoor::CloseSessions() {
  sessions_.clear();
  by_process_.clear();
}

// ---- admission

Result<void> ProcessDoor::Admit(const ProcessSession& session, const wire::RegisterRequestT& request,
                                const UniqueFd& doorbell) {
  if (request.magic != kRayletMagic)
    return Fail(ErrorCode::kProtocolError, "the other side does not speak the raylet's protocol");
  if (request.version_max < kRayletProtocolMin || request.version_min > kRayletProtocolMax) {
    return Fail(ErrorCode::kVersionMismatch,
                StrCat("this raylet (", kBuild, ") speaks protocol ", kRayletProtocolMin, " to ", kRayletProtocolMax,
                       ", and the program (", request.build, ") ", request.version_min, " to ", request.version_max,
                       ": use the same release for both"));
  }
  RAYLET_RETURN_IF_ERROR(CheckSameUser(session.socket().fd(), "raylet"));
  if (refuses_) return Fail(ErrorCode::kNotRunning, "this raylet is stopping");
  RAYLET_RETURN_IF_ERROR(CheckName("a namespace", request.actor_namespace));
  if (request.kind > wire::ProcessKind::MAX)
    return Fail(ErrorCode::kProtocolError, "a process of unknown kind registers");
  if (request.kind != wire::ProcessKind::Tool && !doorbell)
    return Fail(ErrorCode::kProtocolError, "a driver or worker registers without its doorbell");
  return {};
}

Result<void> ProcessDoor::OnRegister(ProcessSession& session, uint64_t request_id, wire::RegisterRequestT request,
                                     UniqueFd doorbell) {
  wire::RegisterReplyT reply;
  ProcessSession::Identity identity;
  auto comes = Admit(session, request, doorbell);
  if (comes) {
    identity.process = ProcessIdOf(options_.machine, next_process_);
    identity.kind = request.kind;
    identity.doorbell = std::move(doorbell);
    comes = events_->OnProcessComes(session.peer_pid(), request, identity, reply);
  }
  if (!comes) {
    wire::RegisterReplyT refusal;
    refusal.status = MakeWireStatus(comes.error());
    session.Send(wire::RayletMessage::RegisterReply, request_id, refusal);
    return Fail(comes.error());
  }
  next_process_++;
  reply.status = OkStatus();
  reply.version = kRayletProtocolMax;
  reply.process = identity.process;
  reply.job = identity.job;
  by_process_[identity.process] = &session;
  session.identity = std::move(identity);
  const bool gives = lease_page_ != nullptr && session.identity->kind != wire::ProcessKind::Tool;
  reply.leases = gives;
  const int page[] = {gives ? lease_page_->get() : -1};
  session.Send(wire::RayletMessage::RegisterReply, request_id, reply, std::span(page, gives ? 1 : 0));
  return {};
}

// ---- messages

Result<void> ProcessDoor::OnMessage(ProcessSession& session, wire::RayletMessage type, const Frame& frame) {
  return events_->OnProcessMessage(session, type, frame);
}

void ProcessDoor::OnBehind(ProcessSession& session, bool behind) {
  if (session.identity) events_->OnProcessBehind(session.identity->process, behind);
}

void ProcessDoor::OnSessionClosed(ProcessSession& session, const Error& reason) {
  // Keeps the session until the end of this function, because its identity is still read.
  const auto node = sessions_.extract(session.id());
  closed_bytes_received_ += session.socket().bytes_received();
  closed_bytes_sent_ += session.socket().bytes_sent();
  if (!session.identity) return;
  by_process_.erase(session.identity->process);
  events_->OnProcessGone(*session.identity, reason);
}

// ---- queries

ProcessSession* ProcessDoor::SessionOf(ProcessId process) const {
  const auto found = by_process_.find(process);
  return found == by_process_.end() ? nullptr : found->second;
}

bool ProcessDoor::HasGone(ProcessId process) const {
  return process > AllProcessesOf(options_.machine) && process < ProcessIdOf(options_.machine, next_process_) &&
         !by_process_.contains(process);
}

uint64_t ProcessDoor::bytes_received() const {
  uint64_t bytes = closed_bytes_received_;
  for (const auto& [id, session] : sessions_) bytes += session->socket().bytes_received();
  return bytes;
}

uint64_t ProcessDoor::bytes_sent() const {
  uint64_t bytes = closed_bytes_sent_;
  for (const auto& [id, session] : sessions_) bytes += session->socket().bytes_sent();
  return bytes;
}

}  // namespace raylet
