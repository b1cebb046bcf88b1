#include "raylet/objects/settlements.h"

#include <algorithm>

namespace raylet {

Settlements::OpenEnd* Settlements::Find(ProcessId key) {
  const auto found = by_key_.find(key);
  return found == by_key_.end() ? nullptr : &open_.at(found->second);
}

void Settlements::Open(ProcessId key, End end, TimePoint now) {
  if (const auto before = by_key_.find(key); before != by_key_.end()) open_.erase(before->second);
  const uint64_t number = next_++;
  by_key_[key] = number;
  OpenEnd& each = open_[number];
  each.key = key;
  each.end = std::move(end);
  each.deadline = now + kSettlePatience;
}

void Settlements::Answered(ProcessId key, ProcessId by) {
  if (OpenEnd* const each = Find(key)) each->end.asked.erase(by);
}

void Settlements::MachineAnswered(ProcessId key, const NodeId& node) {
  if (OpenEnd* const each = Find(key)) each->end.machines.erase(node);
}

// The younger ends wait for the answers of the older ones, and so for what comes in the place of an answer.
void Settlements::ProcessesEnded(const ProcessSet& processes, ProcessId key) {
  bool asked_by_older = false;
  for (auto& [number, each] : open_) {
    const bool was_asked =
        std::erase_if(each.end.asked, [&](ProcessId asked) { return processes.contains(asked); }) > 0;
    asked_by_older = asked_by_older || was_asked;
    if (asked_by_older) each.ends.insert(key);
  }
}

void Settlements::MachineGone(const NodeId& node) {
  for (auto& [number, each] : open_) {
    each.end.machines.erase(node);
    if (each.end.settled_by == node) each.over = true;  // the end of their machine covers theirs
  }
}

void Settlements::Force(ProcessId key) {
  if (OpenEnd* const each = Find(key)) each->forced = true;
}

std::vector<std::pair<ProcessId, Settlements::End>> Settlements::TakeSettled(TimePoint now) {
  std::vector<std::pair<ProcessId, End>> settled;
  for (bool again = true; std::exchange(again, false);) {
    bool older_ask = false;
    for (auto at = open_.begin(); at != open_.end();) {
      OpenEnd& each = at->second;
      std::erase_if(each.ends, [this](ProcessId key) {
        const OpenEnd* const end = Find(key);
        return end == nullptr || end->over;
      });
      const bool waits = each.Waits() || (older_ask && !each.over) || now < each.end.not_before;
      const bool taken = !each.over && (each.forced || !waits || now >= each.deadline);
      if (taken) {
        settled.emplace_back(each.key, each.end);
        each.over = true;
        again = true;  // others may have waited for this one
      }
      if (each.over && (each.end.asked.empty() || now >= each.deadline)) {
        by_key_.erase(each.key);
        at = open_.erase(at);
        again = true;
        continue;
      }
      older_ask = older_ask || !each.end.asked.empty();
      ++at;
    }
  }
  return settled;
}

size_t Settlements::open() const {
  return static_cast<size_t>(
      std::count_if(open_.begin(), open_.end(), [](const auto& each) { return !each.second.over; }));
}

std::optional<TimePoint> Settlements::NextTime() const {
  std::optional<TimePoint> next;
  bool older_ask = false;
  for (const auto& [number, each] : open_) {
    const TimePoint at = each.over || each.Waits() || older_ask ? each.deadline : each.end.not_before;
    if (!next || at < *next) next = at;
    older_ask = older_ask || !each.end.asked.empty();
  }
  return next;
}

}  // namespace raylet
