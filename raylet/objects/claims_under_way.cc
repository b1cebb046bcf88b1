#include "raylet/objects/claims_under_way.h"

#include <utility>

namespace raylet {

uint64_t ClaimsUnderWay::Sent(const NodeId& node, ProcessId by) {
  sent_.emplace(++last_sent_, Claim{node, by});
  return last_sent_;
}

std::optional<ProcessId> ClaimsUnderWay::TakenBy(const NodeId& node, uint64_t number) {
  const auto found = sent_.find(number);
  if (found == sent_.end() || found->second.node != node) return std::nullopt;
  const ProcessId by = found->second.by;
  sent_.erase(found);
  return by;
}

uint64_t ClaimsUnderWay::ToldToHold(ProcessId owner) {
  told_.emplace(++last_told_, owner);
  return last_told_;
}

bool ClaimsUnderWay::Holds(ProcessId owner, uint64_t number) {
  const auto found = told_.find(number);
  if (found == told_.end() || found->second != owner) return false;
  told_.erase(found);
  return true;
}

std::vector<ClaimsUnderWay::Answer> ClaimsUnderWay::TakeAnswers() {
  std::vector<Answer> count;
  std::erase_if(answers_, [&](const WaitingAnswer& each) {
    if (!AllSent(each.after_sent) || !AllHeld(each.after_told)) return false;
    count.push_back(each.answer);
    return true;
  });
  return count;
}

std::vector<ClaimsUnderWay::Taken> ClaimsUnderWay::TakeTaken(size_t most, bool& more) {
  std::vector<Taken> answered;
  size_t claimed = 0;
  more = false;
  for (WaitingTaken& each : std::exchange(taken_, {})) {
    const bool held = AllHeld(each.after_told);
    if (held && claimed < most) {
      claimed += each.taken.claimed.size();
      answered.push_back(std::move(each.taken));
    } else {
      more = more || held;
      taken_.push_back(std::move(each));
    }
  }
  return answered;
}

void ClaimsUnderWay::OwnersEnded(const ProcessSet& processes) {
  std::erase_if(told_, [&](const auto& each) { return processes.contains(each.second); });
}

void ClaimsUnderWay::MachineLost(const NodeId& node) {
  std::erase_if(sent_, [&](const auto& each) { return each.second.node == node; });
  std::erase_if(answers_, [&](const WaitingAnswer& each) { return each.answer.node == node; });
  std::erase_if(taken_, [&](const WaitingTaken& each) { return each.taken.node == node; });
}

}  // namespace raylet
