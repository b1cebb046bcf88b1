// A world of workers, shards and an owner that resizes, for tests: each step of anybody is one step of the world. The
// doors, the policies and the agreement are the product's own. A shard's Push and the owner's calls are written here
// again, without actors. A worker's pieces of a gradient reach the shards one by one, in the order of their sending.
// The owner may die before any of its steps. The home may give a Resize up at any moment before it counts.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "client/parameter_server/agreement.h"
#include "client/parameter_server/door.h"
#include "client/parameter_server/policy_core.h"

namespace parameter_server_test {

using ray::ps::internal::Agreement;
using ray::ps::internal::ClosedReply;
using ray::ps::internal::Door;
using ray::ps::internal::Entry;
using ray::ps::internal::kNoVersion;
using ray::ps::internal::PolicyCore;
using ray::ps::internal::PushArguments;
using ray::ps::internal::PushReply;
using ray::ps::internal::Verdict;

struct Scenario {
  ray::ps::Policy policy = ray::ps::Async{};
  std::vector<size_t> layouts = {};  // shards of each, in turn
  uint64_t workers = 2;
  uint64_t gradients = 1;      // of each worker
  size_t kept = 1;             // updates that a worker has under way at once
  bool collects = true;        // false: it calls no Get of an update
  bool awaits_refused = true;  // false: a Resize begins at once
  bool keeps_waiting = true;   // false: a closed door forgets what it refuses
  bool owner_dies = false;     // at some moment
  size_t give_ups = 0;         // while the owner lives
};

class ResizeWorld {
 public:
  explicit ResizeWorld(const Scenario& scenario) : scenario_(scenario) {
    layouts_.push_back(NewLayout(scenario.layouts[0]));
    for (uint64_t rank = 0; rank < scenario.workers; ++rank) workers_.emplace_back().rank = rank;
    refusals_.resize(scenario.workers * scenario.gradients + 1);
  }

  bool Done() const {
    return (owner_ == Owner::kDone || owner_ == Owner::kDead) &&
           std::all_of(workers_.begin(), workers_.end(), [&](const Worker& worker) { return Ended(worker); });
  }

  // Steps that somebody can take now. A number means the same step in equal worlds.
  std::vector<int> Enabled() const {
    std::vector<int> steps;
    const bool lives = owner_ != Owner::kDone && owner_ != Owner::kDead;
    if (lives && OwnerCan()) steps.push_back(0);
    if (lives && scenario_.owner_dies) steps.push_back(OwnersDeath());
    if (under_way_ != 0 && (!lives || give_ups_ < scenario_.give_ups)) steps.push_back(OwnersDeath() + 1);
    for (const Worker& worker : workers_) {
      const int first = 1 + static_cast<int>(worker.rank) * kStepsOfWorker;
      if (CanCall(worker)) steps.push_back(first);
      for (const auto& [place, pieces] : worker.under_way)
        steps.push_back(first + 1 + static_cast<int>(place.first * kShardsMax + place.second));
    }
    return steps;
  }

  void Take(int step) {
    if (step == 0) return OwnerStep();
    if (step == OwnersDeath()) {
      owner_ = Owner::kDead;
      return;
    }
    if (step == OwnersDeath() + 1) {
      under_way_ = 0;
      give_ups_ += owner_ != Owner::kDead;
      return;
    }
    Worker& worker = workers_[RankOf(step)];
    const int what = (step - 1) % kStepsOfWorker;
    if (what == 0) return Call(worker);
    Arrive(worker, {static_cast<size_t>(what - 1) / kShardsMax, static_cast<size_t>(what - 1) % kShardsMax});
  }

  static size_t RankOf(int worker_step) { return static_cast<size_t>(worker_step - 1) / kStepsOfWorker; }

