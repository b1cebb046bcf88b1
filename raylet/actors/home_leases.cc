#include "raylet/actors/home_leases.h"

#include <algorithm>

namespace raylet {

std::optional<HomeLeases::Word> HomeLeases::Renew(const NodeId& id, TimePoint until) {
  Home& home = homes_[id];
  home.until = std::max(home.until, until);
  const auto known = until_.find(home.lease);
  if (known == until_.end()) return std::nullopt;
  known->second = home.until;
  return Word{home.lease, home.until};
}

HomeLeases::Word HomeLeases::Begin(const NodeId& id) {
  Home& home = homes_[id];
  if (home.lease == 0 || home.lease == kNoLeaseLeft) home.lease = NewNumber();
  if (home.lease == kNoLeaseLeft) return {kNoLeaseLeft, {}};
  until_[home.lease] = home.until;
  return {home.lease, home.until};
}

std::optional<HomeLeases::Word> HomeLeases::End(const NodeId& id) {
  const auto ended = homes_.extract(id);
  if (ended.empty() || until_.erase(ended.mapped().lease) == 0) return std::nullopt;
  return Word{ended.mapped().lease, {}};
}

LeaseNumber HomeLeases::Of(const NodeId& id) const {
  const auto home = homes_.find(id);
  return home == homes_.end() ? kNoLeaseLeft : home->second.lease;
}

bool HomeLeases::Holds(LeaseNumber lease, TimePoint now) const {
  if (lease == 0) return true;
  const auto known = until_.find(lease);
  return known != until_.end() && now < known->second;
}

LeaseNumber HomeLeases::NewNumber() {
  for (LeaseNumber tried = 1; tried < kNoLeaseLeft; ++tried) {
    const LeaseNumber number = next_;
    next_ = next_ + 1 < kNoLeaseLeft ? next_ + 1 : 1;
    if (!until_.contains(number)) return number;
  }
  return kNoLeaseLeft;
}

}  // namespace raylet
