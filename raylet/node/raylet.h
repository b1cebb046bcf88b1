// Raylet: the daemon put together. It hears processes, worker exits and the store, tells the cores, and carries out
// what they decide. Owned by main (or a test); loop thread only. Always holds: between two turns of the loop, every
// decision of the cores has been carried out. A worker counts as gone when its process has ended and its socket is
// drained, so nothing that it said is lost; only then are its tasks retried, its actor restarted, and its death told.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>

#include "base/loop.h"
#include "raylet/actors/actor_directory.h"
#include "raylet/actors/actor_names.h"
#include "raylet/actors/hosted_actors.h"
#include "raylet/actors/remote_actors.h"
#include "raylet/channels/channel_book.h"
#include "raylet/channels/channel_relay.h"
#include "raylet/node/process_session.h"
#include "raylet/node/worker_pool.h"
#include "raylet/objects/object_manager.h"
#include "raylet/objects/store_link.h"
#include "raylet/peers/links.h"
#include "raylet/scheduling/cluster_view.h"
#include "raylet/scheduling/scheduler.h"

namespace raylet {

constexpr size_t kSessionsMax = 1024;
constexpr size_t kOutboxBytesMax = size_t{256}
                                   << 20;  // for one other raylet that does not keep up; then its session ends

// The raylet's part in a cluster. Without it there is this machine and no other.
struct ClusterOptions {
  NodeId node;                    // who this raylet is to others; nil: one is drawn
  TcpAddress listen;              // where other raylets reach this one
  std::string token;              // that all of them share; empty: loopback only
  std::vector<TcpAddress> peers;  // that are to be found there
  PeerSessionLimits limits;
};

struct RayletOptions {
  std::string socket;        // absolute
  std::string store_socket;  // absolute
  std::string logs_folder;   // absolute, exists
  ResourceSet resources;
  std::optional<ClusterOptions> cluster;
  SchedulerLimits limits;
  SessionLimits session_limits;
  std::chrono::milliseconds register_timeout{10'000};  // of a worker
  std::chrono::milliseconds exit_grace{5'000};         // after Exit
  std::chrono::milliseconds stop_grace{1'000};         // after SIGTERM, when the raylet stops
};

class ControlParts;
struct NodeRecord;

class Raylet final : private ProcessSession::Events,
                     private StoreLink::Handler,
                     private PeerLinks::Handler,
                     private ObjectPlaces,
                     private ObjectManager::Events,
                     private ChannelRelay::Events {
 public:
  Raylet(Loop& loop, RayletOptions options, StoreLink& store);
  ~Raylet() override;

  Result<void> Listen();
  // Listens to other raylets and seeks those that were named; nothing without ClusterOptions.
  Result<void> JoinPeers();
  // What it is in the control store; after JoinPeers.
  NodeRecord OwnRecord() const;
  void KnowNodes(const std::vector<NodeRecord>& nodes);  // who lives, as the control store says: all are sought
  void SetControl(const ControlParts& control) { control_ = &control; }  // for the status
  void ShareNames(ControlLink& control);                                 // from now on; it lives as long as we do
  std::string PeerAddress() const;  // where they reach this one; empty where they do not
  // Refuses new work, ends the workers, removes the socket; then `stopped` is called, once. Workers are asked to end
  // and have stop_grace, or are killed at once where nobody is left to whom they matter; that may be found out later,
  // too.
  enum class Ending { kAsk, kKill };
  void Stop(Ending ending, std::function<void()> stopped);
  void SetOnStoreGone(std::function<void(const Error&)> gone) { on_store_gone_ = std::move(gone); }
  std::string StatusJson() const;
  size_t workers() const { return workers_.size(); }  // that have not gone

 private:
  struct Job {
    ProcessId driver = 0;         // 0: it has gone, or is another machine's
    bool ended = false;           // no driver will be any more
    bool ended_for_good = false;  // nor a detached actor: nothing of it goes on
    NodeId from;                  // another machine's job; nil: ours
    JobId number_there = 0;
    std::set<NodeId> known_by;  // machines that have its program from us
    pid_t driver_pid = 0;
    std::string actor_namespace;
    WorkerProgram program;
    size_t workers = 0;
  };
  struct WorkerRecord {
    JobId job = 0;
    ProcessId process = 0;  // 0: has not registered
    bool connected = false;
    std::optional<WorkerExit> exit;
    std::optional<ActorId> actor;
    bool constructed = false;
    bool ends_with_job = false;  // killed, and not heard any more: what it wants is for a job that has ended
    Timer patience;              // for the half of its end that has not come yet
  };

  struct EndedProcess {
    ProcessId process = 0;
    std::string why;
  };

  // raylet.cc: processes come
  void ListenLocally();
  void Accept(int listen_fd);
  void WatchListeners(FdWatcher::Events wanted);
  std::vector<std::string> KnownAddresses() const;
  Result<void> OnRegister(ProcessSession& session, uint64_t request_id, wire::RegisterRequestT request,
                          UniqueFd doorbell) override;
  Result<void> Admit(ProcessSession& session, const wire::RegisterRequestT& request);
  void OnSealed(const ObjectId& object) override;
  void OnStoreGone(const Error& reason) override;
  void FinishStop();

  // raylet_ends.cc: and go
  void OnSessionClosed(ProcessSession& session, const Error& reason) override;
  void OnBehind(ProcessSession& session, bool behind) override;
  void DriverGone(const ProcessSession::Identity& identity, const Error& reason);
  void WorkerClosed(const ProcessSession::Identity& identity);
  void OnWorkerExit(WorkerId worker, const WorkerExit& exit);
  void FinishSoon(WorkerId worker);
  void PostFinish();
  void FinishWorkers(const std::vector<WorkerId>& workers);
  void ActorWorkerGone(WorkerId worker, const WorkerRecord& record);
  void ProcessesGone(const std::vector<EndedProcess>& ended);
  void TellProcesses(const wire::ProcessNoticeT& notice);
  bool EndsWithItsJob(const ProcessSession& session) const;
  ProcessSet SurvivorsOf(JobId job) const;
  ProcessSet KillWorkersOf(JobId job, const ProcessSet& survivors);
  void EndJob(JobId job);
  void ForgetJobWhenDone(JobId job);
  void ForgetEndedJobs();

  // raylet_messages.cc: what processes say
  Result<void> OnMessage(ProcessSession& session, wire::RayletMessage type, const Frame& frame) override;
  Result<void> Dispatch(ProcessSession& session, wire::RayletMessage type, const Frame& frame);
  Result<void> OnReady(ProcessSession& session, const Frame& frame);
  Result<void> OnSubmitTask(ProcessSession& session, const Frame& frame);
  Result<void> OnTasksRecalled(ProcessSession& session, const Frame& frame);
  Result<void> OnTaskDone(ProcessSession& session, const Frame& frame);
  Result<void> OnKillActor(const Frame& frame);
  Result<void> OnReleaseActor(ProcessSession& session, const Frame& frame);
  Result<void> OnBlocked(ProcessSession& session, const Frame& frame);
  Result<void> OnReleaseLend(ProcessSession& session, const Frame& frame);
  Result<void> OnActorExited(ProcessSession& session, const Frame& frame);
  Result<void> OnWantObjects(ProcessSession& session, const Frame& frame);
  Result<void> OnFreeObjects(ProcessSession& session, const Frame& frame);
  Result<void> OnNodeStatus(ProcessSession& session, const Frame& frame);

  // raylet_peers.cc: other raylets
  void OnPeerUp(const NodeId& node) override;
  Result<void> OnPeerMessage(const NodeId& node, const Frame& frame) override;
  void OnPeerRoom(const NodeId& node) override;
  void OnPeerChanged(const NodeId& node) override;
  void OnPeerDead(const NodeId& node, const Error& why) override;
  Result<void> DispatchPeer(const NodeId& node, const Frame& frame);
  Result<void> DispatchWorkMessage(const NodeId& node, const Frame& frame);
  Result<void> OnJobProgram(const NodeId& node, const Frame& frame);
  Result<void> OnJobEnded(const NodeId& node, const Frame& frame);
  Result<void> OnForwardTask(const NodeId& node, const Frame& frame);
  Result<void> OnForwardedResult(const NodeId& node, const Frame& frame);
  Result<void> OnTaskReturned(const NodeId& node, const Frame& frame);
  Result<void> OnRecallTasks(const NodeId& node);
  Result<void> OnTasksRecalled(const NodeId& node, const Frame& frame);
  Result<void> OnCancelTask(const NodeId& node, const Frame& frame);
  Result<void> OnProcessEnded(const NodeId& node, const Frame& frame);
  Result<void> OnLendReleased(const NodeId& node, const Frame& frame);
  void ResultElsewhere(const NodeId& node, const ObjectId& object, bool wanted);
  void ReturnTask(const NodeId& node, const TaskId& task, const Error& why);
  void TellPeer(const NodeId& node, wire::WorkMessage type, Bytes body);
  void TellPeer(const NodeId& node, uint16_t type, Bytes body);
  MachineNumber MachineNumberOf(const NodeId& node) const;
  Result<void> CheckSpeaksFor(const NodeId& node, ProcessId process) const;
  std::string AddressOf(const NodeId& node) const;
  std::string AddressOfProcess(ProcessId process) const;
  static std::string WhyLost(const ClusterView::Node* node);  // empty where that is not known
  NodeLoad OwnLoad() override;
  bool IsHere(const ObjectId& object) const override { return objects_->IsHere(object); }
  void AddBytes(const ObjectId& object, ArgumentBytes& bytes) const override { objects_->AddBytes(object, bytes); }
  void TellPeer(const NodeId& node, wire::ObjectMessage type, Bytes body) override;
  bool IsAlive(ProcessId process) const override;
  void OnLost(Wanter wanter, const ObjectId& object, const Error& why) override;
  void OnBulk(const NodeId& node, UniqueFd fd) override;

  // raylet_actors.cc: actors of several machines
  bool IsHome(const ActorId& actor) const;
  const ClusterView::Node* HomeOf(const ActorId& actor) const;
  void TellPeer(const NodeId& node, wire::ActorMessage type, Bytes body);
  void TellActorGone(const HostedActors::Hosted& hosted, bool never_began, Failure failure);
  Result<void> DispatchActorMessage(const NodeId& node, const Frame& frame);
  Result<void> OnEndActor(const NodeId& node, const Frame& frame);
  Result<void> OnActorGone(const NodeId& node, const Frame& frame);
  Result<void> OnActorLeaves(const NodeId& node, const Frame& frame);
  Result<void> OnKillElsewhere(const Frame& frame);

  // raylet_names.cc: actors' names, in a cluster
  Result<void> OnCreateActor(ProcessSession& session, const Frame& frame);
  Result<void> OnFindActor(ProcessSession& session, const Frame& frame);
  Result<void> OnWatchActor(const NodeId& node, const Frame& frame);
  void NameClaimed(const ActorId& actor, const Result<void>& claimed);
  void Found(ProcessId asker, uint64_t request_id, const std::string& name, const Result<ActorId>& found);
  void Do(const NameFreed& freed);
  void Do(const ActorMoved& moved);

  // raylet_channels.cc: callers and actors, wherever they are
  Result<void> OnOpenChannel(ProcessSession& session, const Frame& frame);
  Result<void> OnChannelReleased(ProcessSession& session, const Frame& frame);
  Result<void> OnOpenActor(const NodeId& node, const Frame& frame);
  Result<void> OnActorGranted(const NodeId& node, const Frame& frame);
  Result<void> OnActorRefused(const NodeId& node, const Frame& frame);
  Result<void> OnWatchedActorChanged(const NodeId& node, const Frame& frame);
  Result<ActorId> ActorOf(const NodeId& node, const wire::Id20* id) const;
  void AskHome(const RemoteActors::Ask& ask);
  void AskAgainLater();
  void Connect(const ActorId& actor, const NodeId& host, ProcessId process, ProcessId caller, uint64_t request_id);
  Result<void> ConnectHere(const ActorId& actor, ProcessId process, ProcessSession& caller, uint64_t request_id);
  Result<void> ConnectThere(const ActorId& actor, const NodeId& host, ProcessId process, ProcessSession& caller,
                            uint64_t request_id);
  void RefuseCaller(ProcessId caller, uint64_t request_id, const Failure& failure);
  void TellWatcher(ProcessId process, const ActorId& actor, Bytes notice);
  void Close(const ChannelBook::Channel& channel);
  void ForgetCallers(const ProcessSet& processes);
  void HomeGone(const NodeId& node, const std::string& address, const std::string& why);
  void TellPeer(const NodeId& node, wire::ChannelMessage type, Bytes body) override;
  void OnRelayAsked(const NodeId& node, RelayNumber relay, const ActorId& actor, ProcessId caller) override;
  void OnRelayEnded(ProcessId caller, const ActorId& actor, const Error* why) override;
  void OnCallerGone(WorkerId worker, ChannelId channel, ProcessId caller, const ActorId& actor) override;
  void OnStoredHere(ProcessId caller, const ObjectId& object) override;
  void OnStoredThere(const NodeId& node, const ObjectId& object, bool delivered) override;

  // raylet_actions.cc: what the cores decided
  void CarryOut();
  void CarryOutSoon();  // at the end of this turn of the loop: one pass for many messages
  void Do(const StartWorker& start);
  void Do(const RunTask& run);
  void Do(const RecallFromWorker& recall);
  void Do(const KillWorker& kill);
  void Do(const StopWorker& stop);
  void Do(const WatchObjects& watch);
  void Do(const ReleaseArguments& release);
  void Do(const ForwardTask& forward);
  void Do(const RecallForwarded& recall);
  void Do(const ReturnRecalled& returned);
  void Do(const CancelForwarded& cancel);
  void Do(const LoseTask& lost);
  void Do(const CreateActorNow& create);
  void Do(const CancelCreation& cancel);
  void Do(const EndActorWorker& end);
  void Do(const TellActorChanged& change);
  void Do(const GrantChannel& grant);
  void Do(const RefuseChannel& refuse);
  void EndWorker(WorkerId worker, bool at_once);
  void AskToExit(WorkerId worker);
  void RefuseTask(const Task& task, const Error& why);

  ProcessSession* SessionOf(ProcessId process);
  ProcessSession* SessionOfWorker(WorkerId worker);
  bool IsDead(ProcessId process) const;  // was one of ours, and has gone

  Loop& loop_;
  const RayletOptions options_;
  StoreLink& store_;
  const NodeId node_ =
      options_.cluster && !options_.cluster->node.IsNil() ? options_.cluster->node : NodeId::FromRandom();
  const MachineNumber machine_ = NewMachineNumber();
  uint32_t next_process_ = 1;
  JobId next_job_ = 1;
  SessionId next_session_ = 1;

  Scheduler scheduler_;
  ActorDirectory actors_;
  HostedActors hosted_;
  RemoteActors remote_actors_;
  ActorNames names_{view_, [this](const ActorId& actor) { return actors_.BearsName(actor); }};
  ChannelBook channels_;
  WorkerPool pool_;
  std::map<JobId, Job> jobs_;
  std::unordered_map<WorkerId, WorkerRecord> workers_;
  std::deque<WorkerId> finished_;                          // of workers_: they have gone, and are still to be forgotten
  std::unordered_map<WorkerId, WorkerExit> recent_exits_;  // of the event under way
  SteadyClock clock_;
  ClusterView view_{node_};
  const ControlParts* control_ = nullptr;                  // null without a control store
  std::map<NodeId, std::string> known_nodes_;              // from the control store, their addresses
  std::unique_ptr<PeerLinks> peers_;                       // null without ClusterOptions
  std::map<std::pair<NodeId, JobId>, JobId> remote_jobs_;  // ours, by their machine and its number
  // What a session had no room for, in order.
  struct Outbox {
    std::deque<std::pair<uint16_t, Bytes>> messages;
    size_t bytes = 0;
  };
  std::map<NodeId, Outbox> outboxes_;
  std::unique_ptr<ObjectManager> objects_;  // null without ClusterOptions
  std::unique_ptr<ChannelRelay> relay_;     // null without ClusterOptions
  // What a caller is to hear of an actor once its relay has handed over all.
  std::map<std::pair<ProcessId, ActorId>, std::vector<Bytes>> held_back_;
  Timer ask_again_;
  std::map<NodeId, std::set<ProcessId>> ended_elsewhere_;
  std::unordered_map<SessionId, std::unique_ptr<ProcessSession>> sessions_;
  std::unordered_map<ProcessId, ProcessSession*> by_process_;   // registered and connected
  uint64_t closed_bytes_received_ = 0, closed_bytes_sent_ = 0;  // of the sessions that have gone

  // Its socket, and in a cluster the abstract name at which processes of this machine find it.
  UniqueFd listen_fd_, local_fd_;
  FdWatcher listener_, local_listener_;
  Timer accept_pause_;
  bool carrying_out_ = false;
  bool carry_out_due_ = false;
  bool ticking_ = false;
  Timer ahead_ticker_;
  bool stopping_ = false;
  std::string why_stopping_ = "this raylet is stopping";  // as the others hear it
  std::function<void()> stopped_;
  std::function<void(const Error&)> on_store_gone_;
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace raylet