  // What is wrong; empty: nothing.
  const std::string& failure() const { return failure_; }
  // The layouts that refused one gradient while they were closed for a Resize, at most.
  size_t refusals() const {
    size_t most = 0;
    for (const auto& layouts : refusals_) most = std::max(most, layouts.size());
    return most;
  }
  // At the end: each gradient counts on each shard once, or at most once where nobody sends it again.
  void CheckEnd() {
    for (const Shard& shard : layouts_[home_].shards)
      for (uint64_t sequence = 1; sequence < refusals_.size(); ++sequence)
        if (Count(shard, sequence) > 1 || (Count(shard, sequence) == 0 && scenario_.collects))
          Fail("a gradient counts " + std::to_string(Count(shard, sequence)) + " times");
    for (const Worker& worker : workers_)
      if (scenario_.collects && worker.applied != scenario_.gradients)
        Fail("a worker was told that a gradient does not count");
  }

  // Equal for worlds in which the same happens from now on.
  std::string Key() const {
    std::string key;
    const auto add = [&](uint64_t value) { key.push_back(static_cast<char>(value + 1)); };
    add(static_cast<uint64_t>(owner_)), add(turn_), add(home_), add(layouts_.size()), add(missing_), add(version_);
    add(under_way_), add(resize_), add(give_ups_);
    for (const uint64_t sequence : refused_) add(sequence);
    for (const uint64_t sequence : others_have_) add(sequence + 60);
    for (const auto& layouts : refusals_) add(layouts.size() + 120);
    for (const Layout& layout : layouts_)
      for (const Shard& shard : layout.shards) {
        add(shard.core.version()), add(shard.door.missing()), add(shard.door.moved() ? 2 : shard.door.closed() ? 1 : 0);
        add(shard.door.state().resize);
        for (uint64_t sequence = 1; sequence < refusals_.size(); ++sequence)
          add(static_cast<uint64_t>(shard.door.Ask(sequence)) * 4 + shard.door.Lacks({sequence}) * 2);
        for (const uint64_t sequence : shard.refused) add(sequence);
        for (const auto& [rank, sequence] : shard.round) add(rank + 100), add(sequence);
        for (const auto& rank : shard.core.rank_states()) add(rank.clock), add(rank.behind);
      }
    for (const Worker& worker : workers_) {
      add(worker.begun), add(worker.has_read), add(worker.layout), add(worker.applied), add(worker.read);
      for (const Pending& pending : worker.pending) {
        add(pending.sequence), add(pending.layout), add(pending.next), add(pending.applied), add(pending.based_on),
            add(pending.waits);
        for (const auto& reply : pending.replies) add(!reply ? 0 : reply->closed ? 2 + reply->resize : 1);
      }
      for (const auto& [place, pieces] : worker.under_way) {
        add(place.first), add(place.second);
        for (const uint64_t sequence : pieces) add(sequence);
      }
    }
    return key;
  }

 private:
  static constexpr size_t kShardsMax = 4;
  static constexpr size_t kLayoutsMax = 16;
  static constexpr int kStepsOfWorker = 1 + kShardsMax * kLayoutsMax;
  static constexpr uint64_t kWaits = 90;   // above it, among the sequences under way: their worker waits
  static constexpr uint64_t kOpens = 180;  // among the sequences under way: opens what this Resize has closed, above it
  enum class Owner { kAwait, kBegin, kClose, kAdmit, kSettle, kCopy, kTellHome, kTellOthers, kReopen, kDone, kDead };

  struct Shard {
    Door<float> door;
    PolicyCore core;
    std::map<uint64_t, uint64_t> round;  // the sequence of each rank
    std::map<uint64_t, int> counts;      // of each sequence
    std::vector<uint64_t> refused;       // while it was closed
  };
  struct Layout {
    std::vector<Shard> shards;
  };
  struct Pending {
    uint64_t sequence = 0;
    size_t layout = 0;
    size_t next = 0;  // the shard whose reply is looked at next
    bool applied = true;
    uint64_t based_on = kNoVersion;
    bool waits = false;  // the worker, for its fate
    std::vector<std::optional<PushReply>> replies;
  };
  struct Worker {
    uint64_t rank = 0;
    uint64_t begun = 0;
    bool has_read = false;
    size_t layout = 0;  // that its handle knows
    uint64_t read = 0;  // the version
    uint64_t applied = 0;
    std::vector<Pending> pending;
    std::map<std::pair<size_t, size_t>, std::vector<uint64_t>> under_way;  // to a layout's shard, in order
  };

