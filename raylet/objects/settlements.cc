#include "raylet/objects/settlements.h"

#include <algorithm>

namespace raylet {

Settlements::OpenEnd* Settlements::Find(ProcessId key) {
  const auto found = open_.find(key);
  return found == open_.end() ? nullptr : &found->second;
}

// The machine has claimed the end just now; none: this machine.
void Settlements::WaitForEndsOf(const std::optional<NodeId>& machine, ProcessId key, OpenEnd& each) {
  for (const auto& [other, end] : open_) {
    if (end.end.settled_by != machine || other == key) continue;
    if (end.claimed)
      each.waits_for.insert(end.waits_for.begin(), end.waits_for.end());
    else
      each.waits_for.insert(other);
  }
  each.waits_for.erase(key);
}

void Settlements::Open(ProcessId key, End end, TimePoint now) {
  OpenEnd& each = open_[key];
  each = {};
  each.end = std::move(end);
  // Processes of a lost machine may stand between these and a living one, too.
  if (!each.end.settled_by && !StandsForMachine(key)) each.end.machines.insert(lost_.begin(), lost_.end());
  each.deadline = now + kSettlePatience;
}

void Settlements::Answered(ProcessId key, ProcessId by) {
  if (OpenEnd* const each = Find(key)) each->end.asked.erase(by);
}

void Settlements::MachineClaimed(ProcessId key, const NodeId& node) {
  OpenEnd* const each = Find(key);
  if (each != nullptr && each->end.machines.erase(node) > 0) WaitForEndsOf(node, key, *each);
}

void Settlements::ClaimedElsewhere(ProcessId key, const Keys& waits_for) { Claimed(key, waits_for); }

void Settlements::SettledElsewhere(ProcessId key) {
  if (const auto found = open_.find(key); found != open_.end()) {
    for (const ProcessId process : found->second.end.processes) over_.Add(process);
    open_.erase(found);
  }
  over_.Add(key);
  Claimed(key, {});
}

// It is claimed, and so whoever waits for it waits for what it waits for. That names no end that is claimed: such an
// end stands for what it waits for itself. The end of a lost machine stands for those of its processes.
void Settlements::Claimed(ProcessId key, const Keys& waits_for) {
  Keys unclaimed;
  for (const ProcessId next : waits_for) {
    const ProcessId machine = AllProcessesOf(MachineOf(next));
    const ProcessId wanted = open_.contains(machine) || over_.Contains(machine) ? machine : next;
    const OpenEnd* const end = Find(wanted);
    if (end != nullptr && end->claimed)
      unclaimed.insert(end->waits_for.begin(), end->waits_for.end());
    else if (end != nullptr || !over_.Contains(wanted))
      unclaimed.insert(wanted);
  }
  unclaimed.erase(key);
  if (OpenEnd* const each = Find(key)) {
    each->claimed = true;
    each->waits_for = unclaimed;
  }
  for (auto& [other, each] : open_) {
    if (each.waits_for.erase(key) == 0) continue;
    each.waits_for.insert(unclaimed.begin(), unclaimed.end());
    each.waits_for.erase(other);
  }
}

void Settlements::ProcessesEnded(const ProcessSet& processes) {
  for (auto& [key, each] : open_) std::erase_if(each.end.asked, [&](ProcessId by) { return processes.contains(by); });
}

// Its end covers those of its processes, and stands for what the machine has not claimed.
void Settlements::LossTold(const NodeId& node, ProcessId key) {
  lost_.erase(node);
  std::erase_if(open_, [&](const auto& each) { return each.second.end.settled_by == node; });
  for (auto& [other, each] : open_) {
    const bool had_claimed = each.end.machines.erase(node) == 0;
    const size_t ends =
        std::erase_if(each.waits_for, [&](ProcessId process) { return MachineOf(process) == MachineOf(key); });
    if (!each.end.settled_by && (!had_claimed || ends > 0)) each.waits_for.insert(key);
  }
}

void Settlements::Force(ProcessId key) {
  if (OpenEnd* const each = Find(key)) each->forced = true;
}

void Settlements::Advance(ProcessId key, OpenEnd& each, TimePoint now) {
  each.forced = each.forced || now >= each.deadline;
  if (!each.claimed_here && (each.forced || each.end.asked.empty())) {
    each.claimed_here = true;
    if (!each.end.settled_by) WaitForEndsOf({}, key, each);
  }
  if (each.end.settled_by || each.claimed) return;
  if (!each.forced && (!each.claimed_here || !each.end.machines.empty() || now < each.end.not_before)) return;
  Claimed(key, Keys(each.waits_for));
}

std::vector<Settlements::Step> Settlements::TakeSteps(TimePoint now) {
  for (auto& [key, each] : open_) Advance(key, each, now);
  std::vector<Step> steps;
  for (auto& [key, each] : open_) {
    if (each.end.settled_by) {
      if (each.claimed_here && !each.told) steps.push_back({Step::kClaimedHere, key, each.end, {}});
      each.told = each.claimed_here;
    } else if (each.forced || (each.claimed && each.waits_for.empty())) {
      steps.push_back({Step::kSettled, key, each.end, {}});
    } else if (each.claimed && !each.told && !StandsForMachine(key) &&
               std::none_of(each.waits_for.begin(), each.waits_for.end(), StandsForMachine)) {
      // Each machine settles the loss of another one for itself, so no other machine can wait for that end.
      steps.push_back({Step::kClaimed, key, each.end, each.waits_for});
      each.told = true;
    }
  }
  for (const Step& step : steps)
    if (step.kind == Step::kSettled) SettledElsewhere(step.key);
  // Its machine has settled it as well, though this one has not heard so.
  Keys forgotten;
  for (const auto& [key, each] : open_)
    if (each.forced) forgotten.insert(key);
  for (const ProcessId key : forgotten) SettledElsewhere(key);
  return steps;
}

std::optional<TimePoint> Settlements::NextTime() const {
  std::optional<TimePoint> next;
  for (const auto& [key, each] : open_) {
    const bool waits =
        each.end.settled_by || !each.end.asked.empty() || !each.end.machines.empty() || !each.waits_for.empty();
    const TimePoint at = waits ? each.deadline : each.end.not_before;
    if (!next || at < *next) next = at;
  }
  return next;
}

}  // namespace raylet
