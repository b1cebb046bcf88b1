#include "raylet/objects/claim_book.h"

namespace raylet {
namespace {

template <class Index>
void EraseIn(Index& index, ProcessId process, const ObjectId& object) {
  const auto found = index.find(process);
  if (found == index.end()) return;
  found->second.erase(object);
  if (found->second.empty()) index.erase(found);
}

}  // namespace

bool ClaimBook::Claim(ProcessId by, const ObjectId& object, bool owner_lives) {
  const ProcessId owner = OwnerOf(object);
  const auto ended = ended_.find(owner);
  const bool first = !claims_.contains(object);
  if (first && !owner_lives && (ended == ended_.end() || ended->second)) return false;
  if (IsFreed(object)) return false;
  claims_[object].by[by]++;
  by_claimer_[by].insert(object);
  if (!first) return true;
  by_owner_[owner].insert(object);
  if (ended != ended_.end())
    orders_.adopted.push_back(object);
  else
    orders_.hold[owner].push_back(object);
  return true;
}

std::vector<ProcessId> ClaimBook::ClaimersOf(const ObjectId& object) const {
  std::vector<ProcessId> claimers;
  if (const auto claims = claims_.find(object); claims != claims_.end())
    for (const auto& [claimer, count] : claims->second.by) claimers.push_back(claimer);
  return claimers;
}

std::vector<ObjectId> ClaimBook::Some(size_t most) const {
  std::vector<ObjectId> some;
  for (auto claims = claims_.begin(); claims != claims_.end() && some.size() < most; ++claims)
    some.push_back(claims->first);
  return some;
}

void ClaimBook::Release(ProcessId by, const ObjectId& object) {
  const auto claims = claims_.find(object);
  if (claims == claims_.end()) return;
  const auto claim = claims->second.by.find(by);
  if (claim == claims->second.by.end() || --claim->second > 0) return;
  claims->second.by.erase(claim);
  EraseIn(by_claimer_, by, object);
  if (claims->second.by.empty()) Unclaimed(object);
}

void ClaimBook::Freed(const ObjectId& object) {
  if (const auto claims = claims_.find(object); claims != claims_.end()) claims->second.freed = true;
}

bool ClaimBook::IsFreed(const ObjectId& object) const {
  const auto claims = claims_.find(object);
  return claims != claims_.end() && claims->second.freed;
}

void ClaimBook::Unclaimed(const ObjectId& object) {
  const ProcessId owner = OwnerOf(object);
  claims_.erase(object);
  EraseIn(by_owner_, owner, object);
  const auto ended = ended_.find(owner);
  if (ended == ended_.end()) {
    orders_.let_go[owner].push_back(object);
    return;
  }
  if (!ended->second) return;  // OwnerSettled frees the object, unless a process claims it before
  orders_.freed.push_back(object);
  if (!by_owner_.contains(owner)) ended_.erase(ended);
}

void ClaimBook::OwnerEnded(ProcessId owner) {
  if (!ended_.try_emplace(owner, false).second) return;
  orders_.hold.erase(owner);
  orders_.let_go.erase(owner);
  for (const ObjectId& object : AdoptedOf(owner)) orders_.adopted.push_back(object);
}

void ClaimBook::OwnerSettled(ProcessId owner, std::span<const ObjectId> known) {
  const auto ended = ended_.find(owner);
  if (ended == ended_.end()) return;
  ended->second = true;
  for (const ObjectId& object : known)
    if (!claims_.contains(object)) orders_.freed.push_back(object);
  if (!by_owner_.contains(owner)) ended_.erase(ended);
}

void ClaimBook::ClaimerSettled(ProcessId claimer) {
  const auto claimed = by_claimer_.find(claimer);
  if (claimed == by_claimer_.end()) return;
  const std::unordered_set<ObjectId> objects = std::move(claimed->second);
  by_claimer_.erase(claimed);
  for (const ObjectId& object : objects) {
    auto& claims = claims_.at(object).by;
    claims.erase(claimer);
    if (claims.empty()) Unclaimed(object);
  }
}

void ClaimBook::MachineSettled(MachineNumber machine) {
  std::vector<ProcessId> there;
  for (const auto& [claimer, objects] : by_claimer_)
    if (MachineOf(claimer) == machine) there.push_back(claimer);
  for (const ProcessId claimer : there) ClaimerSettled(claimer);
}

bool ClaimBook::IsKept(const ObjectId& object) const {
  const auto ended = ended_.find(OwnerOf(object));
  return ended != ended_.end() && (!ended->second || claims_.contains(object));
}

std::vector<ObjectId> ClaimBook::AdoptedOf(ProcessId owner) const {
  const auto claimed = by_owner_.find(owner);
  if (claimed == by_owner_.end()) return {};
  return {claimed->second.begin(), claimed->second.end()};
}

}  // namespace raylet