  static std::chrono::steady_clock::time_point Now() { return {}; }  // no deadline ever comes
  void Fail(const std::string& what) { failure_ = what; }
  static int Count(const Shard& shard, uint64_t sequence) {
    const auto found = shard.counts.find(sequence);
    return found == shard.counts.end() ? 0 : found->second;
  }
  Layout NewLayout(size_t shards) const {
    Layout layout;
    for (size_t i = 0; i < shards; ++i)
      layout.shards.push_back({{}, PolicyCore(scenario_.policy, std::chrono::seconds(1)), {}, {}, {}});
    return layout;
  }

  // ---- a shard, as Shard<T>::Push

  static PushReply Push(Shard& shard, const PushArguments& arguments, bool keeps_waiting) {
    const auto& [rank, based_on, sequence, scale, waits] = arguments;
    switch (shard.door.Ask(sequence)) {
      case Entry::kEnters: break;
      case Entry::kKnown: return {0, 0, true, false};
      case Entry::kPartial: return {0, 0, false, false};
      case Entry::kClosed:
        if (keeps_waiting) shard.door.Refuse(arguments, {});
        if (!shard.door.moved() && std::count(shard.refused.begin(), shard.refused.end(), sequence) == 0)
          shard.refused.push_back(sequence);
        return {0, 0, false, true, shard.door.state().resize};
    }
    const Verdict verdict = shard.core.Take({rank, based_on, sequence}, Now());
    if (verdict.action == Verdict::Action::kDrop) {
      shard.door.Dropped(sequence);
      return {0, 0, false, false};
    }
    shard.door.Took(sequence);
    ++shard.counts[sequence];
    if (verdict.action == Verdict::Action::kHold) shard.round[rank] = sequence;
    if (verdict.action == Verdict::Action::kHoldAndClose) shard.round.clear();
    return {verdict.version, 0, true, false};
  }

  // ---- a worker: Get, UpdateAsync and PendingUpdate::Get

  bool Ended(const Worker& worker) const {
    return worker.begun == scenario_.gradients && (worker.pending.empty() || !scenario_.collects);
  }
  bool Collects(const Worker& worker) const {
    return scenario_.collects && (worker.pending.size() >= scenario_.kept ||
                                  (worker.begun == scenario_.gradients && !worker.pending.empty()));
  }

  bool CanCall(const Worker& worker) const {
    if (Collects(worker)) return worker.pending[0].replies[worker.pending[0].next].has_value();
    if (Ended(worker)) return false;
    return worker.has_read || worker.layout < home_ || CanRead(worker);
  }
  bool CanRead(const Worker& worker) const {
    const auto& shards = layouts_[worker.layout].shards;
    if (shards[0].door.moved()) return false;
    return std::all_of(shards.begin(), shards.end(), [&](const Shard& shard) {
      PolicyCore core = shard.core;
      return core.MayRead(worker.rank, kNoVersion, Now()) &&
             (!core.has_rounds() || core.version() == shards[0].core.version());
    });
  }

  bool MeetsClosed(const Worker& worker) const {
    const auto& shards = layouts_[worker.layout].shards;
    return std::any_of(shards.begin(), shards.end(), [](const Shard& shard) { return shard.door.closed(); });
  }

  void Call(Worker& worker) {
    if (Collects(worker)) return Collect(worker);
    if (!worker.has_read) {
      if (!CanRead(worker) || (worker.layout < home_ && MeetsClosed(worker))) {
        worker.layout = home_;
        return;
      }
      worker.has_read = true;
      worker.read = layouts_[worker.layout].shards[0].core.version();
      return;
    }
    worker.has_read = false;
    Pending pending;
    pending.sequence = 1 + worker.rank * scenario_.gradients + worker.begun;
    pending.layout = worker.layout;
    if (layouts_[0].shards[0].core.has_rounds()) pending.based_on = worker.read;
    pending.waits = scenario_.kept == 1 && scenario_.collects;
    ++worker.begun;
    Send(worker, pending);
    worker.pending.push_back(std::move(pending));
  }

