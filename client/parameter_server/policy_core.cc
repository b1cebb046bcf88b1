#include "client/parameter_server/policy_core.h"

#include <algorithm>
#include <string>
#include <utility>
#include <variant>

#include <ray/api/exceptions.h>

namespace ray::ps::internal {

using ray::internal::RayException;

uint64_t RanksOf(const Policy& policy) {
  if (const auto* p = std::get_if<Synchronous>(&policy)) return p->workers;
  if (const auto* p = std::get_if<FirstOf>(&policy)) return p->workers + p->backups;
  if (const auto* p = std::get_if<Stale>(&policy)) return p->workers;
  return 0;
}

bool HasRounds(const Policy& policy) {
  return std::holds_alternative<Synchronous>(policy) || std::holds_alternative<FirstOf>(policy);
}

Policy WithRanks(const Policy& policy, uint64_t ranks) {
  Policy changed = policy;
  uint64_t least = 1;
  if (auto* p = std::get_if<Synchronous>(&changed)) {
    p->workers = ranks;
  } else if (auto* q = std::get_if<Stale>(&changed)) {
    q->workers = ranks;
  } else if (auto* r = std::get_if<FirstOf>(&changed)) {
    least = r->backups + 1;
    r->workers = ranks < least ? 0 : ranks - r->backups;
  } else {
    throw RayException("the policy " + TextOf(policy) + " knows no workers, so their number cannot be set");
  }
  if (ranks < least)
    throw RayException(std::to_string(ranks) + " workers were asked for, and the policy " + TextOf(policy) + " takes " +
                       std::to_string(least) + " or more");
  return changed;
}

std::string TextOf(const Policy& policy) {
  using std::to_string;
  if (const auto* p = std::get_if<Synchronous>(&policy)) return "Synchronous{workers = " + to_string(p->workers) + "}";
  if (const auto* p = std::get_if<FirstOf>(&policy))
    return "FirstOf{workers = " + to_string(p->workers) + ", backups = " + to_string(p->backups) + "}";
  if (const auto* p = std::get_if<Stale>(&policy))
    return "Stale{workers = " + to_string(p->workers) + ", staleness = " + to_string(p->staleness) + "}";
  return std::holds_alternative<Async>(policy) ? "Async{}" : "ScaledByStaleness{}";
}

PolicyCore::PolicyCore(const Policy& policy, std::chrono::milliseconds round_deadline)
    : round_deadline_(round_deadline),
      ranks_(RanksOf(policy)),
      scales_(std::holds_alternative<ScaledByStaleness>(policy)),
      of_rank_(ranks_) {
  if (const auto* p = std::get_if<Synchronous>(&policy)) needed_ = p->workers;
  if (const auto* p = std::get_if<FirstOf>(&policy)) needed_ = p->workers;
  if (const auto* p = std::get_if<Stale>(&policy)) {
    has_clocks_ = true;
    staleness_max_ = p->staleness;
  }
  if ((HasRounds(policy) && needed_ == 0) || (has_clocks_ && ranks_ == 0))
    throw RayException("the policy " + TextOf(policy) + " has no workers: it takes 1 or more");
}

void PolicyCore::CheckRank(uint64_t rank) const {
  if (rank < ranks_) return;
  const std::string given = rank == kNoRank ? "no rank" : "rank " + std::to_string(rank);
  throw RayException("a worker with " + given + " called, and this server has the ranks 0 to " +
                     std::to_string(ranks_ - 1) + ": use Worker(rank) with one of them");
}

void PolicyCore::Applied(uint64_t staleness) {
  ++counts_.applied;
  ++counts_.staleness[std::min<uint64_t>(staleness, kStalenessMax)];
}

Verdict PolicyCore::Take(const Offer& offer, TimePoint now) {
  if (ranks_ > 0) CheckRank(offer.rank);
  if (offer.based_on != kNoVersion && offer.based_on > version_)
    throw RayException("the gradient was computed from version " + std::to_string(offer.based_on) +
                       ", and the newest version is " + std::to_string(version_));
  if (has_rounds()) return TakeForRound(offer, now);
  Verdict verdict;
  if (has_clocks_) {
    Rank& rank = of_rank_[offer.rank];
    const uint64_t slowest = SlowestClock();
    verdict.staleness = rank.clock > slowest ? rank.clock - slowest : 0;
    rank.clock = std::max(rank.clock + 1, rank.behind ? slowest : 0);
    rank.behind = false;
    if (SlowestClock() > slowest) waited_for_ = false;
  } else {
    verdict.staleness = offer.based_on == kNoVersion ? 0 : version_ - offer.based_on;
    if (scales_) verdict.scale = 1 / (1 + static_cast<double>(verdict.staleness));
  }
  Applied(verdict.staleness);
  verdict.version = ++version_;
  return verdict;
}

Verdict PolicyCore::TakeForRound(const Offer& offer, TimePoint now) {
  Rank& rank = of_rank_[offer.rank];
  const uint64_t based_on = offer.based_on == kNoVersion ? version_ : offer.based_on;
  Verdict verdict;
  verdict.version = version_;
  verdict.staleness = version_ - based_on;
  if (rank.offered && rank.sequence == offer.sequence) {
    verdict.action = Verdict::Action::kKnown;
    verdict.version = version_ + 1;
    return verdict;
  }
  if (based_on < version_) {
    verdict.action = Verdict::Action::kDrop;
    ++counts_.dropped;
    return verdict;
  }
  if (rank.offered)
    throw RayException("rank " + std::to_string(offer.rank) + " gave its gradient for version " +
                       std::to_string(version_) + " already: Get waits for the next version");
  rank.offered = true;
  rank.sequence = offer.sequence;
  ++offered_;
  WaitFrom(now);
  Applied(0);
  verdict.version = version_ + 1;
  verdict.action = Verdict::Action::kHold;
  rank.behind = false;
  if (offered_ >= needed()) {
    verdict.action = Verdict::Action::kHoldAndClose;
    Close();
  }
  return verdict;
}

void PolicyCore::Close() {
  for (Rank& rank : of_rank_) rank.offered = false;
  offered_ = 0;
  waited_for_ = false;
  ++counts_.rounds;
  ++version_;
}

uint64_t PolicyCore::needed() const {
  const auto present = std::count_if(of_rank_.begin(), of_rank_.end(), [](const Rank& rank) { return !rank.behind; });
  return std::min(needed_, std::max<uint64_t>(1, static_cast<uint64_t>(present)));
}

bool PolicyCore::SetRanks(uint64_t ranks) {
  if (has_rounds()) needed_ = needed_ + ranks - ranks_;
  ranks_ = ranks;
  of_rank_.resize(ranks, Rank{.behind = true});
  if (!has_rounds()) return false;
  offered_ = static_cast<uint64_t>(
      std::count_if(of_rank_.begin(), of_rank_.end(), [](const Rank& rank) { return rank.offered; }));
  if (offered_ == 0 || offered_ < needed()) return false;
  Close();
  return true;
}

void PolicyCore::Hold(uint64_t rank, uint64_t sequence, TimePoint now) {
  CheckRank(rank);
  if (!std::exchange(of_rank_[rank].offered, true)) ++offered_;
  of_rank_[rank].sequence = sequence;
  WaitFrom(now);
}

std::vector<RankState> PolicyCore::rank_states() const {
  std::vector<RankState> states;
  for (const Rank& rank : of_rank_) states.push_back({rank.clock, rank.behind});
  return states;
}

void PolicyCore::Take(uint64_t version, const std::vector<RankState>& ranks, const PolicyCounts& counts) {
  if (ranks_ > 0) SetRanks(ranks.size());
  Restart(version);
  TakeRanks(ranks);
  counts_ = counts;
}

void PolicyCore::TakeRanks(const std::vector<RankState>& ranks) {
  for (size_t i = 0; i < std::min(of_rank_.size(), ranks.size()); ++i) {
    of_rank_[i].clock = ranks[i].clock;
    of_rank_[i].behind = ranks[i].behind;
  }
}

bool PolicyCore::CloseFor(uint64_t version) {
  if (!has_rounds() || version_ >= version) return false;
  ++counts_.rounds_cut;
  Close();
  return true;
}

void PolicyCore::Restart(uint64_t version) {
  for (Rank& rank : of_rank_) rank.offered = false;
  offered_ = 0;
  waited_for_ = false;
  version_ = version;
}

uint64_t PolicyCore::SlowestClock() const {
  uint64_t slowest = kNoVersion;
  for (const Rank& rank : of_rank_)
    if (!rank.behind) slowest = std::min(slowest, rank.clock);
  return slowest == kNoVersion ? 0 : slowest;
}

void PolicyCore::WaitFrom(TimePoint now) {
  if (waited_for_) return;
  waited_for_ = true;
  waited_since_ = now;
}

bool PolicyCore::MayRead(uint64_t rank, uint64_t wanted, TimePoint now) {
  if (wanted != kNoVersion && version_ < wanted) {
    WaitFrom(now);
    return false;
  }
  if (ranks_ == 0 || rank == kNoRank) return true;
  CheckRank(rank);
  if (has_rounds()) {
    if (of_rank_[rank].offered) return false;
    of_rank_[rank].behind = false;
    return true;
  }
  if (of_rank_[rank].clock <= SlowestClock() + staleness_max_) return true;
  WaitFrom(now);
  return false;
}

void PolicyCore::LeaveBehind(Rank& rank, bool is_late) {
  if (rank.behind || !is_late) return;
  rank.behind = true;
  ++counts_.left_behind;
}

bool PolicyCore::Expire(TimePoint now) {
  if (!waited_for_ || now - waited_since_ < round_deadline_) return false;
  if (has_rounds()) {
    ++counts_.rounds_cut;
    for (Rank& rank : of_rank_) LeaveBehind(rank, !rank.offered);
    Close();
    return true;
  }
  waited_for_ = false;
  const uint64_t slowest = SlowestClock();
  for (Rank& rank : of_rank_) LeaveBehind(rank, rank.clock == slowest);
  return false;
}

}  // namespace ray::ps::internal
