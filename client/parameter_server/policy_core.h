// PolicyCore: decides what a gradient counts, when a round ends, and who may read. A core: it takes events with their
// time, and holds no gradient, actor or clock. Owned by one shard. One thread at a time.
// Always holds: a gradient that counts in a round was computed from the version with which the round began. No read of
// a rank is more than Stale's bound ahead of a rank whose clock counts. Each offer is either applied or dropped, once.
// A rank that missed a deadline is waited for again once it reads or offers.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include <ray/api/msgpack.h>
#include <ray/parameter_server/options.h>

namespace ray::ps::internal {

using TimePoint = std::chrono::steady_clock::time_point;

constexpr uint64_t kNoRank = std::numeric_limits<uint64_t>::max();
constexpr uint64_t kNoVersion = std::numeric_limits<uint64_t>::max();
constexpr size_t kStalenessMax = 64;  // the histogram's last entry counts this and more

// One gradient, as its worker describes it.
struct Offer {
  uint64_t rank = kNoRank;         // of a policy that has workers
  uint64_t based_on = kNoVersion;  // the version that the worker read; kNoVersion: the current one
  uint64_t sequence = 0;           // the worker's own count, so that the same offer made twice counts once
};

struct Verdict {
  enum class Action {
    kStep,          // it is a step of its own, now
    kHold,          // keep it for the round
    kHoldAndClose,  // the same, and the round is complete: its gradients in the order of ranks are a step
    kDrop,          // it came too late
    kKnown,         // the same offer was made before
  };
  Action action = Action::kStep;
  double scale = 1;
  uint64_t staleness = 0;
  uint64_t version = 0;  // the first version that has it; the current one where it was dropped
};

struct PolicyCounts {
  uint64_t applied = 0;
  uint64_t dropped = 0;
  uint64_t rounds = 0;
  uint64_t rounds_cut = 0;   // closed at the deadline, without some workers
  uint64_t left_behind = 0;  // times that a rank was waited for no longer, after a deadline
  std::vector<uint64_t> staleness = std::vector<uint64_t>(kStalenessMax + 1);  // of all applied gradients
  MSGPACK_DEFINE(applied, dropped, rounds, rounds_cut, left_behind, staleness)
};

// A rank as another shard's core takes it over. Its gradient for the round under way follows by Hold.
struct RankState {
  uint64_t clock = 0;
  bool behind = false;
  MSGPACK_DEFINE(clock, behind)
};

class PolicyCore {
 public:
  // Throws RayException where a policy has no workers.
  PolicyCore(const Policy& policy, std::chrono::milliseconds round_deadline);

  // Throws RayException for an unknown rank, a version that is still to come, or a second gradient in one round.
  Verdict Take(const Offer& offer, TimePoint now);

  // Whether the rank may read now. Under a policy of rounds, a rank reads no more in a round once it has given its
  // gradient. Nobody reads a version below `wanted`, which another shard has. At the deadline this shard closes its
  // round too, if need be with no gradient. kNoRank is not bound to the policy.
  bool MayRead(uint64_t rank, uint64_t wanted, TimePoint now);

  // Does what the deadline demands. True: the round has closed without some workers, and the held gradients are a
  // step.
  bool Expire(TimePoint now);

  uint64_t version() const { return version_; }
  void set_version(uint64_t version) { version_ = version; }
  // The policy of another number of workers. New ranks are waited for once they read or offer. True: the round is
  // complete without the ranks that have gone, and the held gradients are a step.
  bool SetRanks(uint64_t ranks);
  // In the place of a core that has died: the rank has given this gradient for the round under way.
  void Hold(uint64_t rank, uint64_t sequence, TimePoint now);
  // Nobody could give a gradient before: the deadline of those who wait counts from now on.
  void WaitAnew(TimePoint now) { waited_since_ = now; }
  std::vector<RankState> rank_states() const;
  void TakeRanks(const std::vector<RankState>& ranks);  // of as many ranks
  // In the place of cores that have moved.
  void Take(uint64_t version, const std::vector<RankState>& ranks, const PolicyCounts& counts);
  // Ends the round under way without further gradients, where another shard has this version already.
  bool CloseFor(uint64_t version);
  void Restart(uint64_t version);  // the round under way is forgotten, and a new one begins with this version
  bool has_rounds() const { return needed_ > 0; }
  bool has_clocks() const { return has_clocks_; }
  uint64_t ranks() const { return ranks_; }  // 0: the policy knows no workers
  uint64_t needed() const;                   // gradients that complete a round now; 0 without rounds
  const PolicyCounts& counts() const { return counts_; }

 private:
  struct Rank {
    uint64_t clock = 0;     // updates so far
    bool behind = false;    // it kept others waiting past the deadline, and they wait for it no longer
    bool offered = false;   // in this round
    uint64_t sequence = 0;  // of that offer
  };

  Verdict TakeForRound(const Offer& offer, TimePoint now);
  void Close();
  void WaitFrom(TimePoint now);  // the deadline counts from here, unless somebody waits already
  void Applied(uint64_t staleness);
  void LeaveBehind(Rank& rank, bool is_late);
  void CheckRank(uint64_t rank) const;
  uint64_t SlowestClock() const;  // of the ranks that are not behind; 0 without any

  const std::chrono::milliseconds round_deadline_;
  uint64_t needed_ = 0;  // gradients of a round with all ranks; 0: the policy has no rounds
  uint64_t ranks_ = 0;
  uint64_t staleness_max_ = 0;
  bool has_clocks_ = false;
  bool scales_ = false;
  uint64_t version_ = 0;
  std::vector<Rank> of_rank_;
  uint64_t offered_ = 0;     // ranks that have offered in this round
  bool waited_for_ = false;  // a round has begun, or somebody waits for the slowest clock
  TimePoint waited_since_;
  PolicyCounts counts_;
};

// The number of ranks of a policy, 0 where it knows no workers.
uint64_t RanksOf(const Policy& policy);
bool HasRounds(const Policy& policy);
// The same policy with this number of ranks. Throws where it knows no workers, or takes more than these.
Policy WithRanks(const Policy& policy, uint64_t ranks);
// "Synchronous{workers = 3}".
std::string TextOf(const Policy& policy);

}  // namespace ray::ps::internal
