// A world of workers, the shards of a table and an owner that resizes it, for tests: each step of anybody is one step
// of the world. The gates, the sharing out of keys and of what the shards knew are the product's own. A shard's Push,
// the worker's call and the owner's calls are written here again, without actors. Each push names each key once. The
// parts of a push reach the shards one by one. An answer may be lost, with a process that its replica replaces. The
// owner may die before any of its steps. The home may give a Resize up at any moment before it counts.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "client/parameter_server/gate.h"
#include "client/parameter_server/table_rows.h"

namespace parameter_server_test {

struct TableScenario {
  std::vector<size_t> layouts = {};  // shards of each, in turn
  uint64_t keys = 3;
  uint64_t workers = 2;
  uint64_t pushes = 1;         // of each worker
  size_t kept = 1;             // pushes that a worker has under way at once
  size_t losses = 0;           // of answers
  bool names_origin = true;    // false: a part that is shared out anew does not say what it comes from
  bool tells_all = true;       // false: shards without keys of a part hear nothing of it
  bool awaits_refused = true;  // false: a Resize begins at once
  bool owner_dies = false;     // at some moment
  size_t give_ups = 0;         // while the owner lives
};

class TableResizeWorld {
  using Gate = ray::ps::internal::Gate<ray::ps::internal::TableServer<uint64_t, float>>;
  using Entry = ray::ps::internal::Entry;

 public:
  explicit TableResizeWorld(const TableScenario& scenario) : scenario_(scenario) {
    layouts_.push_back(NewLayout(scenario.layouts[0]));
    workers_.resize(scenario.workers);
  }

  bool Done() const {
    return (owner_ == Owner::kDone || owner_ == Owner::kDead) &&
           std::all_of(workers_.begin(), workers_.end(), [&](const Worker& worker) { return Ended(worker); });
  }

  // Steps that somebody can take now. A number means the same step in equal worlds.
  std::vector<int> Enabled() const {
    std::vector<int> steps;
    const bool lives = owner_ != Owner::kDone && owner_ != Owner::kDead;
    if (lives && OwnerCan()) steps.push_back(kOwnersStep);
    if (lives && scenario_.owner_dies) steps.push_back(kOwnersDeath);
    if (under_way_ != 0 && (!lives || give_ups_ < scenario_.give_ups)) steps.push_back(kGiveUp);
    for (size_t rank = 0; rank < workers_.size(); ++rank) {
      const int first = kWorkers + static_cast<int>(rank) * kStepsOfWorker;
      if (CanCall(workers_[rank])) steps.push_back(first);
      for (const auto& [place, messages] : workers_[rank].under_way)
        for (int fate = 0; fate < (messages.front().opens == 0 && losses_ < scenario_.losses ? 3 : 1); ++fate)
          steps.push_back(first + 1 + static_cast<int>(place) * 3 + fate);
    }
    return steps;
  }

  void Take(int step) {
    if (step == kOwnersStep) return OwnerStep();
    if (step == kOwnersDeath) {
      owner_ = Owner::kDead;
      return;
    }
    if (step == kGiveUp) {
      under_way_ = 0;
      give_ups_ += owner_ != Owner::kDead;
      return;
    }
    Worker& worker = workers_[RankOf(step)];
    const int what = (step - kWorkers) % kStepsOfWorker;
    if (what == 0) return Call(worker);
    Arrive(worker, static_cast<size_t>(what - 1) / 3, static_cast<Fate>((what - 1) % 3));
  }

  static bool IsOfWorker(int step) { return step >= kWorkers; }
  static size_t RankOf(int worker_step) { return static_cast<size_t>((worker_step - kWorkers) / kStepsOfWorker); }

  // What is wrong; empty: nothing.
  const std::string& failure() const { return failure_; }
  // The layouts that refused a push of one key while its worker waited, at most.
  size_t refusals() const {
    size_t most = 0;
    for (const auto& [push, layouts] : refusals_) most = std::max(most, layouts.size());
    return most;
  }
  // At the end: each push counts once for each key, in the shard of its key.
  void CheckEnd() {
    const auto& shards = layouts_[home_].shards;
    for (size_t i = 0; i < shards.size(); ++i)
      for (uint64_t key = 0; key < scenario_.keys; ++key) {
        const uint64_t wanted =
            ray::ps::internal::ShardOf(key, shards.size()) == i ? scenario_.workers * scenario_.pushes : 0;
        const auto found = shards[i].counts.find(key);
        const uint64_t counts = found == shards[i].counts.end() ? 0 : found->second;
        if (counts != wanted)
          failure_ = "shard " + std::to_string(i) + " has " + std::to_string(counts) + " pushes of the key " +
                     std::to_string(key) + ", and not " + std::to_string(wanted);
      }
  }

