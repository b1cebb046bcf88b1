#include "raylet/objects/claim_book.h"

namespace raylet {

bool ClaimBook::Erase(Index& index, ProcessId process, const ObjectId& object) {
  const auto found = index.find(process);
  if (found == index.end() || found->second.erase(object) == 0) return false;
  if (found->second.empty()) index.erase(found);
  return true;
}

bool ClaimBook::Claim(ProcessId by, const ObjectId& object, bool owner_lives) {
  const ProcessId owner = OwnerOf(object);
  const auto ended = ended_.find(owner);
  const bool first = !claims_.contains(object);
  if (first && !owner_lives && (ended == ended_.end() || ended->second)) return false;
  if (IsFreed(object)) return false;
  uint32_t& count = claims_[object].by[by];
  // A machine is there again, and claims for a process whose earlier claims are still to be taken away.
  if (Erase(leaving_, by, object)) count = 0;
  ++count;
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
  const auto claimed = by_claimer_.find(by);
  if (claimed == by_claimer_.end() || !claimed->second.contains(object)) return;
  if (--claims_.at(object).by.at(by) > 0) return;
  Erase(by_claimer_, by, object);
  TakeAway(by, object);
}

void ClaimBook::TakeAway(ProcessId claimer, const ObjectId& object) {
  auto& claims = claims_.at(object).by;
  claims.erase(claimer);
  if (claims.empty()) Unclaimed(object);
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
  claims_.erase(claims_.find(object));
  Erase(by_owner_, owner, object);
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
  if (by_owner_.contains(owner)) to_adopt_.push_back({owner, {}});
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
  std::set<ObjectId>& leaving = leaving_[claimer];
  if (leaving.size() < claimed->second.size()) leaving.swap(claimed->second);
  leaving.merge(claimed->second);
  by_claimer_.erase(claimed);
}

void ClaimBook::WorkOff(size_t most) {
  for (size_t left = most; left > 0 && !to_adopt_.empty();) {
    ToAdopt& next = to_adopt_.front();
    const std::vector<ObjectId> objects = ClaimedOf(next.owner, next.after, left);
    orders_.adopted.insert(orders_.adopted.end(), objects.begin(), objects.end());
    left -= objects.size();
    if (left > 0)
      to_adopt_.pop_front();
    else
      next.after = objects.back();
  }
  for (size_t left = most; left > 0 && !leaving_.empty(); --left) {
    const auto leaving = leaving_.begin();
    const ProcessId claimer = leaving->first;
    const ObjectId object = *leaving->second.begin();
    Erase(leaving_, claimer, object);
    TakeAway(claimer, object);
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

std::vector<ObjectId> ClaimBook::ClaimedOf(ProcessId owner, const ObjectId& after, size_t most) const {
  std::vector<ObjectId> objects;
  const auto claimed = by_owner_.find(owner);
  if (claimed == by_owner_.end()) return objects;
  for (auto at = claimed->second.upper_bound(after); at != claimed->second.end() && objects.size() < most; ++at)
    objects.push_back(*at);
  return objects;
}

}  // namespace raylet