  static uint64_t Sent(const Pending& pending) { return pending.sequence + (pending.waits ? kWaits : 0); }
  void Send(Worker& worker, Pending& pending) {
    const size_t shards = layouts_[pending.layout].shards.size();
    pending.next = 0;
    pending.applied = true;
    pending.replies.assign(shards, std::nullopt);
    for (size_t i = 0; i < shards; ++i) worker.under_way[{pending.layout, i}].push_back(Sent(pending));
  }

  void Arrive(Worker& worker, const std::pair<size_t, size_t>& place) {
    auto& pieces = worker.under_way.at(place);
    const uint64_t piece = pieces.front();
    const bool waits = piece >= kWaits;
    const uint64_t sequence = piece - (waits ? kWaits : 0);
    pieces.erase(pieces.begin());
    if (pieces.empty()) worker.under_way.erase(place);
    if (piece >= kOpens) return Open(layouts_[place.first].shards[place.second], piece - kOpens);
    const auto pending = std::find_if(worker.pending.begin(), worker.pending.end(),
                                      [&](const Pending& one) { return one.sequence == sequence; });
    const uint64_t based_on = pending == worker.pending.end() ? kNoVersion : pending->based_on;
    const PushReply reply = Push(layouts_[place.first].shards[place.second],
                                 {worker.rank, based_on, sequence, 1, waits}, scenario_.keeps_waiting);
    if (pending != worker.pending.end() && pending->layout == place.first) pending->replies[place.second] = reply;
  }

  void Collect(Worker& worker) {
    Pending& pending = worker.pending[0];
    pending.waits = true;
    auto& reply = pending.replies[pending.next];
    if (reply->closed) {
      if (home_ > pending.layout) {
        pending.layout = worker.layout = home_;
        return Send(worker, pending);
      }
      if (reply->resize != 0 && reply->resize != under_way_)
        for (size_t i = 0; i < pending.replies.size(); ++i)
          worker.under_way[{pending.layout, i}].push_back(kOpens + reply->resize);
      reply.reset();
      worker.under_way[{pending.layout, pending.next}].push_back(Sent(pending));
      return;
    }
    pending.applied = pending.applied && reply->applied;
    if (++pending.next < pending.replies.size()) return;
    worker.applied += pending.applied;
    worker.pending.erase(worker.pending.begin());
  }

  // ---- the owner: each call of a shard is a step

  std::vector<Shard>& Old() { return layouts_[home_].shards; }
  static void Open(Shard& shard, uint64_t resize) {
    if (shard.door.moved() || shard.door.state().resize != resize) return;
    shard.door.Open();
    shard.refused.clear();
  }
  int OwnersDeath() const { return 1 + static_cast<int>(scenario_.workers) * kStepsOfWorker; }
  bool StillClosed(const Shard& shard) const { return shard.door.closed() && shard.door.state().resize == resize_; }
  void GiveUp() {
    turn_ = 0;
    owner_ = Owner::kReopen;
  }
  bool OwnerCan() const {
    if (owner_ != Owner::kAwait || !scenario_.awaits_refused) return true;
    const std::vector<uint64_t> refused(refused_.begin(), refused_.end());
    return layouts_[home_].shards[turn_].door.Lacks(refused) == 0;
  }

  void Next(Owner then, size_t shards) {
    if (++turn_ < shards) return;
    turn_ = 0;
    owner_ = then;
  }

