// The raylet among others: what it tells them of itself, what they ask of it, and what becomes of their work and of
// ours there.
#include <algorithm>
#include <csignal>

#include "base/log.h"
#include "base/strings.h"
#include "fbs/peer_messages.h"
#include "raylet/control/control_records.h"
#include "raylet/node/inbound.h"
#include "raylet/node/raylet.h"

namespace raylet {
namespace {

constexpr size_t kEndedKeptMax =
    100'000;  // processes of another machine that have ended, so that nobody waits for them

Result<TaskId> CheckTaskId(const wire::Id20& id) {
  const auto task = FromWire<TaskId>(id);
  if (task.IsNil()) return Fail(ErrorCode::kProtocolError, "a message about a task names none");
  return task;
}

tl::unexpected<Error> UnknownPeerMessage(const Frame& frame) {
  return Fail(ErrorCode::kProtocolError,
              StrCat("message ", frame.header.type, " is none that this raylet (", kBuild, ") takes from another"));
}

// A bulk connection that carries nothing for so many times as long as a silent machine counts as living is closed.
constexpr int kIdlePatience = 3;

// Larger than those of earlier lives of this node, as far as the machine's clock goes forward; of two that begin in
// the same millisecond it is another all the same.
uint64_t NewEpoch() {
  constexpr int kRandomBits = 20;
  uint64_t low = 0;
  FillRandom(reinterpret_cast<uint8_t*>(&low), sizeof low);
  const auto since_1970 = std::chrono::system_clock::now().time_since_epoch() / std::chrono::milliseconds(1);
  return static_cast<uint64_t>(since_1970) << kRandomBits | low >> (64 - kRandomBits);
}

}  // namespace

Result<void> Raylet::JoinPeers() {
  if (!options_.cluster) return {};
  const ClusterOptions& cluster = *options_.cluster;
  PeerLinksOptions options;
  options.own.node = node_;
  options.own.epoch = NewEpoch();
  options.own.machine = machine_;
  options.token = cluster.token;
  options.limits = cluster.limits;
  PeerLinks::Handler& handler = *this;
  peers_ = std::make_unique<PeerLinks>(loop_, clock_, std::move(options), view_, handler);
  RAYLET_RETURN_IF_ERROR(peers_->Listen(cluster.listen));
  for (const TcpAddress& address : cluster.peers) RAYLET_RETURN_IF_ERROR(peers_->Seek(address));
  auto client = store_.NewClient("raylet, objects of other machines");
  if (!client) return Fail(client.error());
  BulkDialer dial = [this](const NodeId& node, PeerLinks::BulkDone done) {
    if (!stopping_) peers_->DialBulk(node, std::move(done));
  };
  ObjectManager::Events& events = *this;
  ObjectTransferLimits transfer_limits;
  transfer_limits.idle_max = kIdlePatience * cluster.limits.dead_after;
  transfer_limits.pulls.give_up_after = 3 * cluster.limits.dead_after;
  objects_ = std::make_unique<ObjectManager>(loop_, clock_, machine_, view_, store_, std::move(*client),
                                             std::move(dial), events, transfer_limits);
  ChannelRelay::Events& relay_events = *this;
  relay_ = std::make_unique<ChannelRelay>(loop_, relay_events);
  const ObjectPlaces& places = *this;
  scheduler_.JoinCluster(view_, places);
  return {};
}

NodeRecord Raylet::OwnRecord() const {
  return {node_, peers_ == nullptr ? 0 : peers_->own().epoch, machine_, PeerAddress(), kBuild};
}

void Raylet::KnowNodes(const std::vector<NodeRecord>& nodes) {
  if (peers_ == nullptr || stopping_) return;
  std::map<NodeId, std::string> known;
  for (const NodeRecord& node : nodes) {
    if (node.id == node_) continue;
    known[node.id] = node.address;
    if (const auto before = known_nodes_.find(node.id); before != known_nodes_.end() && before->second == node.address)
      continue;
    auto address = ParseTcpAddress(node.address);
    const auto sought = address ? peers_->Seek(*address, node.id) : Result<void>(Fail(address.error()));
    if (!sought)
      RAYLET_LOG(kWarning, "raylet ", node.id.hex(), " at ", node.address, " is not sought: ", sought.error().message);
  }
  for (const auto& [id, address] : known_nodes_)
    if (const auto now = known.find(id); now == known.end() || now->second != address) peers_->Forget(address);
  known_nodes_ = std::move(known);
}

std::string Raylet::PeerAddress() const { return peers_ == nullptr ? "" : peers_->own().address; }

std::string Raylet::AddressOf(const NodeId& node) const {
  const ClusterView::Node* const known = view_.Find(node);
  return known == nullptr || known->address.empty() ? node.hex() : known->address;
}

std::string Raylet::AddressOfProcess(ProcessId process) const {
  const ClusterView::Node* const node = view_.NodeOf(process);
  return node == nullptr ? "" : AddressOf(node->id);
}

std::string Raylet::WhyLost(const ClusterView::Node* node) { return node == nullptr ? "" : node->why_dead; }

MachineNumber Raylet::MachineNumberOf(const NodeId& node) const {
  const ClusterView::Node* const known = view_.Find(node);
  return known == nullptr ? kNoMachine : known->machine;
}

// Of a process speaks its own machine alone.
Result<void> Raylet::CheckSpeaksFor(const NodeId& node, ProcessId process) const {
  if (MachineOf(process) == MachineNumberOf(node)) return {};
  return Fail(ErrorCode::kProtocolError,
              StrCat("the machine at ", AddressOf(node), " speaks of process ", process, ", which is not its own"));
}

NodeLoad Raylet::OwnLoad() {
  NodeLoad load;
  const auto remote = scheduler_.WorkFromElsewhere();
  for (const auto& line : scheduler_.ledger().lines()) {
    int64_t queued_units = 0;
    for (const auto& [node, work] : remote)
      if (const auto queued = work.queued_units.find(line.name); queued != work.queued_units.end())
        queued_units += queued->second;
    load.lines.push_back({line.name, line.total_units, line.free_units, queued_units});
  }
  for (const auto& [node, work] : remote)
    for (const auto& [name, units] : work.units) load.held[node].Accumulate(name, units);
  const StoreLink::Room room = store_.room();
  load.store_capacity_bytes = room.capacity_bytes;
  load.store_free_bytes = room.free_bytes;
  load.queued_tasks = scheduler_.queue().size() + scheduler_.queue().held_tasks() + scheduler_.dependencies().tasks();
  load.running_tasks = static_cast<uint64_t>(
      std::count_if(scheduler_.workers().begin(), scheduler_.workers().end(),
                    [](const auto& worker) { return worker.second.state == Scheduler::WorkerState::kBusy; }));
  return load;
}

// ---- what is said to them

void Raylet::TellPeer(const NodeId& node, wire::WorkMessage type, Bytes body) {
  TellPeer(node, static_cast<uint16_t>(type), std::move(body));
}

void Raylet::TellPeer(const NodeId& node, wire::ObjectMessage type, Bytes body) {
  TellPeer(node, static_cast<uint16_t>(type), std::move(body));
}

void Raylet::TellPeer(const NodeId& node, uint16_t type, Bytes body) {
  if (peers_ == nullptr) return;
  const auto waiting = outboxes_.find(node);
  if (waiting == outboxes_.end()) {
    const auto sent = peers_->Send(node, type, body);
    // Without a session its end is on its way to us, or has been told: all of ours there comes back.
    if (sent || sent.error().code != ErrorCode::kFull) return;
  }
  Outbox& outbox = outboxes_[node];
  outbox.bytes += body.size();
  outbox.messages.emplace_back(type, std::move(body));
  if (outbox.bytes > kOutboxBytesMax) {
    peers_->End(node,
                {ErrorCode::kSlowConsumer, StrCat("it does not keep up: ", FormatBytes(outbox.bytes),
                                                  " wait for it and the limit is ", FormatBytes(kOutboxBytesMax))});
  }
}

void Raylet::OnPeerRoom(const NodeId& node) {
  const auto found = outboxes_.find(node);
  if (found == outboxes_.end()) return;
  Outbox& outbox = found->second;
  while (!outbox.messages.empty()) {
    auto& [type, body] = outbox.messages.front();
    if (const auto sent = peers_->Send(node, type, body); !sent && sent.error().code == ErrorCode::kFull) return;
    outbox.bytes -= body.size();
    outbox.messages.pop_front();
  }
  outboxes_.erase(found);
}

// ---- how they are

void Raylet::OnPeerUp(const NodeId& node) {
  // It may have been called dead, and have the same numbers for its processes as before.
  wire::ProcessNoticeT notice;
  notice.process = AllProcessesOf(MachineNumberOf(node));
  notice.failure = std::make_unique<wire::FailureT>();
  notice.reached_again = true;
  TellProcesses(notice);
  scheduler_.ClusterChanged();
  CarryOut();
}

void Raylet::OnPeerChanged(const NodeId&) {
  scheduler_.ClusterChanged();
  CarryOut();
}

void Raylet::OnPeerDead(const NodeId& node, const Error& why) {
  outboxes_.erase(node);
  if (stopping_) return;
  const MachineNumber machine = MachineNumberOf(node);
  ended_elsewhere_.erase(node);
  objects_->NodeGone(node, machine, why);
  for (auto& [id, job] : jobs_) job.known_by.erase(node);
  for (auto& [id, job] : jobs_)
    if (job.from == node && !job.ended) EndJob(id);
  for (const WorkerId worker : scheduler_.NodeGone(node, machine)) pool_.KillSoon(worker);
  hosted_.HomeGone(node);
  actors_.NodeGone(node, machine, AddressOf(node), why.message);
  HomeGone(node, AddressOf(node), why.message);
  CarryOut();  // first what became of the actors there, then that their channels have ended
  relay_->NodeGone(node, why);
  wire::ProcessNoticeT notice;
  notice.process = AllProcessesOf(machine);
  notice.failure = std::make_unique<wire::FailureT>(
      ProcessEnded(notice.process, StrCat("the machine at ", AddressOf(node), " is lost: ", why.message)));
  TellProcesses(notice);
  CarryOut();
  ForgetEndedJobs();
}

// ---- what they say

Result<void> Raylet::OnPeerMessage(const NodeId& node, const Frame& frame) {
  if (stopping_) return {};
  auto done = DispatchPeer(node, frame);
  CarryOutSoon();
  return done;
}

Result<void> Raylet::DispatchPeer(const NodeId& node, const Frame& frame) {
  const auto subject = SubjectOf(frame.header.type);
  if (subject == PeerSubject::kChannels) return relay_->OnMessage(node, frame);
  if (subject == PeerSubject::kObjects) return objects_->OnMessage(node, frame);
  if (subject == PeerSubject::kWork) return DispatchWorkMessage(node, frame);
  if (subject == PeerSubject::kActors) return DispatchActorMessage(node, frame);
  return UnknownPeerMessage(frame);
}

Result<void> Raylet::DispatchWorkMessage(const NodeId& node, const Frame& frame) {
  using wire::WorkMessage;
  switch (static_cast<WorkMessage>(frame.header.type)) {
    case WorkMessage::JobProgram: return OnJobProgram(node, frame);
    case WorkMessage::JobEnded: return OnJobEnded(node, frame);
    case WorkMessage::ForwardTask: return OnForwardTask(node, frame);
    case WorkMessage::ForwardedResult: return OnForwardedResult(node, frame);
    case WorkMessage::TaskReturned: return OnTaskReturned(node, frame);
    case WorkMessage::CancelTask: return OnCancelTask(node, frame);
    case WorkMessage::ProcessEnded: return OnProcessEnded(node, frame);
    case WorkMessage::LendReleased: return OnLendReleased(node, frame);
    case WorkMessage::RecallTasks: return OnRecallTasks(node);
    case WorkMessage::TasksRecalled: return OnTasksRecalled(node, frame);
  }
  return UnknownPeerMessage(frame);
}

Result<void> Raylet::OnJobProgram(const NodeId& node, const Frame& frame) {
  auto notice = Parse<wire::JobProgramNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  if (notice->executable.empty()) return Fail(ErrorCode::kProtocolError, "a job comes without its program");
  // One before it, of the same number, is on its way out.
  const JobId id = next_job_++;
  remote_jobs_[{node, notice->job}] = id;
  Job& job = jobs_[id];
  job.from = node;
  job.number_there = notice->job;
  job.actor_namespace = std::move(notice->actor_namespace);
  job.program = {std::move(notice->executable), std::move(notice->arguments), std::move(notice->environment),
                 std::move(notice->working_directory), nullptr};
  RAYLET_LOG(kInfo, "job ", id, ": ", job.program.executable, ", job ", notice->job, " at ", AddressOf(node));
  return {};
}

Result<void> Raylet::OnJobEnded(const NodeId& node, const Frame& frame) {
  const auto notice = Parse<wire::JobNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  const auto found = remote_jobs_.find({node, notice->job});
  if (found == remote_jobs_.end()) return {};
  const JobId id = found->second;
  EndJob(id);
  CarryOut();
  ForgetJobWhenDone(id);
  return {};
}

void Raylet::ReturnTask(const NodeId& node, const TaskId& task, const Error& why) {
  RAYLET_LOG(kWarning, "task ", task.hex(), " of ", AddressOf(node), " goes back: ", why.message);
  wire::TaskReturnedNoticeT notice;
  notice.task = std::make_unique<wire::Id20>(ToWire(task));
  notice.status = ToStatus(why);
  TellPeer(node, wire::WorkMessage::TaskReturned, Encode(notice));
}

Result<void> Raylet::OnForwardTask(const NodeId& node, const Frame& frame) {
  const auto forwarded = Parse<wire::ForwardedTaskT>(frame.body);
  if (!forwarded) return Fail(forwarded.error());
  ForwardingNode from;
  from.node = node;
  from.machine = MachineNumberOf(node);
  from.store_client = store_.client_number();
  const auto job = remote_jobs_.find({node, forwarded->job});
  if (job == remote_jobs_.end() || jobs_.at(job->second).ended)
    return Fail(ErrorCode::kProtocolError, StrCat("a task comes of job ", forwarded->job, ", whose program has not"));
  from.job = job->second;
  from.job_namespace = jobs_.at(job->second).actor_namespace;
  const auto parsed = ParseForwardedTask(forwarded->spec, from);
  if (!parsed) return Fail(parsed.error());
  const TaskPtr task = parsed->task;
  if (!parsed->sound) {
    ReturnTask(node, task->id, parsed->sound.error());
  } else if (!scheduler_.ledger().Resolve(task->resources).has_value()) {
    ReturnTask(node, task->id,
               {ErrorCode::kInvalid, StrCat("this machine will never have what it asks for: ",
                                            scheduler_.ledger().WhatLacks(task->resources))});
  } else if (const auto submitted = scheduler_.Submit(task); !submitted) {
    if (submitted.error().code == ErrorCode::kAlreadyExists)
      return Fail(ErrorCode::kProtocolError, submitted.error().message);
    ReturnTask(node, task->id, submitted.error());
  } else if (task->CreatesActor()) {
    hosted_.Came(task);
  }
  return {};
}

Result<void> Raylet::OnForwardedResult(const NodeId& node, const Frame& frame) {
  const auto result = Parse<wire::TaskResultT>(frame.body);
  if (!result) return Fail(result.error());
  RAYLET_RETURN_IF_ERROR(CheckValue(result->result.get()));
  if (result->process != 0) RAYLET_RETURN_IF_ERROR(CheckSpeaksFor(node, result->process));
  // None: its owner has gone, or it has been taken back; whoever ran it lends what the result refers to until it hears
  // that the owner has ended.
  const bool failed = result->result->kind == wire::ValueKind::Failed;
  const TaskPtr task = scheduler_.ForwardedFinished(node, FromWire<TaskId>(*result->id), !failed);
  ProcessSession* const owner = task == nullptr ? nullptr : SessionOf(task->owner);
  if (result->result->kind == wire::ValueKind::Stored)
    ResultElsewhere(node, FromWire<ObjectId>(*result->result->id), owner != nullptr);
  if (owner != nullptr) owner->SendBytes(wire::RayletMessage::TaskResult, 0, frame.body);
  if (task == nullptr || !task->CreatesActor()) return {};
  if (failed)
    actors_.ConstructorFailed(task->actor->id, *result->result->failure);
  else
    actors_.Constructed(task->actor->id, result->process);
  return {};
}

// `wanted`: a process of ours owns it, and has heard of it, or will.
void Raylet::ResultElsewhere(const NodeId& node, const ObjectId& object, bool wanted) {
  if (wanted) return objects_->SealedElsewhere(object, node);
  if (MachineOf(OwnerOf(object)) != machine_) return;
  wire::FreeCopiesNoticeT free;
  free.objects.push_back(ToWire(object));
  TellPeer(node, wire::ObjectMessage::FreeCopies, Encode(free));
}

Result<void> Raylet::OnTaskReturned(const NodeId& node, const Frame& frame) {
  const auto notice = Parse<wire::TaskReturnedNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  RAYLET_LOG(kWarning, "a task comes back from ", AddressOf(node), ": ", notice->status->message);
  const TaskPtr task = scheduler_.ForwardedReturned(node, FromWire<TaskId>(*notice->task));
  if (task != nullptr && task->CreatesActor()) actors_.Returned(task->actor->id, node);
  return {};
}

Result<void> Raylet::OnRecallTasks(const NodeId& node) {
  scheduler_.RecalledBy(node);
  return {};
}

Result<void> Raylet::OnTasksRecalled(const NodeId& node, const Frame& frame) {
  const auto notice = Parse<wire::TasksNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  std::vector<TaskId> tasks;
  for (const auto& id : notice->tasks) tasks.push_back(FromWire<TaskId>(id));
  scheduler_.NodeGaveBack(node, tasks);
  return {};
}

Result<void> Raylet::OnCancelTask(const NodeId& node, const Frame& frame) {
  const auto notice = Parse<wire::TaskNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  const auto task = CheckTaskId(*notice->task);
  if (!task) return Fail(task.error());
  if (const WorkerId worker = scheduler_.Abandon(node, *task); worker != 0) pool_.KillSoon(worker);
  return {};
}

Result<void> Raylet::OnProcessEnded(const NodeId& node, const Frame& frame) {
  const auto notice = Parse<wire::ProcessNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  ProcessSet processes(notice->also.begin(), notice->also.end());
  processes.insert(notice->process);
  for (const ProcessId process : processes) RAYLET_RETURN_IF_ERROR(CheckSpeaksFor(node, process));
  for (const WorkerId worker : scheduler_.OwnersGone(processes)) pool_.KillSoon(worker);
  actors_.ProcessesGone(processes);
  auto& ended = ended_elsewhere_[node];
  for (const ProcessId process : processes) {
    if (ended.size() >= kEndedKeptMax) ended.erase(ended.begin());  // the one that began first
    ended.insert(process);
    objects_->ProcessGone(process);
  }
  TellProcesses(*notice);
  return {};
}

Result<void> Raylet::OnLendReleased(const NodeId& node, const Frame& frame) {
  const auto released = Parse<wire::ReleasedLendT>(frame.body);
  if (!released) return Fail(released.error());
  RAYLET_RETURN_IF_ERROR(CheckSpeaksFor(node, released->by));
  ProcessSession* const lender = SessionOf(released->lender);
  if (lender == nullptr) return {};  // gone, and its lends with it
  wire::LendNoticeT told;
  told.process = released->by;
  told.lend = released->lend;
  lender->Send(wire::RayletMessage::ReleaseLend, 0, told);
  return {};
}

// ---- objects

void Raylet::OnBulk(const NodeId& node, UniqueFd fd) { objects_->transfer().Serve(node, std::move(fd)); }

bool Raylet::IsAlive(ProcessId process) const {
  if (MachineOf(process) == machine_) return by_process_.contains(process);
  const ClusterView::Node* const node = view_.NodeOf(process);
  if (node == nullptr || node->state == NodeState::kDead) return false;
  const auto ended = ended_elsewhere_.find(node->id);
  return ended == ended_elsewhere_.end() || !ended->second.contains(process);
}

void Raylet::OnLost(Wanter wanter, const ObjectId& object, const Error& why) {
  if (wanter == kArgumentWanter) {
    scheduler_.ObjectWillNotCome(object, why.message);
    CarryOut();
    return;
  }
  ProcessSession* const process = SessionOf(wanter);
  if (process == nullptr) return;
  wire::LostNoticeT notice;
  notice.object = std::make_unique<wire::Id20>(ToWire(object));
  notice.failure = std::make_unique<wire::FailureT>(ObjectCannotCome(object, why));
  process->Send(wire::RayletMessage::ObjectLost, 0, notice);
}

}  // namespace raylet