  // Equal for worlds in which the same happens from now on.
  std::string Key() const {
    std::string key;
    const auto add = [&](uint64_t value) { key.append(reinterpret_cast<const char*>(&value), sizeof value); };
    add(static_cast<uint64_t>(owner_)), add(turn_), add(home_), add(layouts_.size()), add(under_way_), add(resize_);
    add(give_ups_), add(losses_);
    for (const uint64_t sequence : refused_) add(sequence);
    for (const auto* const sets : {&refusals_, &refusing_})
      for (const auto& [push, layouts] : *sets) add(push.first), add(push.second), add(layouts.size());
    for (const Layout& layout : layouts_)
      for (const Shard& shard : layout.shards) {
        add(shard.gate.moved() ? 2 : shard.gate.closed() ? 1 : 0), add(shard.gate.state().resize);
        for (const auto& [of, count] : shard.counts) add(of), add(count);
        add(~uint64_t{0});
        for (const uint64_t sequence : sent_)
          add((shard.gate.recent().Has(sequence) ? 2 : 0) + shard.gate.Lacks({sequence}));
        for (const uint64_t sequence : shard.refused) add(sequence);
      }
    for (const Worker& worker : workers_) {
      add(worker.begun), add(worker.layout), add(worker.pending.size());
      for (const Pending& pending : worker.pending) {
        add(pending.next), add(pending.waits), add(pending.parts.size());
        for (const Part& part : pending.parts)
          add(part.sequence), add(static_cast<uint64_t>(part.reply)), add(part.resize);
      }
      for (const auto& [place, messages] : worker.under_way) {
        add(place), add(messages.size());
        for (const Message& message : messages) add(message.sequence), add(message.waits), add(message.opens);
      }
    }
    return key;
  }

 private:
  static constexpr size_t kShardsMax = 4;
  static constexpr size_t kLayoutsMax = 10;
  static constexpr int kOwnersStep = 0, kOwnersDeath = 1, kGiveUp = 2, kWorkers = 3;
  static constexpr int kStepsOfWorker = 1 + 3 * kShardsMax * kLayoutsMax;
  enum class Owner { kAwait, kBegin, kClose, kCopy, kTellHome, kTellOthers, kReopen, kDone, kDead };
  enum class Fate { kAnswered, kDiesBefore, kDiesAfter };
  enum class Reply { kNone, kCounts, kClosed, kDied };

  struct Shard {
    Gate gate;
    std::map<uint64_t, uint64_t> counts;  // pushes of each key
    std::set<uint64_t> refused;           // parts, while it is closed, whose workers wait
  };
  struct Layout {
    std::vector<Shard> shards;
  };
  struct Part {
    uint64_t sequence = 0;
    size_t layout = 0;
    size_t shard = 0;
    std::vector<uint64_t> keys;
    std::vector<uint64_t> from;
    Reply reply = Reply::kNone;
    uint64_t resize = 0;
  };
  struct Pending {
    uint64_t push = 0;
    size_t next = 0;  // the part whose reply is looked at next
    bool waits = false;
    std::vector<Part> parts;
  };
  struct Message {
    uint64_t sequence = 0;
    bool waits = false;
    uint64_t opens = 0;  // what this Resize has closed; 0: it is a part
  };
  struct Worker {
    uint64_t begun = 0;
    size_t layout = 0;  // that its handle knows
    std::vector<Pending> pending;
    std::map<size_t, std::vector<Message>> under_way;  // to a shard of a layout, in order
  };

  static Layout NewLayout(size_t shards) {
    Layout layout;
    layout.shards.resize(shards);
    return layout;
  }
  static size_t PlaceOf(size_t layout, size_t shard) { return layout * kShardsMax + shard; }

  // ---- a worker

