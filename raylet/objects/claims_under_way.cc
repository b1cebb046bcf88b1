#include "raylet/objects/claims_under_way.h"

#include <algorithm>
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
  told_by_owner_[owner].insert(last_told_);
  return last_told_;
}

bool ClaimsUnderWay::Holds(ProcessId owner, uint64_t number) {
  const auto found = told_.find(number);
  if (found == told_.end() || found->second != owner) return false;
  told_.erase(found);
  const auto numbers = told_by_owner_.find(owner);
  numbers->second.erase(number);
  if (numbers->second.empty()) told_by_owner_.erase(numbers);
  return true;
}

bool ClaimsUnderWay::AllHeldBy(ProcessId owner, uint64_t up_to) const {
  const auto numbers = told_by_owner_.find(owner);
  return numbers == told_by_owner_.end() || *numbers->second.begin() > up_to;
}

void ClaimsUnderWay::Add(Taken taken) {
  std::vector<ProcessId> owners;
  for (const ObjectId& object : taken.claimed)
    if (owners.empty() || owners.back() != OwnerOf(object)) owners.push_back(OwnerOf(object));
  std::sort(owners.begin(), owners.end());
  owners.erase(std::unique(owners.begin(), owners.end()), owners.end());
  taken_.push_back({std::move(taken), std::move(owners), last_told_});
}

bool ClaimsUnderWay::Add(const Question& question) {
  if (questions_.size() >= kQuestionsMax) return false;
  questions_.push_back({question, last_sent_, last_told_});
  return true;
}

bool ClaimsUnderWay::HasArrived(const WaitingQuestion& each) const {
  if (!each.question.owner_at) return AllHeldBy(each.question.owner, each.after_told);
  return std::none_of(sent_.begin(), sent_.upper_bound(each.after_sent), [&](const auto& sent) {
    return sent.second.node == *each.question.owner_at && sent.second.by == each.question.by;
  });
}

std::vector<ClaimsUnderWay::Question> ClaimsUnderWay::TakeQuestions() {
  std::vector<Question> answered;
  std::erase_if(questions_, [&](const WaitingQuestion& each) {
    if (!HasArrived(each)) return false;
    answered.push_back(each.question);
    return true;
  });
  return answered;
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
    const bool held = std::all_of(each.owners.begin(), each.owners.end(),
                                  [&](ProcessId owner) { return AllHeldBy(owner, each.after_told); });
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
  for (const ProcessId process : processes) told_by_owner_.erase(process);
}

void ClaimsUnderWay::MachineLost(const NodeId& node) {
  std::erase_if(sent_, [&](const auto& each) { return each.second.node == node; });
  std::erase_if(answers_, [&](const WaitingAnswer& each) { return each.answer.node == node; });
  std::erase_if(taken_, [&](const WaitingTaken& each) { return each.taken.node == node; });
}

}  // namespace raylet
