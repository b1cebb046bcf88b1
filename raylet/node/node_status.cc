#include "raylet/node/node_status.h"

#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "raylet/control/control_parts.h"
#include "raylet/scheduling/bundle_resources.h"

namespace raylet {
namespace {

using nlohmann::json;

constexpr size_t kListedMax = 1000;  // of actors, and of tasks that wait for objects: the answer is one frame

const char* StateName(Scheduler::WorkerState state) {
  switch (state) {
    case Scheduler::WorkerState::kStarting: return "starting";
    case Scheduler::WorkerState::kIdle: return "idle";
    case Scheduler::WorkerState::kBusy: return "busy";
    case Scheduler::WorkerState::kStopping: return "stopping";
  }
  return "unknown";
}

// For a moment more may be in use than there is, because a worker that goes on after a Get does not wait for its CPU.
json Resource(const std::string& name, int64_t total_units, int64_t free_units) {
  return {{"total", AmountOf(name, total_units)}, {"free", AmountOf(name, std::max<int64_t>(free_units, 0))}};
}

json Resources(const ResourceLedger& ledger) {
  json resources = json::object();
  for (const auto& line : ledger.lines()) resources[line.name] = Resource(line.name, line.total_units, line.free_units);
  return resources;
}

json Queues(const Scheduler& scheduler) {
  json queues = json::array();
  for (const JobId job : scheduler.queue().jobs()) {
    for (const auto& shape : scheduler.queue().shapes(job)) {
      queues.push_back({{"job", job},
                        {"what", shape->dedicated ? "actors" : "tasks"},
                        {"count", shape->tasks.size()},
                        {"resources", DescribeRequest(shape->resources)},
                        {"first", shape->tasks.front()->task->name},
                        {"why", scheduler.WhyWaiting(*shape)}});
    }
  }
  for (const auto& [owner, tasks] : scheduler.queue().held()) {
    if (tasks.empty()) continue;
    const Task& first = *tasks.front()->task;
    queues.push_back({{"job", first.job},
                      {"what", "tasks"},
                      {"count", tasks.size()},
                      {"resources", DescribeRequest(first.resources)},
                      {"first", first.name},
                      {"why", StrCat("they wait until process ", owner, ", which submitted them, has read more of the ",
                                     "results that wait for it")}});
  }
  return queues;
}

const char* StateName(NodeState state) {
  switch (state) {
    case NodeState::kUp: return "up";
    case NodeState::kSilent: return "silent";
    case NodeState::kDead: return "dead";
  }
  return "unknown";
}

json Load(const NodeLoad& load) {
  json resources = json::object();
  for (const NodeLoad::Line& line : load.lines) {
    json& resource = resources[line.name] = Resource(line.name, line.total_units, line.free_units);
    resource["queued"] = AmountOf(line.name, line.queued_units);
  }
  return {{"resources", std::move(resources)},
          {"queued_tasks", load.queued_tasks},
          {"running_tasks", load.running_tasks},
          {"store_capacity_bytes", load.store_capacity_bytes},
          {"store_free_bytes", load.store_free_bytes}};
}

json Peers(const PeerLinks* links, const ClusterView& view) {
  json peers = json::array();
  if (links == nullptr) return peers;
  for (const PeerStatus& peer : links->Status()) {
    json entry = {{"node", peer.node.hex()},
                  {"address", peer.identity.address},
                  {"epoch", std::to_string(peer.identity.epoch)},
                  {"state", StateName(peer.state)},
                  {"connected", peer.connected},
                  {"connections", peer.counters.connections},
                  {"messages_sent", peer.counters.messages_sent},
                  {"messages_received", peer.counters.messages_received},
                  {"messages_resent", peer.counters.messages_resent},
                  {"messages_unacknowledged", peer.unacked_messages},
                  {"bytes_sent", peer.bytes_sent},
                  {"bytes_received", peer.bytes_received},
                  {"bytes_resent", peer.counters.bytes_resent},
                  {"bytes_unacknowledged", peer.unacked_bytes}};
    if (peer.state == NodeState::kDead) {
      entry["why"] = peer.why_dead;
    } else if (const ClusterView::Node* const node = view.Find(peer.node)) {
      entry["load"] = Load(node->load);
    }
    peers.push_back(std::move(entry));
  }
  return peers;
}

int64_t MsSince(const std::optional<TimePoint>& moment, TimePoint now) {
  return moment ? (now - *moment) / std::chrono::milliseconds(1) : -1;
}

// Null without a control store.
json Control(const ControlParts* parts, TimePoint now) {
  if (parts == nullptr || parts->link() == nullptr) return nullptr;
  const ControlLink::Status status = parts->link()->status();
  json control = {{"address", status.store.address},
                  {"connected", status.store.connected},
                  {"connections", status.store.connection},
                  {"calls", status.store.calls},
                  {"calls_waiting", status.store.waiting},
                  {"calls_timed_out", status.store.timed_out},
                  {"joined", status.joined},
                  {"renewed_ms_ago", MsSince(status.renewed, now)},
                  {"listed_ms_ago", MsSince(status.listed, now)},
                  {"restored", status.restored},
                  {"published", status.published},
                  {"to_publish", status.due},
                  {"times_emptied", status.losses},
                  {"problem", status.problem.empty() ? status.store.problem : status.problem}};
  if (const ControlSupervisor* const supervisor = parts->supervisor())
    control["redis"] = {{"pid", supervisor->pid()}, {"restarts", supervisor->restarts()}};
  return control;
}

// The nodes with a lease, as the control store listed them last.
json Nodes(const ControlParts* parts) {
  json nodes = json::array();
  if (parts == nullptr || parts->link() == nullptr) return nodes;
  const ControlLink::Status status = parts->link()->status();
  for (const NodeRecord& node : status.nodes) {
    nodes.push_back({{"node", node.id.hex()},
                     {"address", node.address},
                     {"epoch", std::to_string(node.epoch)},
                     {"machine_number", static_cast<uint32_t>(node.machine)},
                     {"version", node.version},
                     {"lease_seconds", kNodeLease / std::chrono::seconds(1)},
                     {"this", node.id == status.own.id}});
  }
  return nodes;
}

// Null without other machines.
json Transfers(const ObjectDesk& desk) {
  const ObjectManager* const objects = desk.manager();
  if (objects == nullptr) return nullptr;
  const ObjectTransfer& transfer = objects->transfer();
  const ObjectReceiver::Counters& received = transfer.received();
  const ObjectSender::Counters& sent = transfer.sent();
  const ObjectDirectory& directory = objects->locator().directory();
  return {{"objects_wanted", transfer.queue().objects()},
          {"pulls", transfer.queue().under_way().count()},
          {"pulls_ready", transfer.queue().ready()},
          {"pulled_bytes", transfer.queue().under_way().counted_bytes()},
          {"objects_received", received.objects_received.value()},
          {"bytes_received", received.bytes_received.value()},
          {"bytes_resumed", received.bytes_resumed.value()},
          {"chunks_corrupt", received.chunks_corrupt.value()},
          {"objects_sent", sent.objects_sent.value()},
          {"bytes_sent", sent.bytes_sent.value()},
          {"pulls_refused", sent.pulls_refused.value()},
          {"kept_for_others", objects->kept()},
          {"result_references", desk.references().results()},
          {"objects_lost", directory.lost()},
          {"remote_copies", directory.objects() - directory.lost()}};
}

json Workers(const Scheduler& scheduler, const GpuNames& gpus, const LeaseDesk& leases, const WorkerHouse& house) {
  json workers = json::array();
  for (const auto& [id, worker] : scheduler.workers()) {
    json entry = {{"worker", id},
                  {"job", worker.job},
                  {"pid", house.pool().PidOf(id)},
                  {"state", StateName(worker.state)},
                  {"blocked", worker.blocked},
                  {"log", house.pool().LogOf(id)}};
    if (!worker.devices.empty()) entry["gpus"] = VisibleDevices(gpus, worker.devices);
    if (worker.task != nullptr) entry["task"] = worker.task->task->name;
    if (worker.lease != 0) entry["leased_to"] = worker.leased_to, entry["calls"] = leases.CallsOf(worker.lease);
    if (const WorkerRecord* const record = house.Find(id); record != nullptr && record->actor)
      entry["actor"] = record->actor->hex();
    workers.push_back(std::move(entry));
  }
  return workers;
}

json Actors(const ActorDirectory& directory, const WorkerPool& pool, const PeerPost& post,
            const ChannelBook& channels) {
  json actors = json::array();
  for (const auto& [id, actor] : directory.living()) {
    if (actors.size() >= kListedMax) break;
    actors.push_back({{"actor", id.hex()},
                      {"name", actor.settings().name},
                      {"namespace", actor.settings().actor_namespace},
                      {"function", actor.creation->function},
                      {"job", actor.creation->job},
                      {"state", wire::EnumNameActorState(actor.state)},
                      {"leaving", actor.leaving.has_value()},
                      {"restarts", actor.restarts},
                      {"detached", actor.settings().detached},
                      {"pid", pool.PidOf(actor.place.worker)},
                      {"machine", actor.place.IsRemote() ? post.AddressOf(actor.place.node) : ""},
                      {"channels", channels.CountOf(id)},
                      {"waiting_callers", actor.opens.size()}});
  }
  return actors;
}

json ActorsOfOthers(const HostedActors& hosted, const WorkerPool& pool, const PeerPost& post) {
  json actors = json::array();
  for (const auto& [id, actor] : hosted.actors()) {
    if (actors.size() >= kListedMax) break;
    actors.push_back({{"actor", id.hex()},
                      {"name", actor.creation->actor->name},
                      {"function", actor.creation->function},
                      {"home", post.AddressOf(actor.home())},
                      {"pid", pool.PidOf(actor.worker)},
                      {"constructed", actor.constructed}});
  }
  return actors;
}

// Some of the claims: the claimers of objects whose owners have ended, or are of this machine.
json Claims(const ClaimBook& book) {
  constexpr size_t kShown = 100;
  json claims = json::array();
  for (const ObjectId& object : book.Some(kShown))
    claims.push_back({{"object", object.hex()}, {"owner", OwnerOf(object)}, {"claimed_by", book.ClaimersOf(object)}});
  return claims;
}

// Those at home here, and the part of others that has bundles here.
json Groups(const GroupDesk& desk, const PeerPost& post) {
  json groups = json::array();
  for (const PlacementGroup* const group : desk.directory().All()) {
    if (group->state == GroupState::Removed) continue;
    if (groups.size() >= kListedMax) break;
    json bundles = json::array();
    for (size_t i = 0; i < group->bundles.size(); ++i) {
      const NodeId& place = group->places[i];
      bundles.push_back({{"resources", group->bundles[i].ToString()},
                         {"machine", place.IsNil()          ? ""
                                     : place == post.node() ? "here"
                                                            : post.AddressOf(place)}});
    }
    groups.push_back({{"group", group->id.hex()},
                      {"name", group->name},
                      {"namespace", group->group_namespace},
                      {"job", group->job},
                      {"strategy", wire::EnumNamePlacementStrategy(group->strategy)},
                      {"state", wire::EnumNamePlacementGroupState(group->state)},
                      {"reason", group->reason},
                      {"bundles", std::move(bundles)}});
  }
  return groups;
}

json BundlesOfOthers(const Scheduler& scheduler, const PeerPost& post) {
  json reserved = json::array();
  for (const auto& [id, group] : scheduler.bundles().groups()) {
    if (group.home == post.node()) continue;
    if (reserved.size() >= kListedMax) break;
    for (const auto& [index, each] : group.bundles)
      reserved.push_back({{"group", id.hex()},
                          {"bundle", index},
                          {"resources", each.bundle.resources.ToString()},
                          {"home", post.AddressOf(group.home)}});
  }
  return reserved;
}

json JobList(const Jobs& known, const PeerPost& post) {
  json jobs = json::array();
  for (const auto& [id, job] : known.all()) {
    jobs.push_back({{"job", id},
                    {"driver_pid", job.driver == 0 ? 0 : job.driver_pid},
                    {"executable", job.program.executable},
                    {"namespace", job.actor_namespace},
                    {"workers", job.workers},
                    // Of another machine: where it comes from, and its number there.
                    {"from", job.from.IsNil() ? "" : post.AddressOf(job.from)},
                    {"job_there", job.number_there}});
  }
  return jobs;
}

}  // namespace

NodeStatus::NodeStatus(const RayletOptions& options, const Services& services, const TaskDesk& tasks,
                       const ActorDesk& actors, const ChannelDesk& channels, const ObjectDesk& objects,
                       const ClaimDesk& claims)
    : options_(options),
      clock_(services.clock),
      store_(services.store),
      post_(services.post),
      door_(services.door),
      house_(services.house),
      jobs_(services.jobs),
      end_notices_(services.end_notices),
      scheduler_(tasks.scheduler()),
      leases_(tasks.leases()),
      groups_(tasks.groups()),
      actors_(actors),
      channels_(channels.channels()),
      objects_(objects),
      claims_(claims) {}

Result<void> NodeStatus::OnNodeStatus(ProcessSession& session, const Frame& frame) {
  const auto request = Parse<wire::EmptyNoticeT>(frame.body);
  if (!request) return Fail(request.error());
  if (session.identity->kind == wire::ProcessKind::Tool && session.IsBehind())
    return Fail(ErrorCode::kSlowConsumer, "it asks how this raylet is again and again, and reads no answer");
  wire::NodeStatusReplyT reply;
  reply.json = Json();
  session.Send(wire::RayletMessage::NodeStatusReply, frame.header.request_id, reply);
  return {};
}

Result<void> NodeStatus::OnListNodes(ProcessSession& session, const Frame& frame) {
  const auto request = Parse<wire::EmptyNoticeT>(frame.body);
  if (!request) return Fail(request.error());
  wire::ListNodesReplyT reply;
  const auto add = [&](const NodeId& node, const std::string& address, bool alive, const auto& lines) {
    auto& entry = *reply.nodes.emplace_back(std::make_unique<wire::NodeEntryT>());
    entry.node = std::make_unique<wire::Id20>(ToWire(node));
    entry.address = address;
    entry.alive = alive;
    for (const auto& line : lines) {
      auto& resource = *entry.resources.emplace_back(std::make_unique<wire::NodeResourceT>());
      resource.name = line.name;
      resource.total = AmountOf(line.name, line.total_units);
      resource.available = AmountOf(line.name, std::max<int64_t>(line.free_units, 0));
    }
  };
  add(post_.node(), post_.OwnAddress(), /*alive=*/true, scheduler_.ledger().lines());
  for (const auto& [id, node] : post_.view().nodes())
    add(id, node.address, node.state != NodeState::kDead, node.load.lines);
  session.Send(wire::RayletMessage::ListNodesReply, frame.header.request_id, reply);
  return {};
}

std::string NodeStatus::Json() const {
  const ActorDirectory& directory = actors_.directory();
  const json status = {{"node", post_.node().hex()},
                       {"build", kBuild},
                       {"pid", ::getpid()},
                       {"serves", options_.socket},
                       {"address", post_.OwnAddress()},
                       {"peers", Peers(post_.links(), post_.view())},
                       {"control", Control(control_, clock_.Now())},
                       {"nodes", Nodes(control_)},
                       {"transfers", Transfers(objects_)},
                       {"store_socket", options_.store_socket},
                       {"logs_folder", options_.logs_folder},
                       {"resources", Resources(scheduler_.ledger())},
                       {"workers", Workers(scheduler_, options_.gpus, leases_, house_)},
                       {"workers_max", scheduler_.limits().workers_max},
                       {"queues", Queues(scheduler_)},
                       {"tasks", scheduler_.tasks()},
                       {"tasks_max", scheduler_.limits().tasks_per_job_max},
                       // Tasks of theirs came back, because their program has so many.
                       {"processes_without_room", scheduler_.processes_without_room()},
                       {"tasks_waiting_for_objects", scheduler_.dependencies().tasks()},
                       {"objects_waited_for", scheduler_.dependencies().objects()},
                       {"objects_watched", store_.watched()},
                       // Objects of ended processes that others still refer to.
                       {"objects_claimed", claims_.book().claimed()},
                       {"claims", Claims(claims_.book())},
                       {"ends_unsettled", claims_.open_ends()},
                       {"processes_met", end_notices_.met().pairs()},
                       {"actors", Actors(directory, house_.pool(), post_, channels_.book())},
                       {"actors_living", directory.living().size()},
                       {"actors_of_others", ActorsOfOthers(actors_.hosted(), house_.pool(), post_)},
                       {"channels_to_other_machines", channels_.to_other_machines()},
                       {"actors_dead", directory.dead()},
                       {"placement_groups", Groups(groups_, post_)},
                       {"bundles_of_others", BundlesOfOthers(scheduler_, post_)},
                       {"jobs", JobList(jobs_, post_)},
                       {"connections", door_.connections()},
                       // Calls over channels are in shared memory, and do not count here.
                       {"socket", {{"bytes_received", door_.bytes_received()}, {"bytes_sent", door_.bytes_sent()}}}};
  // Names come from users: bytes that are no UTF-8 must not stop the answer.
  return status.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace raylet
