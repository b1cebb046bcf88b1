#include "raylet/objects/claims_under_way.h"

#include <algorithm>

namespace raylet {
namespace {

std::vector<ProcessId> OwnersOf(std::span<const ObjectId> objects) {
  std::vector<ProcessId> owners;
  for (const ObjectId& object : objects)
    if (owners.empty() || owners.back() != OwnerOf(object)) owners.push_back(OwnerOf(object));
  std::sort(owners.begin(), owners.end());
  owners.erase(std::unique(owners.begin(), owners.end()), owners.end());
  return owners;
}

}  // namespace

template <class Key>
void ClaimsUnderWay::Erase(ByReceiver<Key>& all, const Key& key, uint64_t number) {
  const auto found = all.find(key);
  found->second.erase(number);
  if (found->second.empty()) all.erase(found);
}

template <class Key>
bool ClaimsUnderWay::NoneOf(const ByReceiver<Key>& all, const Key& key, uint64_t up_to) {
  const auto found = all.find(key);
  return found == all.end() || NoneIn(found->second, up_to);
}

uint64_t ClaimsUnderWay::Sent(const NodeId& node, ProcessId by, std::span<const ObjectId> objects, ClaimCause cause) {
  const Claim& claim = sent_.emplace(++last_sent_, Claim{node, by, OwnersOf(objects)}).first->second;
  for (const ProcessId owner : claim.owners) sent_by_[{by, owner}].insert(last_sent_);
  if (cause == ClaimCause::kEnd) sent_for_ends_.insert(last_sent_);
  return last_sent_;
}

std::optional<ProcessId> ClaimsUnderWay::TakenBy(const NodeId& node, uint64_t number) {
  const auto found = sent_.find(number);
  if (found == sent_.end() || found->second.node != node) return std::nullopt;
  const ProcessId by = found->second.by;
  Forget(number, found->second);
  sent_.erase(found);
  return by;
}

void ClaimsUnderWay::Forget(uint64_t number, const Claim& claim) {
  sent_for_ends_.erase(number);
  for (const ProcessId owner : claim.owners) Erase(sent_by_, {claim.by, owner}, number);
}

uint64_t ClaimsUnderWay::ToldToHold(ProcessId owner, ClaimCause cause) {
  told_.emplace(++last_told_, owner);
  told_to_[owner].insert(last_told_);
  if (cause == ClaimCause::kEnd) told_for_ends_.insert(last_told_);
  return last_told_;
}

bool ClaimsUnderWay::Holds(ProcessId owner, uint64_t number) {
  const auto found = told_.find(number);
  if (found == told_.end() || found->second != owner) return false;
  told_.erase(found);
  told_for_ends_.erase(number);
  Erase(told_to_, owner, number);
  return true;
}

void ClaimsUnderWay::EndWaitsFor(ProcessId owner) {
  if (const auto numbers = told_to_.find(owner); numbers != told_to_.end())
    told_for_ends_.insert(numbers->second.begin(), numbers->second.end());
}

void ClaimsUnderWay::Add(Taken taken) {
  std::vector<ProcessId> owners = OwnersOf(taken.claimed);
  taken_.push_back({std::move(taken), std::move(owners), last_told_});
}

bool ClaimsUnderWay::Add(const Question& question) {
  const auto asked = std::count_if(questions_.begin(), questions_.end(),
                                   [&](const WaitingQuestion& each) { return each.question.by == question.by; });
  if (static_cast<size_t>(asked) >= kQuestionsMax) return false;
  questions_.push_back({question, last_sent_, last_told_});
  return true;
}

bool ClaimsUnderWay::HasArrived(const WaitingQuestion& each) const {
  const Question& question = each.question;
  return NoneOf(sent_by_, {question.by, question.owner}, each.after_sent) &&
         NoneOf(told_to_, question.owner, each.after_told);
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
    if (!NoneIn(sent_for_ends_, each.after_sent) || !NoneIn(told_for_ends_, each.after_told)) return false;
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
                                  [&](ProcessId owner) { return NoneOf(told_to_, owner, each.after_told); });
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
  for (const ProcessId process : processes) {
    const auto numbers = told_to_.find(process);
    if (numbers == told_to_.end()) continue;
    for (const uint64_t number : numbers->second) {
      told_.erase(number);
      told_for_ends_.erase(number);
    }
    told_to_.erase(numbers);
  }
}

void ClaimsUnderWay::ProcessesEnded(const ProcessSet& processes) {
  std::erase_if(questions_, [&](const WaitingQuestion& each) { return processes.contains(each.question.by); });
}

void ClaimsUnderWay::MachineLost(const NodeId& node) {
  std::erase_if(sent_, [&](const auto& each) {
    if (each.second.node != node) return false;
    Forget(each.first, each.second);
    return true;
  });
  std::erase_if(answers_, [&](const WaitingAnswer& each) { return each.answer.node == node; });
  std::erase_if(taken_, [&](const WaitingTaken& each) { return each.taken.node == node; });
}

}  // namespace raylet
