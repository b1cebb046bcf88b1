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

constexpr std::chrono::milliseconds kDrainPatience{100};  // from exit notice to the end of the socket
constexpr std::chrono::milliseconds kExitPatience{200};   // from the end of the socket to the exit notice
constexpr std::chrono::milliseconds kAcceptPause{200};

}  // namespace

Raylet::Raylet(Loop& loop, RayletOptions options, StoreLink& store)
    : loop_(loop),
      options_(std::move(options)),
      store_(store),
      scheduler_(options_.resources, options_.limits),
      pool_(loop, {options_.socket, options_.logs_folder, options_.register_timeout},
            [this](WorkerId worker, const WorkerExit& exit) { OnWorkerExit(worker, exit); }) {
  while (process_base_ == 0) {
    uint32_t high = 0;
    FillRandom(reinterpret_cast<uint8_t*>(&high), sizeof high);
    process_base_ = ProcessId{high} << 32;
  }
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
    identity.worker = *worker;
    identity.job = workers_.at(*worker).job;
  } else if (request.kind == wire::ProcessKind::Driver) {
    if (request.executable.empty())
      return refuse({ErrorCode::kInvalid, "a driver registers without its executable, which its workers need"});
    identity.job = next_job_++;
  }
  identity.process = process_base_ | next_process_++;
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

// Results are most of what a process is sent: while it is behind, nothing that makes more of them begins.
void Raylet::OnBehind(ProcessSession& session, bool behind) {
  if (stopping_ || !session.identity) return;
  scheduler_.OwnerBehind(session.identity->process, behind);
  CarryOutSoon();
}

void Raylet::OnSessionClosed(ProcessSession& session, const Error& reason) {
  // Kept until the end of this function: its identity is still read.
  const auto node = sessions_.extract(session.id());
  closed_bytes_received_ += session.socket().bytes_received();
  closed_bytes_sent_ += session.socket().bytes_sent();
  if (!session.identity) return;
  const auto& identity = *session.identity;
  if (stopping_) {
    if (identity.kind == wire::ProcessKind::Driver) KillJobWorkers(identity.job);
    return;
  }
  by_process_.erase(identity.process);
  switch (identity.kind) {
    case wire::ProcessKind::Tool: return;
    case wire::ProcessKind::Driver: {
      Job& job = jobs_.at(identity.job);
      RAYLET_LOG(kInfo, "job ", identity.job, ": driver ", job.driver_pid, " has gone: ", reason.message);
      job.driver = 0;
      job.ended = true;
      KillJobWorkers(identity.job);
      ProcessGone(identity.process, StrCat("driver ", job.driver_pid, " has ended"));
      CarryOut();
      ForgetJobWhenDone(identity.job);
      return;
    }
    case wire::ProcessKind::Worker: {
      WorkerRecord& record = workers_.at(identity.worker);
      record.connected = false;
      if (record.exit) {
        FinishWorker(identity.worker);
        return;
      }
      // Its process ends by itself, or it is of no use any more.
      scheduler_.WorkerStopping(identity.worker);
      record.patience =
          Timer(loop_, kExitPatience, {}, [this, worker = identity.worker] { pool_.Signal(worker, SIGKILL); });
      CarryOut();
      return;
    }
  }
}

void Raylet::OnWorkerExit(WorkerId worker, const WorkerExit& exit) {
  if (stopping_) {
    if (pool_.Empty()) loop_.Post([this] { FinishStop(); });
    return;
  }
  WorkerRecord& record = workers_.at(worker);
  record.exit = exit;
  if (!record.connected) {
    FinishWorker(worker);
    return;
  }
  // What it wrote before it ended is still to be read. A child of its own may keep the socket open: not for long.
  record.patience = Timer(loop_, kDrainPatience, {}, [this, worker] {
    if (ProcessSession* const session = SessionOfWorker(worker))
      session->Close({ErrorCode::kDisconnected, "its process has ended"});
  });
}

