#include "raylet/node/group_desk.h"

#include <algorithm>
#include <utility>

#include "base/counted.h"
#include "base/log.h"
#include "base/overloaded.h"
#include "base/strings.h"
#include "raylet/node/group_messages.h"

namespace raylet {
namespace {

constexpr std::chrono::milliseconds kTick{200};

Bytes BundlesNotice(const PlacementGroupId& group, uint64_t attempt) {
  wire::BundlesNoticeT notice;
  notice.group = std::make_unique<wire::Id20>(ToWire(group));
  notice.attempt = attempt;
  return Encode(notice);
}

Bytes GroupRequest(const PlacementGroupId& group) {
  wire::PlacementGroupRequestT request;
  request.group = std::make_unique<wire::Id20>(ToWire(group));
  return Encode(request);
}

bool HasEnded(const PlacementGroup& group) {
  return group.state == GroupState::Removed || group.state == GroupState::Unrecognized;
}

}  // namespace

GroupDesk::GroupDesk(Scheduler& scheduler, const Services& services)
    : scheduler_(scheduler),
      loop_(services.loop),
      clock_(services.clock),
      post_(services.post),
      house_(services.house),
      jobs_(services.jobs),
      decisions_(services.decisions),
      directory_(services.post.view()),
      finder_(*this, services) {}

// ---- messages of processes

Result<void> GroupDesk::OnCreate(ProcessSession& session, const Frame& frame) {
  const auto message = Parse<wire::PlacementGroupT>(frame.body);
  if (!message) return Fail(message.error());
  auto wanted = ParseWantedGroup(*message);
  if (!wanted) return Fail(wanted.error());
  const auto& identity = *session.identity;
  PlacementGroup& group = wanted->group;
  if (CreatorOf(group.id) != identity.process)
    return Fail(ErrorCode::kProtocolError,
                StrCat("the id of placement group ", group.id.hex(), " names process ", CreatorOf(group.id),
                       " as its creator, and process ", identity.process, " creates it"));
  group.job = identity.job;
  group.group_namespace = jobs_.Get(identity.job).actor_namespace;
  const uint64_t request_id = frame.header.request_id;
  const auto reply = [this, process = identity.process, request_id](const Result<void>& outcome) {
    if (request_id != 0) finder_.ReplyStatus({process, request_id}, outcome);
  };
  const bool asks = post_.joined() && !group.name.empty();
  const Result<void> created = wanted->sound ? directory_.Create(group, /*unnamed_yet=*/asks) : wanted->sound;
  if (!created) {
    directory_.Refuse(std::move(group), created.error().message);
    reply(created);
    return {};
  }
  changed_ = true;
  if (!asks) {
    reply({});
    return {};
  }
  finder_.AskForName(group, [this, id = group.id, reply](const Result<void>& taken) {
    directory_.NameTaken(id, taken);
    changed_ = true;
    reply(taken);
  });
  return {};
}

Result<void> GroupDesk::OnRemove(ProcessSession&, const Frame& frame) {
  const auto request = Parse<wire::PlacementGroupRequestT>(frame.body);
  if (!request) return Fail(request.error());
  const auto group = CheckGroupId(request->group.get());
  if (!group) return Fail(group.error());
  if (IsHome(*group)) {
    directory_.Remove(*group, "it was removed");
    return {};
  }
  if (!WillKnow(*group)) return {};  // it is no more
  if (const ClusterView::Node* const home = post_.view().NodeOf(CreatorOf(*group)))
    post_.Tell(home->id, wire::GroupMessage::RemoveGroup, frame.body);
  // For this process it is removed from now on.
  TellEnd(known_.at(*group), GroupState::Removed, "it was removed");
  return {};
}

// ---- tasks

Result<void> GroupDesk::Admit(const Task& task) {
  const PlacementGroupId& id = task.placement_group;
  if (id.IsNil()) return {};
  const PlacementGroup* group = Know(id);
  if (group == nullptr) {
    if (WillKnow(id)) return {};
    group = Know(id);
  }
  if (group == nullptr || group->state == GroupState::Unrecognized)
    return Fail(ErrorCode::kNotFound, StrCat("there is no placement group ", id.hex()));
  if (group->state == GroupState::Removed)
    return Fail(ErrorCode::kNotFound, StrCat("placement group ", id.hex(), " is no more: ", group->reason));
  if (task.bundle >= 0 && static_cast<size_t>(task.bundle) >= group->bundles.size())
    return Fail(ErrorCode::kInvalid,
                StrCat("placement group ", id.hex(), " has ", Counted(group->bundles.size(), "bundle"),
                       ", and no bundle ", task.bundle, ": they are numbered from 0"));
  return {};
}

std::string GroupDesk::WhyEnded(const Task& task) const {
  const PlacementGroup* const group = task.placement_group.IsNil() ? nullptr : Know(task.placement_group);
  return group == nullptr || !HasEnded(*group)
             ? std::string()
             : StrCat("its placement group ", group->id.hex(), " is no more: ", group->reason);
}

const PlacementGroup* GroupDesk::Know(const PlacementGroupId& group) const {
  if (IsHome(group)) return directory_.Find(group);
  const auto found = known_.find(group);
  return found == known_.end() || !found->second.told ? nullptr : &found->second.group;
}

bool GroupDesk::WillKnow(const PlacementGroupId& group) {
  if (IsHome(group)) return false;
  if (const auto found = known_.find(group); found != known_.end()) return !HasEnded(found->second.group);
  const ClusterView::Node* const home = post_.view().NodeOf(CreatorOf(group));
  if (home == nullptr || home->state == NodeState::kDead) return false;
  known_[group].group.id = group;
  post_.Tell(home->id, wire::GroupMessage::WatchGroup, GroupRequest(group));
  return true;
}

// ---- a machine that reserves bundles

// The node is the home of the group. Otherwise it may not speak of it.
Result<PlacementGroupId> GroupDesk::GroupOf(const NodeId& node, const wire::Id20* id) const {
  const auto group = CheckGroupId(id);
  if (!group) return group;
  RAYLET_RETURN_IF_ERROR(post_.CheckSpeaksFor(node, CreatorOf(*group)));
  return group;
}

Result<void> GroupDesk::OnPrepareBundles(const NodeId& node, const Frame& frame) {
  const auto request = Parse<wire::PrepareBundlesRequestT>(frame.body);
  if (!request) return Fail(request.error());
  const auto group = GroupOf(node, request->group.get());
  if (!group) return Fail(group.error());
  const auto bundles = FromWire(request->bundles);
  if (!bundles) return Fail(bundles.error());
  scheduler_.PrepareBundles({node, *group, request->attempt, *bundles}, clock_.Now());
  return {};
}

Result<void> GroupDesk::OnCommitBundles(const NodeId& node, const Frame& frame) {
  const auto notice = Parse<wire::BundlesNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  const auto group = GroupOf(node, notice->group.get());
  if (!group) return Fail(group.error());
  if (scheduler_.CommitBundles(*group, notice->attempt))
    post_.Tell(node, wire::GroupMessage::BundlesCommitted, BundlesNotice(*group, notice->attempt));
  return {};
}

Result<void> GroupDesk::OnReturnBundles(const NodeId& node, const Frame& frame) {
  const auto notice = Parse<wire::BundlesNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  const auto group = GroupOf(node, notice->group.get());
  if (!group) return Fail(group.error());
  if (notice->attempt == 0)
    End(*group);
  else
    scheduler_.CancelBundles(*group, notice->attempt);
  return {};
}

Result<void> GroupDesk::OnGroupChanged(const NodeId& node, const Frame& frame) {
  const auto message = Parse<wire::PlacementGroupT>(frame.body);
  if (!message) return Fail(message.error());
  auto group = FromWire(*message);
  if (!group) return Fail(group.error());
  RAYLET_RETURN_IF_ERROR(post_.CheckSpeaksFor(node, CreatorOf(group->id)));
  const auto found = known_.find(group->id);
  if (found == known_.end() || HasEnded(found->second.group)) return {};
  if (HasEnded(*group)) {
    const GroupState how = std::exchange(group->state, GroupState::Created);  // until it ends, in the next lines
    const std::string why = group->reason;
    found->second.group = *std::move(group);
    TellEnd(found->second, how, why);
    return {};
  }
  found->second.told = true;
  found->second.group = *std::move(group);
  Apply(found->second.group);
  return {};
}

// ---- a home

Result<void> GroupDesk::OnBundlesPrepared(const NodeId& node, const Frame& frame) {
  const auto answer = Parse<wire::BundlesAnswerT>(frame.body);
  if (!answer) return Fail(answer.error());
  const auto group = CheckGroupId(answer->group.get());
  if (!group) return Fail(group.error());
  directory_.Prepared(node, *group, answer->attempt, answer->prepared);
  return {};
}

Result<void> GroupDesk::OnBundlesCommitted(const NodeId& node, const Frame& frame) {
  const auto notice = Parse<wire::BundlesNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  const auto group = CheckGroupId(notice->group.get());
  if (!group) return Fail(group.error());
  directory_.Committed(node, *group, notice->attempt);
  return {};
}

Result<void> GroupDesk::OnWatchGroup(const NodeId& node, const Frame& frame) {
  const auto request = Parse<wire::PlacementGroupRequestT>(frame.body);
  if (!request) return Fail(request.error());
  const auto id = CheckGroupId(request->group.get());
  if (!id) return Fail(id.error());
  if (!IsHome(*id)) return Fail(ErrorCode::kProtocolError, "a machine watches a placement group of another home");
  const PlacementGroup* const group = directory_.Find(*id);
  PlacementGroup unknown;
  unknown.id = *id;
  unknown.state = GroupState::Unrecognized;
  unknown.reason = "its home does not know it";
  if (group != nullptr && !HasEnded(*group)) watchers_[*id].insert(node);
  post_.Tell(node, wire::GroupMessage::GroupChanged, Encode(ToWire(group == nullptr ? unknown : *group)));
  return {};
}

Result<void> GroupDesk::OnRemoveGroup(const NodeId&, const Frame& frame) {
  const auto request = Parse<wire::PlacementGroupRequestT>(frame.body);
  if (!request) return Fail(request.error());
  const auto group = CheckGroupId(request->group.get());
  if (!group) return Fail(group.error());
  if (IsHome(*group)) directory_.Remove(*group, "it was removed");
  return {};
}

// ---- ends

// The group is no more: what runs in it ends, and its bundles here are free once that has gone.
void GroupDesk::End(const PlacementGroupId& group) {
  post_.view().DropGroup(group);
  for (const WorkerId worker : scheduler_.EndGroup(group)) house_.Kill(worker);
}

void GroupDesk::TellEnd(Known& known, GroupState how, const std::string& why) {
  if (HasEnded(known.group)) return;
  const PlacementGroupId id = known.group.id;
  known.told = true;
  known.group.state = how;
  known.group.reason = why;
  std::fill(known.group.places.begin(), known.group.places.end(), NodeId());
  End(id);
  finder_.Changed(known.group);
  ended_.push_back(id);
  if (ended_.size() <= kRemovedGroupsKeptMax) return;
  known_.erase(ended_.front());
  ended_.pop_front();
}

void GroupDesk::JobEnded(JobId job, const ProcessSet& survivors) {
  for (const PlacementGroupId& group : directory_.OfJob(job))
    if (!survivors.contains(CreatorOf(group))) directory_.Remove(group, "its program has ended");
}

// A process that outlived its driver has ended.
void GroupDesk::ProcessesGone(const ProcessSet& processes) {
  finder_.ProcessesGone(processes);
  for (const auto& [id, job] : jobs_.all()) {
    if (!job.ended) continue;
    for (const PlacementGroupId& group : directory_.OfJob(id))
      if (processes.contains(CreatorOf(group))) directory_.Remove(group, "the process that created it has ended");
  }
}

void GroupDesk::MachineLost(const NodeId& node) {
  changed_ = true;
  directory_.ClusterChanged();
  directory_.MachineLost(node);
  for (auto& [group, nodes] : watchers_) nodes.erase(node);
  const MachineNumber machine = post_.MachineNumberOf(node);
  std::vector<PlacementGroupId> lost;
  for (const auto& [id, known] : known_)
    if (MachineOf(CreatorOf(id)) == machine && !HasEnded(known.group)) lost.push_back(id);
  for (const PlacementGroupId& id : lost)
    if (const auto found = known_.find(id); found != known_.end())
      TellEnd(found->second, GroupState::Removed,
              StrCat("the machine of its creator at ", post_.AddressOf(node), " is lost"));
  for (const PlacementGroupId& group : scheduler_.bundles().OfHome(node)) {
    // What was only prepared goes at once.
    const auto& bundles = scheduler_.bundles().groups().at(group);
    scheduler_.CancelBundles(group, bundles.attempt);
    End(group);
  }
  finder_.MachineLost(node);
}

void GroupDesk::ClusterChanged() {
  changed_ = true;
  directory_.ClusterChanged();
}

// ---- decisions

bool GroupDesk::CarryOut() {
  const uint64_t gives = scheduler_.ledger().gives();
  if (directory_.AnyWaits() || scheduler_.BundlesWait()) {
    if (std::exchange(changed_, false) || gives != gives_seen_) {
      gives_seen_ = gives;
      scheduler_.TryBundles(clock_.Now());
      directory_.TryToPlace(scheduler_.ledger(), clock_.Now(), scheduler_.leases().Held());
    }
  }
  const auto decisions = directory_.TakeDecisions();
  const Overloaded carry_out{
      [this](const PrepareAt& prepare) { Prepare(prepare); },
      [this](const CommitAt& commit) { Commit(commit); },
      [this](const ReturnAt& give_back) { Return(give_back); },
      [this](const GroupMoved& moved) { Moved(moved.group); },
  };
  for (const GroupDecision& decision : decisions) std::visit(carry_out, decision);
  if (!decisions.empty()) changed_ = true;  // there may be more to place
  return AnswerHomes() || !decisions.empty();
}

// What this machine has prepared, or refuses to. False: nothing.
bool GroupDesk::AnswerHomes() {
  const auto answers = scheduler_.TakeBundleAnswers();
  for (const WaitingBundles::Answer& each : answers) {
    if (each.home == post_.node()) {
      directory_.Prepared(each.home, each.group, each.attempt, each.prepared);
      continue;
    }
    wire::BundlesAnswerT answer;
    answer.group = std::make_unique<wire::Id20>(ToWire(each.group));
    answer.attempt = each.attempt;
    answer.prepared = each.prepared;
    post_.Tell(each.home, wire::GroupMessage::BundlesPrepared, Encode(answer));
  }
  return !answers.empty();
}

void GroupDesk::CarriedOut() {
  if (ticker_ || !(directory_.WantsTick() || scheduler_.BundlesWait())) return;
  ticker_ = Timer(loop_, kTick, {}, [this] {
    ticker_.Cancel();
    directory_.Tick(clock_.Now());
    changed_ = true;
    decisions_.CarryOut();
  });
}

void GroupDesk::Prepare(const PrepareAt& prepare) {
  if (prepare.node == post_.node())
    return scheduler_.PrepareBundles({prepare.node, prepare.group, prepare.attempt, prepare.bundles}, clock_.Now());
  wire::PrepareBundlesRequestT request;
  request.group = std::make_unique<wire::Id20>(ToWire(prepare.group));
  request.attempt = prepare.attempt;
  request.bundles = ToWire(prepare.bundles);
  post_.Tell(prepare.node, wire::GroupMessage::PrepareBundles, Encode(request));
}

void GroupDesk::Commit(const CommitAt& commit) {
  if (commit.node != post_.node())
    return post_.Tell(commit.node, wire::GroupMessage::CommitBundles, BundlesNotice(commit.group, commit.attempt));
  if (scheduler_.CommitBundles(commit.group, commit.attempt))
    directory_.Committed(commit.node, commit.group, commit.attempt);
}

void GroupDesk::Return(const ReturnAt& give_back) {
  if (give_back.node != post_.node())
    return post_.Tell(give_back.node, wire::GroupMessage::ReturnBundles,
                      BundlesNotice(give_back.group, give_back.attempt));
  if (give_back.attempt == 0)
    End(give_back.group);
  else
    scheduler_.CancelBundles(give_back.group, give_back.attempt);
}

void GroupDesk::Moved(const PlacementGroupId& id) {
  const PlacementGroup* const group = directory_.Find(id);
  if (group == nullptr) return;
  if (const auto watchers = watchers_.find(id); watchers != watchers_.end()) {
    const Bytes body = Encode(ToWire(*group));
    for (const NodeId& node : watchers->second) post_.Tell(node, wire::GroupMessage::GroupChanged, body);
    if (HasEnded(*group)) watchers_.erase(watchers);
  }
  if (HasEnded(*group)) End(id);
  Apply(*group);
}

// Tasks of this machine may go to the machines that have its bundles, and processes hear of its state.
void GroupDesk::Apply(const PlacementGroup& group) {
  std::map<NodeId, ResourceSet> at;
  for (uint32_t i = 0; i < group.places.size(); ++i) {
    if (group.places[i].IsNil() || group.places[i] == post_.node()) continue;
    const ResourceSet adds = ResourcesOf(group.id, {i, group.bundles[i]});
    for (const auto& amount : adds.amounts()) at[group.places[i]].Accumulate(amount.name, amount.units);
  }
  ClusterView& view = post_.view();
  view.DropGroup(group.id);
  for (auto& [node, resources] : at) view.SetGroup(node, group.id, std::move(resources));
  scheduler_.ClusterChanged();
  finder_.Changed(group);
}

// ---- work that is stuck

std::vector<StuckCause> GroupDesk::StuckCauses() const {
  std::vector<StuckCause> causes;
  for (const PlacementGroupId& id : directory_.infeasible()) {
    const PlacementGroup& group = *directory_.Find(id);
    causes.push_back({group.job, id.hex(),
                      StrCat("placement group ", group.name.empty() ? id.hex() : group.name, " waits: ", group.reason,
                             ": start raylets with as much, ask for less, or take another strategy than ",
                             wire::EnumNamePlacementStrategy(group.strategy))});
  }
  return causes;
}

}  // namespace raylet
