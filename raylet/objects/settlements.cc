#include "raylet/objects/settlements.h"

#include <algorithm>

namespace raylet {

void Settlements::Open(ProcessId key, End end, TimePoint now) {
  open_.insert_or_assign(key, OpenEnd{std::move(end), now + kSettlePatience, {}});
}

void Settlements::Answered(ProcessId key, ProcessId by) {
  if (const auto found = open_.find(key); found != open_.end()) found->second.end.asked.erase(by);
}

void Settlements::MachineAnswered(ProcessId key, const NodeId& node) {
  if (const auto found = open_.find(key); found != open_.end()) found->second.end.machines.erase(node);
}

void Settlements::ProcessesEnded(const ProcessSet& processes, ProcessId key) {
  for (auto& [older, each] : open_)
    if (std::erase_if(each.end.asked, [&](ProcessId asked) { return processes.contains(asked); }) > 0)
      each.ends.insert(key);
}

void Settlements::MachineGone(const NodeId& node) {
  for (auto& [key, each] : open_) each.end.machines.erase(node);
  // The end of their machine covers theirs.
  std::erase_if(open_, [&](const auto& each) { return each.second.end.settled_by == node; });
}

void Settlements::Force(ProcessId key) {
  if (const auto found = open_.find(key); found != open_.end()) found->second.deadline = TimePoint::min();
}

std::vector<std::pair<ProcessId, Settlements::End>> Settlements::TakeSettled(TimePoint now) {
  std::vector<std::pair<ProcessId, End>> settled;
  for (bool again = true; std::exchange(again, false);) {
    for (auto at = open_.begin(); at != open_.end();) {
      OpenEnd& each = at->second;
      std::erase_if(each.ends, [this](ProcessId key) { return !open_.contains(key); });
      if (now < each.deadline && (Waits(each) || now < each.end.not_before)) {
        ++at;
        continue;
      }
      settled.emplace_back(at->first, std::move(each.end));
      at = open_.erase(at);
      again = true;  // other ends may have waited for this one
    }
  }
  return settled;
}

std::optional<TimePoint> Settlements::NextTime() const {
  std::optional<TimePoint> next;
  for (const auto& [key, each] : open_) {
    const TimePoint at = Waits(each) ? each.deadline : each.end.not_before;
    if (!next || at < *next) next = at;
  }
  return next;
}

}  // namespace raylet
