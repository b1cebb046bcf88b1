#include "raylet/groups/group_directory.h"

#include <algorithm>
#include <utility>

#include "base/strings.h"

namespace raylet {
namespace {

constexpr size_t kTriedPerPassMax = 64;

std::string ListOf(const std::vector<ResourceSet>& bundles) {
  std::string text;
  for (size_t i = 0; i < bundles.size() && i < 4; ++i) text += StrCat(i == 0 ? "" : "; ", bundles[i].ToString());
  return bundles.size() > 4 ? StrCat(text, "; and ", bundles.size() - 4, " more") : text;
}

}  // namespace

void GroupDirectory::SetState(PlacementGroup& group, GroupState state, std::string reason) {
  group.state = state;
  group.reason = std::move(reason);
  decisions_.emplace_back(GroupMoved{group.id});
}

Result<void> GroupDirectory::Create(PlacementGroup group, bool unnamed_yet) {
  if (groups_.contains(group.id) || removed_.contains(group.id))
    return Fail(ErrorCode::kAlreadyExists, StrCat("placement group ", group.id.hex(), " has been created already"));
  if (of_job_[group.job] >= kGroupsPerJobMax)
    return Fail(ErrorCode::kFull,
                StrCat("this program has ", kGroupsPerJobMax, " placement groups, which is the limit: remove some"));
  if (!group.name.empty() && !names_.try_emplace({group.group_namespace, group.name}, group.id).second)
    return Fail(ErrorCode::kAlreadyExists, StrCat("a placement group named ", group.name, " exists already"));
  ++of_job_[group.job];
  group.places.assign(group.bundles.size(), NodeId());
  const PlacementGroupId id = group.id;
  sequences_[id] = next_sequence_++;
  Entry& entry = groups_[id];
  entry.group = std::move(group);
  entry.unnamed_yet = unnamed_yet;
  if (!unnamed_yet) Wait(entry);
  return {};
}

void GroupDirectory::NameTaken(const PlacementGroupId& id, const Result<void>& taken) {
  const auto found = groups_.find(id);
  if (found == groups_.end()) return;
  if (!taken) return Remove(id, taken.error().message);
  if (std::exchange(found->second.unnamed_yet, false)) Wait(found->second);
}

void GroupDirectory::Refuse(PlacementGroup group, const std::string& why) {
  if (groups_.contains(group.id) || removed_.contains(group.id)) return;
  group.places.assign(group.bundles.size(), NodeId());
  group.refused = true;
  SetState(group, GroupState::Removed, why);
  Forget(std::move(group));
}

void GroupDirectory::Wait(Entry& entry) { waiting_[sequences_.at(entry.group.id)] = entry.group.id; }

void GroupDirectory::StopWaiting(const PlacementGroupId& id) {
  waiting_.erase(sequences_.at(id));
  infeasible_.erase(id);
}

void GroupDirectory::Forget(PlacementGroup group) {
  const PlacementGroupId id = group.id;
  removed_.emplace(id, std::move(group));
  removed_order_.push_back(id);
  if (removed_order_.size() <= kRemovedGroupsKeptMax) return;
  removed_.erase(removed_order_.front());
  removed_order_.pop_front();
}

void GroupDirectory::Remove(const PlacementGroupId& id, const std::string& why) {
  const auto found = groups_.find(id);
  if (found == groups_.end()) return;
  Entry& entry = found->second;
  StopWaiting(id);
  std::map<NodeId, std::vector<uint32_t>> at;
  for (uint32_t i = 0; i < entry.group.places.size(); ++i)
    if (!entry.group.places[i].IsNil()) at[entry.group.places[i]].push_back(i);
  if (entry.attempt) {
    for (const auto& [node, bundles] : entry.attempt->bundles)
      at[node].insert(at[node].end(), bundles.begin(), bundles.end());
    --attempts_;
  }
  for (const auto& [node, bundles] : at) {
    view_.Unreserve(node, SumOf(entry.group, bundles));
    decisions_.emplace_back(ReturnAt{node, id, 0});
  }
  PlacementGroup group = std::move(entry.group);
  std::fill(group.places.begin(), group.places.end(), NodeId());
  if (!group.name.empty()) names_.erase({group.group_namespace, group.name});
  if (--of_job_[group.job] == 0) of_job_.erase(group.job);
  sequences_.erase(id);
  groups_.erase(found);
  SetState(group, GroupState::Removed, why);
  Forget(std::move(group));
}

ResourceSet GroupDirectory::SumOf(const PlacementGroup& group, const std::vector<uint32_t>& bundles) const {
  ResourceSet sum;
  for (const uint32_t bundle : bundles)
    for (const auto& amount : group.bundles[bundle].amounts()) sum.Accumulate(amount.name, amount.units);
  return sum;
}

// ---- placing

std::vector<BundleSpace> GroupDirectory::Spaces(const PlacementGroup& group, const Here& here, Count count) const {
  std::vector<BundleSpace> spaces;
  const bool totals = count == Count::kTotal;
  const bool leased = count == Count::kFreeOrLeased;
  const auto placed = [&](const NodeId& node) {
    return static_cast<size_t>(std::count(group.places.begin(), group.places.end(), node));
  };
  BundleSpace own{view_.own(), {}, totals ? 0 : placed(view_.own())};
  for (const auto& line : here.ledger.lines())
    own.free[line.name] =
        totals ? line.total_units : line.free_units + (leased ? here.leased.units(line.name) : int64_t{0});
  spaces.push_back(std::move(own));
  for (const auto& [id, node] : view_.nodes()) {
    if (node.state == NodeState::kDead || node.load.lines.empty() || (!totals && node.state != NodeState::kUp))
      continue;
    BundleSpace space{id, {}, totals ? 0 : placed(id)};
    if (totals)
      for (const auto& line : node.load.lines) space.free[line.name] = line.total_units;
    else
      space.free = view_.FreeOf(node);
    if (leased)
      for (const auto& line : node.load.lines) space.free[line.name] += line.leased_units;
    spaces.push_back(std::move(space));
  }
  return spaces;
}

bool GroupDirectory::AnyLeased(const Here& here) const {
  return !here.leased.empty() || std::any_of(view_.nodes().begin(), view_.nodes().end(), [](const auto& each) {
    const auto& lines = each.second.load.lines;
    return std::any_of(lines.begin(), lines.end(), [](const NodeLoad::Line& line) { return line.leased_units > 0; });
  });
}

void GroupDirectory::TryToPlace(const ResourceLedger& ledger, TimePoint now, const ResourceSet& leased_here) {
  const Here here{ledger, leased_here};
  now_ = now;
  any_paused_ = false;
  if (waiting_.empty()) return;
  // In order of creation, but not the same ones each time where there are many.
  std::vector<uint64_t> turns;
  const auto first = waiting_.size() > kTriedPerPassMax ? waiting_.upper_bound(turn_) : waiting_.begin();
  for (auto each = first; each != waiting_.end() && turns.size() < kTriedPerPassMax; ++each)
    turns.push_back(each->first);
  for (auto each = waiting_.begin(); each != first && turns.size() < kTriedPerPassMax; ++each)
    turns.push_back(each->first);
  for (const uint64_t turn : turns) {
    turn_ = turn;
    Entry& entry = groups_.at(waiting_.at(turn));
    if (entry.paused_until > now) {
      any_paused_ = true;
      continue;
    }
    // What was asked of this machine is taken only when that decision has been carried out.
    if (Place(entry, here, now)) return;
  }
}

bool GroupDirectory::Place(Entry& entry, const Here& here, TimePoint now) {
  PlacementGroup& group = entry.group;
  std::vector<Bundle> missing;
  for (uint32_t i = 0; i < group.bundles.size(); ++i)
    if (group.places[i].IsNil()) missing.push_back({i, group.bundles[i]});
  auto spaces = Spaces(group, here, Count::kFree);
  auto plan = PlanBundles(group.strategy, missing, spaces);
  if (!plan && AnyLeased(here)) {
    spaces = Spaces(group, here, Count::kFreeOrLeased);
    plan = PlanBundles(group.strategy, missing, spaces);
  }
  if (!plan) {
    if (std::exchange(entry.totals_seen, cluster_changes_) != cluster_changes_) {
      std::vector<Bundle> all;
      for (uint32_t i = 0; i < group.bundles.size(); ++i) all.push_back({i, group.bundles[i]});
      entry.feasible = PlanBundles(group.strategy, all, Spaces(group, here, Count::kTotal)).has_value();
    }
    if (entry.feasible) {
      infeasible_.erase(group.id);
      group.reason = StrCat("it waits until its bundles fit: ", ListOf(group.bundles));
    } else {
      infeasible_.insert(group.id);
      group.reason = StrCat("no machines have what its bundles ask for: ", ListOf(group.bundles));
    }
    return false;
  }
  StopWaiting(group.id);
  GroupAttempt& attempt = entry.attempt.emplace();
  attempt.number = next_attempt_++;
  attempt.end = now + kPrepareMax;
  ++attempts_;
  std::map<NodeId, std::vector<Bundle>> at;
  for (size_t i = 0; i < missing.size(); ++i) at[spaces[(*plan)[i]].node].push_back(missing[i]);
  for (auto& [node, bundles] : at) {
    for (const Bundle& bundle : bundles) attempt.bundles[node].push_back(bundle.index);
    attempt.unanswered.insert(node);
    view_.Reserve(node, SumOf(group, attempt.bundles[node]));
    decisions_.emplace_back(PrepareAt{node, group.id, attempt.number, std::move(bundles)});
  }
  return true;
}

void GroupDirectory::Prepared(const NodeId& node, const PlacementGroupId& id, uint64_t number, bool prepared) {
  const auto found = groups_.find(id);
  if (found == groups_.end() || !found->second.attempt) return;  // it has been told to give the bundles back
  Entry& entry = found->second;
  GroupAttempt& attempt = *entry.attempt;
  if (attempt.number != number || attempt.committing || attempt.unanswered.erase(node) == 0) return;
  if (!prepared) return GiveUp(entry, "a machine that was to reserve some of it had less free than it had said");
  if (!attempt.unanswered.empty()) return;
  attempt.committing = true;
  for (const auto& [each, bundles] : attempt.bundles) {
    attempt.unanswered.insert(each);
    decisions_.emplace_back(CommitAt{each, id, number});
  }
  if (entry.group.state == GroupState::Pending)
    SetState(entry.group, GroupState::Prepared, "its bundles are reserved, and about to be ready");
}

void GroupDirectory::GiveUp(Entry& entry, const std::string& why) {
  PlacementGroup& group = entry.group;
  for (const auto& [node, bundles] : entry.attempt->bundles) {
    view_.Unreserve(node, SumOf(group, bundles));
    decisions_.emplace_back(ReturnAt{node, group.id, entry.attempt->number});
  }
  entry.attempt.reset();
  --attempts_;
  entry.paused_until = now_ + kTryAgain;
  any_paused_ = true;
  group.reason = why;
  Wait(entry);
}

void GroupDirectory::Committed(const NodeId& node, const PlacementGroupId& id, uint64_t number) {
  const auto found = groups_.find(id);
  if (found == groups_.end() || !found->second.attempt) return;
  Entry& entry = found->second;
  GroupAttempt& attempt = *entry.attempt;
  if (attempt.number != number || !attempt.committing || attempt.unanswered.erase(node) == 0) return;
  for (const uint32_t bundle : attempt.bundles.at(node)) entry.group.places[bundle] = node;
  if (attempt.unanswered.empty()) Settle(entry);
}

// All machines of the attempt have committed, but for those that are lost.
void GroupDirectory::Settle(Entry& entry) {
  entry.attempt.reset();
  --attempts_;
  PlacementGroup& group = entry.group;
  if (std::none_of(group.places.begin(), group.places.end(), [](const NodeId& node) { return node.IsNil(); }))
    return SetState(group, GroupState::Created, "");
  SetState(group, GroupState::Rescheduling, "a machine with some of its bundles is lost");
  Wait(entry);
}

void GroupDirectory::MachineLost(const NodeId& node) {
  for (auto& [id, entry] : groups_) {
    PlacementGroup& group = entry.group;
    bool lost = false;
    for (NodeId& place : group.places) {
      if (place != node) continue;
      place = NodeId();
      lost = true;
    }
    if (lost) SetState(group, GroupState::Rescheduling, "a machine with some of its bundles is lost");
    if (entry.attempt && entry.attempt->bundles.contains(node)) {
      if (!entry.attempt->committing) {
        entry.attempt->bundles.erase(node);  // it is to give nothing back
        GiveUp(entry, "a machine that was to reserve some of it is lost");
      } else {
        entry.attempt->bundles.erase(node);
        entry.attempt->unanswered.erase(node);
        if (entry.attempt->unanswered.empty()) Settle(entry);
      }
    } else if (lost && !entry.attempt) {
      Wait(entry);
    }
  }
}

void GroupDirectory::Tick(TimePoint now) {
  now_ = now;
  for (auto& [id, entry] : groups_) {
    if (entry.attempt && !entry.attempt->committing && entry.attempt->end <= now)
      GiveUp(entry, StrCat("a machine that was to reserve some of it has not answered for ",
                           kPrepareMax / std::chrono::seconds(1), " s"));
  }
}

// ---- queries

const PlacementGroup* GroupDirectory::Find(const PlacementGroupId& id) const {
  if (const auto found = groups_.find(id); found != groups_.end()) return &found->second.group;
  const auto removed = removed_.find(id);
  return removed == removed_.end() ? nullptr : &removed->second;
}

const PlacementGroup* GroupDirectory::FindName(const std::string& group_namespace, const std::string& name,
                                               bool to_create) const {
  const auto found = names_.find({group_namespace, name});
  if (found == names_.end()) return nullptr;
  const Entry& entry = groups_.at(found->second);
  return entry.unnamed_yet && !to_create ? nullptr : &entry.group;
}

const PlacementGroup* GroupDirectory::YieldingTo(const PlacementGroupId& rival, const std::string& group_namespace,
                                                 const std::string& name) const {
  const auto found = names_.find({group_namespace, name});
  return found != names_.end() && groups_.at(found->second).unnamed_yet && rival < found->second
             ? &groups_.at(found->second).group
             : nullptr;
}

std::vector<const PlacementGroup*> GroupDirectory::All() const {
  std::vector<const PlacementGroup*> all;
  for (const auto& [id, entry] : groups_)
    if (!entry.unnamed_yet) all.push_back(&entry.group);
  for (const auto& [id, group] : removed_)
    if (!group.refused) all.push_back(&group);
  return all;
}

std::vector<PlacementGroupId> GroupDirectory::OfJob(JobId job) const {
  std::vector<PlacementGroupId> ids;
  for (const auto& [id, entry] : groups_)
    if (entry.group.job == job) ids.push_back(id);
  return ids;
}

}  // namespace raylet