  void OwnerStep() {
    const size_t shards = Old().size();
    switch (owner_) {
      case Owner::kAwait:
        Next(Owner::kBegin, shards);
        if (owner_ == Owner::kBegin) refused_.clear(), others_have_.clear();
        return;
      case Owner::kBegin:
        under_way_ = ++resize_;
        owner_ = Owner::kClose;
        return;
      case Owner::kClose: {
        Old()[turn_].door.Close(resize_);
        const auto newest = Old()[turn_].door.recent().Newest();
        others_have_.insert(newest.begin(), newest.end());
        missing_ = version_ = 0;
        return Next(Owner::kAdmit, shards);
      }
      case Owner::kAdmit: {
        Shard& shard = Old()[turn_];
        if (!StillClosed(shard)) return GiveUp();
        for (const auto& [arguments, gradient] : shard.door.Admit({others_have_.begin(), others_have_.end()}))
          Push(shard, arguments, true);
        missing_ += shard.door.missing();
        version_ = std::max(version_, shard.core.version());
        Next(Owner::kSettle, shards);
        if (owner_ == Owner::kSettle && missing_ > 0) owner_ = Owner::kAdmit;
        if (turn_ == 0) missing_ = 0;
        return;
      }
      case Owner::kSettle:
        if (!StillClosed(Old()[turn_])) return GiveUp();
        Old()[turn_].door.Settle();
        if (Old()[turn_].core.CloseFor(version_)) Fail("a round was cut although nobody was late");
        return Next(Owner::kCopy, shards);
      case Owner::kCopy: return Copy();
      case Owner::kTellHome:
        if (under_way_ != resize_) {
          layouts_.pop_back();
          return GiveUp();
        }
        under_way_ = 0;
        home_ = layouts_.size() - 1;
        turn_ = 0;
        owner_ = Owner::kTellOthers;
        return;
      case Owner::kReopen:
        Open(Old()[turn_], resize_);
        others_have_.clear();
        return Next(Owner::kAwait, shards);
      case Owner::kTellOthers: {
        auto& before = layouts_[home_ - 1].shards;
        Shard& shard = before[turn_];
        const auto refused = shard.door.Move({});
        refused_.insert(refused.begin(), refused.end());
        for (const uint64_t sequence : shard.refused)
          if (Count(shard, sequence) == 0) refusals_[sequence].insert(home_ - 1);
        shard.refused.clear();
        Next(layouts_.size() < scenario_.layouts.size() ? Owner::kAwait : Owner::kDone, before.size());
        return;
      }
      case Owner::kDone:
      case Owner::kDead: return;
    }
  }

  void Copy() {
    std::vector<ClosedReply> closed;
    for (const Shard& shard : Old()) {
      closed.push_back({shard.core.version(), shard.door.recent().all(), shard.door.recent().Newest(), 0, false,
                        shard.core.rank_states()});
      if (under_way_ != resize_) continue;  // what is copied never counts
      if (shard.counts != Old()[0].counts) Fail("a gradient is in one shard and not in another");
      if (shard.core.version() != Old()[0].core.version()) Fail("the shards have different versions");
      if (shard.round != Old()[0].round) Fail("the shards have different rounds under way");
    }
    const Agreement agreement = ray::ps::internal::AgreementOf(closed);
    Layout next = NewLayout(scenario_.layouts[layouts_.size()]);
    for (Shard& shard : next.shards) {
      shard.door.set_recent(ray::ps::internal::RecentSequences(agreement.recent));
      shard.door.set_partial(agreement.partial);
      shard.core.Take(agreement.version, agreement.ranks, Old()[0].core.counts());
      shard.round = Old()[0].round;
      for (const auto& [rank, sequence] : shard.round) shard.core.Hold(rank, sequence, Now());
      shard.counts = Old()[0].counts;
    }
    layouts_.push_back(std::move(next));
    turn_ = 0;
    owner_ = Owner::kTellHome;
  }

  Scenario scenario_;
  std::vector<Layout> layouts_;
  std::vector<Worker> workers_;
  size_t home_ = 0;         // the layout that the home knows
  uint64_t under_way_ = 0;  // the Resize that the home knows; 0: none
  uint64_t resize_ = 0;     // the owner's
  size_t give_ups_ = 0;
  Owner owner_ = Owner::kAwait;
  size_t turn_ = 0;  // the shard that the owner calls next
  std::set<uint64_t> refused_;
  std::set<uint64_t> others_have_;
  uint64_t missing_ = 0;
  uint64_t version_ = 0;
  std::vector<std::set<size_t>> refusals_;  // by sequence: the layouts
  std::string failure_;
};

}  // namespace parameter_server_test