void Raylet::FinishWorker(WorkerId worker) {
  auto node = workers_.extract(worker);
  const WorkerRecord& record = node.mapped();
  recent_exits_[worker] = *record.exit;
  scheduler_.WorkerGone(worker);
  channels_.WorkerGone(worker);
  if (relay_ != nullptr) relay_->WorkerGone(worker);
  if (record.actor) {
    if (const ActorDirectory::Actor* const actor = actors_.Get(*record.actor)) {
      const Failure failure = ActorWorkerDied(*actor->creation, record.constructed, *record.exit);
      actors_.WorkerGone(*record.actor, Place::Here(worker), failure);
    } else if (const auto hosted = hosted_.WorkerGone(*record.actor, worker)) {
      TellActorGone(*hosted, /*never_began=*/false,
                    ActorWorkerDied(*hosted->creation, record.constructed, *record.exit));
    }
  }
  if (record.process != 0) ProcessGone(record.process, DescribeExit(*record.exit));
  CarryOut();
  jobs_.at(record.job).workers--;
  ForgetJobWhenDone(record.job);
}

// Its tasks, its actors, and whoever relies on it.
void Raylet::ProcessGone(ProcessId process, const std::string& message) {
  for (const WorkerId worker : scheduler_.OwnerGone(process)) pool_.Signal(worker, SIGKILL);
  actors_.ProcessGone(process);
  ForgetCaller(process);
  if (objects_ != nullptr) objects_->ProcessGone(process);
  wire::ProcessNoticeT notice;
  notice.process = process;
  notice.failure = std::make_unique<wire::FailureT>(ProcessEnded(process, message));
  TellProcesses(notice);
  for (const auto& [id, node] : view_.nodes())
    if (node.state != NodeState::kDead) TellPeer(id, wire::WorkMessage::ProcessEnded, Encode(notice));
}

// All, not only those of its job: a detached actor may have been lent objects by processes of any.
void Raylet::TellProcesses(const wire::ProcessNoticeT& notice) {
  const Bytes body = Encode(notice);
  for (const auto& [process, session] : by_process_)
    if (session->identity->kind != wire::ProcessKind::Tool)
      session->SendBytes(wire::RayletMessage::ProcessDied, 0, body);
}

// All but those that host detached actors of ours: a detached actor of another home ends with its job, which its home
// ends last.
void Raylet::KillJobWorkers(JobId job) {
  for (const auto& [id, record] : workers_) {
    if (record.job != job) continue;
    if (record.actor) {
      const ActorDirectory::Actor* const actor = actors_.Get(*record.actor);
      if (actor != nullptr && actor->settings().detached) continue;
    }
    scheduler_.WorkerStopping(id);
    pool_.Signal(id, SIGKILL);
  }
}

void Raylet::ForgetJobWhenDone(JobId id) {
  const auto found = jobs_.find(id);
  if (found == jobs_.end() || !found->second.ended || actors_.HasDetached(id)) return;
  if (found->second.workers > 0) {
    KillJobWorkers(id);
    return;
  }
  scheduler_.JobGone(id);
  wire::JobNoticeT notice;
  notice.job = id;
  for (const NodeId& node : found->second.known_by) TellPeer(node, wire::WorkMessage::JobEnded, Encode(notice));
  if (const auto remote = remote_jobs_.find({found->second.from, found->second.number_there});
      remote != remote_jobs_.end() && remote->second == id)
    remote_jobs_.erase(remote);
  jobs_.erase(found);
}

void Raylet::ForgetEndedJobs() {
  std::vector<JobId> ended;
  for (const auto& [id, job] : jobs_)
    if (job.ended) ended.push_back(id);
  for (const JobId job : ended) ForgetJobWhenDone(job);
}

void Raylet::OnSealed(const ObjectId& object) {
  if (objects_ != nullptr) objects_->OnSealed(object);
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
  const uint64_t number = process ^ process_base_;
  return number > 0 && number < next_process_ && !by_process_.contains(process);
}

}  // namespace raylet