  bool Ended(const Worker& worker) const { return worker.begun == scenario_.pushes && worker.pending.empty(); }
  bool Collects(const Worker& worker) const {
    return worker.pending.size() >= scenario_.kept || (worker.begun == scenario_.pushes && !worker.pending.empty());
  }
  bool CanCall(const Worker& worker) const {
    if (Collects(worker)) return worker.pending[0].parts[worker.pending[0].next].reply != Reply::kNone;
    return worker.begun < scenario_.pushes;
  }

  void Call(Worker& worker) {
    if (Collects(worker)) return Collect(worker);
    Pending pending;
    const auto rank = static_cast<uint64_t>(&worker - workers_.data());
    pending.push = 1 + rank * scenario_.pushes + worker.begun++;
    pending.waits = scenario_.kept == 1;
    std::vector<uint64_t> keys;
    for (uint64_t key = 0; key < scenario_.keys; ++key) keys.push_back(key);
    Send(worker, pending, keys, {}, pending.push);
    worker.pending.push_back(std::move(pending));
  }

  // `parent`: the number of the push or part that is shared out.
  void Send(Worker& worker, Pending& pending, const std::vector<uint64_t>& keys, const std::vector<uint64_t>& from,
            uint64_t parent) {
    const size_t shards = layouts_[worker.layout].shards.size();
    for (size_t shard = 0; shard < shards; ++shard) {
      Part part;
      part.layout = worker.layout;
      part.shard = shard;
      part.sequence = parent * 64 + PlaceOf(worker.layout, shard) + 1;  // the same whatever the order of steps
      part.from = from;
      for (const uint64_t key : keys)
        if (ray::ps::internal::ShardOf(key, shards) == shard) part.keys.push_back(key);
      if (part.keys.empty() && (from.empty() || !scenario_.tells_all)) continue;
      sent_.insert(part.sequence);
      Post(worker, part, pending.waits);
      pending.parts.push_back(std::move(part));
    }
  }
  static void Post(Worker& worker, const Part& part, bool waits) {
    worker.under_way[PlaceOf(part.layout, part.shard)].push_back({part.sequence, waits, 0});
  }

  void Arrive(Worker& worker, size_t place, Fate fate) {
    auto& messages = worker.under_way.at(place);
    const Message message = messages.front();
    messages.erase(messages.begin());
    if (messages.empty()) worker.under_way.erase(place);
    Shard& shard = layouts_[place / kShardsMax].shards[place % kShardsMax];
    if (message.opens != 0) return Open(shard, message.opens);
    for (Pending& pending : worker.pending)
      for (Part& part : pending.parts)
        if (part.sequence == message.sequence) {
          if (fate != Fate::kDiesBefore) Push(shard, pending.push, part, message.waits);
          if (fate != Fate::kAnswered) {
            part.reply = Reply::kDied;
            ++losses_;
          }
          return;
        }
  }

  // As TableShard::Push.
  void Push(Shard& shard, uint64_t push, Part& part, bool waits) {
    const Entry entry = part.keys.empty() ? Entry::kKnown : shard.gate.Ask(part.sequence, part.from);
    if (entry == Entry::kClosed) {
      if (waits) shard.gate.Refuse(part.sequence);
      if (waits && !shard.gate.moved()) {
        shard.refused.insert(part.sequence);
        for (const uint64_t key : part.keys) refusing_[{push, key}].insert(part.layout);
      }
      part.reply = Reply::kClosed;
      part.resize = shard.gate.state().resize;
      return;
    }
    part.reply = Reply::kCounts;
    for (const uint64_t one : part.from) shard.gate.Dropped(one);
    if (!part.keys.empty()) shard.gate.Took(part.sequence);
    if (entry == Entry::kEnters)
      for (const uint64_t key : part.keys) ++shard.counts[key];
  }

