#include "raylet/node/raylet.h"

#include <unistd.h>

#include <csignal>

#include "base/log.h"
#include "base/strings.h"
#include "base/unix_socket.h"
#include "client/finder/raylet_finder.h"
#include "raylet/node/inbound.h"

namespace raylet {
namespace {

constexpr std::chrono::milliseconds kAcceptPause{200};

}  // namespace

Raylet::Raylet(Loop& loop, RayletOptions options, StoreLink& store)
    : loop_(loop),
      options_(std::move(options)),
      store_(store),
      scheduler_(options_.resources, options_.limits),
      pool_(loop, {options_.socket, options_.logs_folder, options_.register_timeout},
            [this](WorkerId worker, const WorkerExit& exit) { OnWorkerExit(worker, exit); }) {
  store_.SetHandler(*this);
}

Raylet::~Raylet() {
  *alive_ = false;
  listener_.Cancel();
  local_listener_.Cancel();
  if (listen_fd_) ::unlink(options_.socket.c_str());
}

Result<void> Raylet::Listen() {
  auto fd = ListenUnix(options_.socket, 128);
  if (!fd) return Fail(fd.error());
  listen_fd_ = std::move(*fd);
  listener_ = FdWatcher(loop_, listen_fd_.get(), [this](FdWatcher::Events) { Accept(listen_fd_.get()); });
  listener_.Watch({true, false});
  if (options_.cluster) ListenLocally();
  return {};
}

// Without it nothing is lost but that programs must name the socket.
void Raylet::ListenLocally() {
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

void Raylet::Accept(int listen_fd) {
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
    if (const auto peer = GetPeerCredentials(fd->get()); !peer || peer->uid != ::geteuid()) continue;
    if (sessions_.size() >= kSessionsMax) {
      RAYLET_LOG(kError, "a connection was refused: ", kSessionsMax, " processes are connected, which is the limit");
      continue;
    }
    const SessionId id = next_session_++;
    ProcessSession::Events& events = *this;
    sessions_.emplace(id, std::make_unique<ProcessSession>(loop_, id, std::move(*fd), events, options_.session_limits));
  }
}

Result<void> Raylet::Admit(ProcessSession& session, const wire::RegisterRequestT& request) {
  if (request.magic != kRayletMagic)
    return Fail(ErrorCode::kProtocolError, "the other side does not speak the raylet's protocol");
  if (request.version_max < kRayletProtocolMin || request.version_min > kRayletProtocolMax) {
    return Fail(ErrorCode::kVersionMismatch,
                StrCat("this raylet (", kBuild, ") speaks protocol ", kRayletProtocolMin, " to ", kRayletProtocolMax,
                       ", and the program (", request.build, ") ", request.version_min, " to ", request.version_max,
                       ": use the same release for both"));
  }
  const auto peer = GetPeerCredentials(session.socket().fd());
  if (!peer) return Fail(peer.error());
  if (peer->uid != ::geteuid()) {
    return Fail(ErrorCode::kNotAllowed, StrCat("this raylet belongs to user ", ::geteuid(), ", and user ", peer->uid,
                                               " came: start one of your own"));
  }
  if (stopping_) return Fail(ErrorCode::kNotRunning, "this raylet is stopping");
  RAYLET_RETURN_IF_ERROR(CheckName("a namespace", request.actor_namespace));
  return {};
}

Result<void> Raylet::OnRegister(ProcessSession& session, uint64_t request_id, wire::RegisterRequestT request,
                                UniqueFd doorbell) {
  wire::RegisterReplyT reply;
  const auto refuse = [&](const Error& why) {
    reply.status = ToStatus(why);
    session.Send(wire::RayletMessage::RegisterReply, request_id, reply);
    return Fail(why);
  };
  const auto admitted = Admit(session, request);
  if (!admitted) return refuse(admitted.error());
  if (request.kind > wire::ProcessKind::MAX)
    return refuse({ErrorCode::kProtocolError, "a process of unknown kind registers"});
  if (request.kind != wire::ProcessKind::Tool && !doorbell)
    return refuse({ErrorCode::kProtocolError, "a driver or worker registers without its doorbell"});

  ProcessSession::Identity identity;
  identity.kind = request.kind;
  identity.doorbell = std::move(doorbell);
  if (request.kind == wire::ProcessKind::Worker) {
    const auto worker = pool_.Registered(request.startup_token);
    if (!worker) return refuse(worker.error());
    if (workers_.at(*worker).ends_with_job) return refuse({ErrorCode::kNotRunning, "its driver has ended"});
    identity.worker = *worker;
    identity.job = workers_.at(*worker).job;
  } else if (request.kind == wire::ProcessKind::Driver) {
    if (request.executable.empty())
      return refuse({ErrorCode::kInvalid, "a driver registers without its executable, which its workers need"});
    identity.job = next_job_++;
  }
  identity.process = ProcessIdOf(machine_, next_process_++);
  const ProcessId process = identity.process;
  if (request.kind == wire::ProcessKind::Worker) {
    workers_.at(identity.worker).process = process;
    workers_.at(identity.worker).connected = true;
  } else if (request.kind == wire::ProcessKind::Driver) {
    Job& job = jobs_[identity.job];
    job.driver = process;
    job.driver_pid = session.peer_pid();
    job.actor_namespace = request.actor_namespace;
    auto file = OpenProgramOf(session.peer_pid(), request.executable);
    job.program = {std::move(request.executable), std::move(request.arguments), std::move(request.environment),
                   std::move(request.working_directory), std::move(file)};
    RAYLET_LOG(kInfo, "job ", identity.job, ": driver ", job.driver_pid, " (", job.program.executable, ") has come");
  }
  reply.status = OkStatus();
  reply.version = kRayletProtocolMax;
  reply.process = process;
  reply.job = identity.job;
  reply.node = std::make_unique<wire::Id20>(ToWire(node_));
  reply.store_socket = options_.store_socket;
  reply.logs_folder = options_.logs_folder;
  reply.clustered = peers_ != nullptr;
  if (identity.kind == wire::ProcessKind::Tool) {
    reply.socket = options_.socket;
    reply.addresses = KnownAddresses();
  }
  session.identity = std::move(identity);
  by_process_[process] = &session;
  session.Send(wire::RayletMessage::RegisterReply, request_id, reply);
  return {};
}

void Raylet::WatchListeners(FdWatcher::Events wanted) {
  listener_.Watch(wanted);
  if (local_listener_) local_listener_.Watch(wanted);
}

// Of the dead, too: their cluster is still this one.
std::vector<std::string> Raylet::KnownAddresses() const {
  if (peers_ == nullptr) return {};
  std::vector<std::string> addresses = {PeerAddress()};
  for (const auto& [id, node] : view_.nodes()) addresses.push_back(node.address);
  for (const auto& [id, address] : known_nodes_) addresses.push_back(address);
  return addresses;
}

void Raylet::OnSealed(const ObjectId& object) {
  if (objects_ != nullptr) objects_->SealedHere(object);
  scheduler_.ObjectSealed(object);
  CarryOut();
}

void Raylet::OnStoreGone(const Error& reason) {
  RAYLET_LOG(kError, "the store at ", options_.store_socket, " has gone: ", reason.message);
  why_stopping_ = "its store has ended";
  if (on_store_gone_) on_store_gone_(reason);
}

void Raylet::Stop(Ending ending, std::function<void()> stopped) {
  if (ending == Ending::kKill)
    for (const WorkerId worker : pool_.workers()) pool_.Signal(worker, SIGKILL);
  if (std::exchange(stopping_, true)) return;
  stopped_ = std::move(stopped);
  listener_.Cancel();
  local_listener_.Cancel();
  local_fd_.Reset();
  accept_pause_.Cancel();
  if (peers_ != nullptr) peers_->Stop(why_stopping_);
  if (listen_fd_) ::unlink(options_.socket.c_str());
  listen_fd_.Reset();
  for (const WorkerId worker : pool_.workers()) {
    if (ending == Ending::kAsk) pool_.Signal(worker, SIGTERM);
    pool_.KillAfter(worker, options_.stop_grace);
  }
  if (pool_.Empty()) loop_.Post([this] { FinishStop(); });
}

void Raylet::FinishStop() {
  sessions_.clear();
  by_process_.clear();
  if (const auto stopped = std::exchange(stopped_, nullptr)) stopped();
}

ProcessSession* Raylet::SessionOf(ProcessId process) {
  const auto found = by_process_.find(process);
  return found == by_process_.end() ? nullptr : found->second;
}

ProcessSession* Raylet::SessionOfWorker(WorkerId worker) {
  const auto found = workers_.find(worker);
  return found == workers_.end() ? nullptr : SessionOf(found->second.process);
}

bool Raylet::IsDead(ProcessId process) const {
  return process > AllProcessesOf(machine_) && process < ProcessIdOf(machine_, next_process_) &&
         !by_process_.contains(process);
}

}  // namespace raylet