  // As PushCall::Get.
  void Collect(Worker& worker) {
    Pending& pending = worker.pending[0];
    pending.waits = true;
    const Part part = pending.parts[pending.next];
    if (part.reply == Reply::kCounts) {
      if (++pending.next == pending.parts.size()) worker.pending.erase(worker.pending.begin());
      return;
    }
    if (home_ > part.layout) {
      worker.layout = home_;
      std::vector<uint64_t> from = part.from;
      if (scenario_.names_origin) from.push_back(part.sequence);
      Send(worker, pending, part.keys, from, part.sequence);
      if (++pending.next == pending.parts.size()) worker.pending.erase(worker.pending.begin());
      return;
    }
    if (part.reply == Reply::kClosed && part.resize != 0 && part.resize != under_way_)
      for (size_t i = 0; i < layouts_[part.layout].shards.size(); ++i)
        worker.under_way[PlaceOf(part.layout, i)].push_back({0, false, part.resize});
    pending.parts[pending.next].reply = Reply::kNone;
    Post(worker, part, true);
  }

  // ---- the owner: each call of a shard is a step

  std::vector<Shard>& Old() { return layouts_[home_].shards; }
  static void Open(Shard& shard, uint64_t resize) {
    if (!shard.gate.OpensFor(resize)) return;
    shard.gate.Open();
    shard.refused.clear();
  }
  bool StillClosed(const Shard& shard) const { return shard.gate.closed() && shard.gate.state().resize == resize_; }
  void GiveUp() {
    turn_ = 0;
    owner_ = Owner::kReopen;
  }
  bool OwnerCan() const {
    if (owner_ != Owner::kAwait || !scenario_.awaits_refused) return true;
    return layouts_[home_].shards[turn_].gate.Lacks({refused_.begin(), refused_.end()}) == 0;
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
        if (owner_ == Owner::kBegin) refused_.clear();
        return;
      case Owner::kBegin:
        under_way_ = ++resize_;
        owner_ = Owner::kClose;
        return;
      case Owner::kClose: Old()[turn_].gate.Close(resize_); return Next(Owner::kCopy, shards);
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
      case Owner::kReopen: Open(Old()[turn_], resize_); return Next(Owner::kAwait, shards);
      case Owner::kTellOthers: {
        auto& before = layouts_[home_ - 1].shards;
        Shard& shard = before[turn_];
        const auto refused = shard.gate.Move({});
        refused_.insert(refused.begin(), refused.end());
        shard.refused.clear();
        Next(layouts_.size() < scenario_.layouts.size() ? Owner::kAwait : Owner::kDone, before.size());
        if (owner_ != Owner::kTellOthers)  // a Resize that was given up refuses nothing for good
          for (const auto& [push, refusing] : refusing_)
            if (refusing.count(home_ - 1) > 0) refusals_[push].insert(home_ - 1);
        return;
      }
      case Owner::kDone:
      case Owner::kDead: return;
    }
  }

  // As Export and TableShard::Inherit.
  void Copy() {
    std::vector<std::vector<uint64_t>> recent;
    for (const Shard& shard : Old()) {
      if (!StillClosed(shard)) return GiveUp();
      recent.push_back(shard.gate.recent().InOrder());
    }
    Layout next = NewLayout(scenario_.layouts[layouts_.size()]);
    for (size_t i = 0; i < next.shards.size(); ++i) {
      next.shards[i].gate.set_recent(ray::ps::internal::Together(recent));
      for (const Shard& shard : Old())
        for (const auto& [key, count] : shard.counts)
          if (ray::ps::internal::ShardOf(key, next.shards.size()) == i) next.shards[i].counts[key] += count;
    }
    layouts_.push_back(std::move(next));
    turn_ = 0;
    owner_ = Owner::kTellHome;
  }

  TableScenario scenario_;
  std::vector<Layout> layouts_;
  std::vector<Worker> workers_;
  std::set<uint64_t> sent_;  // all parts
  size_t home_ = 0;          // the layout that the home knows
  uint64_t under_way_ = 0;   // the Resize that the home knows; 0: none
  uint64_t resize_ = 0;      // the owner's
  size_t give_ups_ = 0;
  size_t losses_ = 0;
  Owner owner_ = Owner::kAwait;
  size_t turn_ = 0;  // the shard that the owner calls next
  std::set<uint64_t> refused_;
  using OfKey = std::pair<uint64_t, uint64_t>;  // a push and a key
  std::map<OfKey, std::set<size_t>> refusing_;  // layouts, which may open again
  std::map<OfKey, std::set<size_t>> refusals_;  // those that have moved
  std::string failure_;
};

}  // namespace parameter_server_test
