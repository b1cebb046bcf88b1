#include "raylet/objects/pull_queue.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/counted.h"
#include "base/strings.h"

namespace raylet {
namespace {

constexpr size_t kLooksPerDecision = 32;  // a look at an object takes a fraction of a decision's time

void AddOnce(std::vector<NodeId>& nodes, const NodeId& node) {
  if (std::find(nodes.begin(), nodes.end(), node) == nodes.end()) nodes.push_back(node);
}

}  // namespace

PullQueue::PullQueue(const NodeId& own, PullLimits limits, const Clock& clock)
    : own_(own),
      limits_(limits),
      clock_(&clock),
      under_way_(limits),
      unreached_(std::make_unique<UnreachedNodes>(clock, limits.unreached_forgotten_after)) {}

PullQueue::ReadyKey PullQueue::KeyOf(const Entries::value_type& entry) {
  return {entry.second.priority, entry.second.sequence, entry.first};
}

PullQueue::Entry* PullQueue::FindPull(PullNumber pull, const ObjectId& object) {
  const auto entry = entries_.find(object);
  const bool under_way =
      entry != entries_.end() && entry->second.state == State::kPulling && entry->second.pull == pull;
  return under_way ? &entry->second : nullptr;
}

// ---- wanters ----

Result<void> PullQueue::Want(const ObjectId& object, Wanter wanter, PullPriority priority, Deadline deadline) {
  if (entries_.size() >= limits_.objects_max && !entries_.contains(object))
    return Fail(ErrorCode::kFull, StrCat(entries_.size(), " objects of other machines are wanted, the limit: wait ",
                                         "for some of them before you want more"));
  // The wanters from before the loss of its owner's machine hear of it first.
  if (const auto old = losses_.empty() ? entries_.end() : entries_.find(object); old != entries_.end())
    if (const auto* const loss = losses_.Of(object, old->second.sequence)) LoseAll(old, loss->why);
  const auto [entry, added] = entries_.try_emplace(object);
  if (added) {
    entry->second.sequence = next_sequence_++;
    entry->second.priority = priority;
  }
  const auto [wish, wants_first] = entry->second.wanters.try_emplace(wanter);
  if (!wants_first) deadlines_.erase({wish->second.deadline, object, wanter});
  wish->second = {priority, deadline.at()};
  if (!deadline.IsNever()) deadlines_.emplace(deadline.at(), object, wanter);
  by_wanter_[wanter].insert(object);
  if (added)
    Locate(*entry);
  else
    SetPriority(*entry);
  return {};
}

void PullQueue::WantNoLonger(const ObjectId& object, Wanter wanter) {
  const auto entry = entries_.find(object);
  if (entry != entries_.end() && entry->second.wanters.contains(wanter)) RemoveWanter(entry, wanter);
}

std::vector<ObjectId> PullQueue::WanterGone(Wanter wanter, size_t most) {
  const auto wished = by_wanter_.find(wanter);
  if (wished == by_wanter_.end()) return {};
  std::vector<ObjectId> objects;
  for (const ObjectId& object : wished->second) {
    if (objects.size() == most) break;
    objects.push_back(object);
  }
  for (const ObjectId& object : objects) WantNoLonger(object, wanter);
  return objects;
}

// The wanter hears nothing.
void PullQueue::RemoveWanter(Entries::iterator entry, Wanter wanter) {
  const auto wish = entry->second.wanters.find(wanter);
  deadlines_.erase({wish->second.deadline, entry->first, wanter});
  entry->second.wanters.erase(wish);
  const auto wished = by_wanter_.find(wanter);
  wished->second.erase(entry->first);
  if (wished->second.empty()) by_wanter_.erase(wished);
  if (entry->second.wanters.empty())
    Remove(entry);
  else
    SetPriority(*entry);
}

void PullQueue::SetPriority(Entries::value_type& entry) {
  PullPriority most = PullPriority::kArgument;
  for (const auto& [wanter, wish] : entry.second.wanters) most = std::min(most, wish.priority);
  if (most == entry.second.priority) return;
  const bool was_ready = entry.second.state == State::kReady;
  if (was_ready) ready_.erase(KeyOf(entry));
  const bool raised = most < entry.second.priority;
  entry.second.priority = most;
  if (was_ready) ready_.insert(KeyOf(entry));
  // A pull under way keeps its place when an urgent wanter leaves, since the pull is soon over.
  if (raised && entry.second.state == State::kPulling)
    decisions_.push_back(RaisePull{entry.second.pull, entry.first, entry.second.from, most});
}

// ---- places ----

void PullQueue::Locate(Entries::value_type& entry) {
  entry.second.state = State::kLocating;
  entry.second.answered = false;
  entry.second.holders.clear();
  entry.second.unreached.clear();
  decisions_.push_back(LocateObject{entry.first, std::exchange(entry.second.without, {})});
}

void PullQueue::Located(const ObjectId& object, const std::vector<NodeId>& holders, uint64_t bytes) {
  const auto entry = entries_.find(object);
  if (entry == entries_.end()) return;
  if (bytes != 0 && entry->second.state != State::kPulling) entry->second.bytes = bytes;
  for (const NodeId& holder : holders) AddOnce(entry->second.holders, holder);
  if (entry->second.state != State::kLocating) return;
  entry->second.answered = true;
  if (!entry->second.holders.empty()) BecomeReady(*entry);
}

void PullQueue::Lost(const ObjectId& object, const Error& why) {
  if (const auto entry = entries_.find(object); entry != entries_.end()) LoseAll(entry, why);
}

// Sees `most` parts or many objects, and loses `most` objects.
void PullQueue::WorkOffLosses(size_t most) {
  for (size_t seen = 0; seen < most && losses_.looks();) {
    losses_.LookThroughNext([&](const MachineLosses::Loss& loss, size_t part) {
      seen += 1 + entries_.SizeOfPart(part) / kLooksPerDecision;
      return LookThrough(loss, part);
    });
  }
  for (; most > 0; --most) {
    const auto lost = losses_.TakeLost();
    if (!lost) return;
    const auto& [object, loss] = *lost;
    const auto entry = entries_.find(object);
    if (entry != entries_.end() && loss->Takes(object, entry->second.sequence)) LoseAll(entry, loss->why);
  }
}

std::vector<ObjectId> PullQueue::LookThrough(const MachineLosses::Loss& loss, size_t part) {
  std::vector<ObjectId> lost;
  entries_.ForEachInPart(part, [&](Entries::value_type& entry) {
    if (loss.Takes(entry.first, entry.second.sequence))
      lost.push_back(entry.first);  // a pull from the node ends when the object is lost
    else
      ForgetHolder(entry, loss.node);
  });
  return lost;
}

void PullQueue::ForgetHolder(Entries::value_type& entry, const NodeId& node) {
  Entry& state = entry.second;
  std::erase(state.holders, node);
  if (state.state == State::kReady && state.holders.empty()) {
    ready_.erase(KeyOf(entry));
    Locate(entry);
  } else if (state.state == State::kPulling && state.from == node) {
    LeavePulling(state);
    state.last_failure = StrCat("node ", node.hex(), " has gone");
    NextHolder(entry);
  }
}

// ---- pulls ----

void PullQueue::BecomeReady(Entries::value_type& entry) {
  entry.second.state = State::kReady;
  ready_.insert(KeyOf(entry));
}

// The holder that sends least to this machine at the moment. Of several such holders each machine
// begins at another one: so many machines that want one object do not all pull from its first
// holder.
size_t PullQueue::ChooseHolder(const Entries::value_type& entry) const {
  const auto& holders = entry.second.holders;
  const size_t first = (entry.first.Hash() ^ own_.Hash()) % holders.size();
  size_t chosen = first;
  size_t least = SIZE_MAX;
  for (size_t i = 0; i < holders.size(); ++i) {
    const size_t at = (first + i) % holders.size();
    const size_t busy = under_way_.From(holders[at]);
    if (busy >= least) continue;
    least = busy;
    chosen = at;
  }
  return chosen;
}

void PullQueue::Start(Entries::value_type& entry) {
  auto& [object, state] = entry;
  ready_.erase(KeyOf(entry));
  const size_t chosen = ChooseHolder(entry);
  state.state = State::kPulling;
  state.started = true;
  state.pull = next_pull_++;
  state.from = state.holders[chosen];
  state.holders.erase(state.holders.begin() + static_cast<std::ptrdiff_t>(chosen));
  state.counted_bytes = under_way_.Begin(state.from, state.bytes);
  decisions_.push_back(StartPull{state.pull, object, state.from, state.priority});
}

void PullQueue::LeavePulling(Entry& entry) { under_way_.End(entry.from, std::exchange(entry.counted_bytes, 0)); }

void PullQueue::PullSized(PullNumber pull, const ObjectId& object, uint64_t bytes) {
  Entry* const entry = FindPull(pull, object);
  if (entry == nullptr) return;
  unreached_->Heard(entry->from);
  entry->bytes = bytes;
  entry->counted_bytes = under_way_.Resize(entry->counted_bytes, bytes);
}

void PullQueue::PullSealed(PullNumber pull, const ObjectId& object) {
  if (FindPull(pull, object) == nullptr) return;
  const auto entry = entries_.find(object);
  unreached_->Heard(entry->second.from);
  entry->second.started = false;  // the whole object is here, so there is nothing to stop
  SealedHere(object);
}

void PullQueue::SealedHere(const ObjectId& object) {
  const auto entry = entries_.find(object);
  if (entry == entries_.end()) return;
  TellSealed here{object, {}};
  for (const auto& [wanter, wish] : entry->second.wanters) here.wanters.push_back(wanter);
  Remove(entry);
  decisions_.push_back(std::move(here));
}

void PullQueue::PullEnded(PullNumber pull, const ObjectId& object, const Error& why, uint64_t good_bytes) {
  if (FindPull(pull, object) == nullptr) return;
  const auto found = entries_.find(object);
  Entry& entry = found->second;
  LeavePulling(entry);
  entry.state = State::kLocating;
  if (why.code == ErrorCode::kTooLarge) return LoseAll(found, why);
  entry.last_failure = why.message;
  if (good_bytes > entry.good_bytes) entry.failures = 0;
  if (good_bytes > entry.good_bytes || why.code != ErrorCode::kDisconnected) unreached_->Heard(entry.from);
  entry.good_bytes = good_bytes;
  if (why.code == ErrorCode::kDisconnected) unreached_->Failed(entry.from);
  if (why.code == ErrorCode::kDisconnected) AddOnce(entry.unreached, entry.from);
  if (IsOutOfReach(entry)) {
    return LoseAll(found,
                   {ErrorCode::kDisconnected, StrCat("no machine that has a copy could be reached from this one for ",
                                                     limits_.give_up_after / std::chrono::seconds(1),
                                                     " s, though its owner's may reach "
                                                     "them: look at the network between them; at last: ",
                                                     why.message)});
  }
  if (why.code == ErrorCode::kFull || why.code == ErrorCode::kAlreadyExists) {
    entry.holders.insert(entry.holders.begin(), entry.from);  // the holder is not at fault
    return BackOff(*found);
  }
  if (why.code == ErrorCode::kNotFound) AddOnce(entry.without, entry.from);
  NextHolder(*found);
}

// Each named holder was tried, and none of them has answered for too long.
bool PullQueue::IsOutOfReach(const Entry& entry) const {
  if (!entry.holders.empty() || entry.unreached.empty()) return false;
  return std::all_of(entry.unreached.begin(), entry.unreached.end(),
                     [this](const NodeId& node) { return unreached_->SinceAtLeast(node, limits_.give_up_after); });
}

void PullQueue::NextHolder(Entries::value_type& entry) {
  if (!entry.second.holders.empty()) return BecomeReady(entry);
  BackOff(entry);
}

void PullQueue::BackOff(Entries::value_type& entry) {
  const uint32_t doublings = std::min<uint32_t>(entry.second.failures++, 20);
  const Duration wait = std::min(limits_.back_off_first * (int64_t{1} << doublings), limits_.back_off_max);
  entry.second.state = State::kBackingOff;
  entry.second.retry_at = clock_->Now() + wait;
  retries_.emplace(entry.second.retry_at, entry.first);
}

void PullQueue::MachineLost(const NodeId& node, MachineNumber machine, const Error& why) {
  losses_.Add({node, machine, why, next_sequence_});
}

// ---- time and ends ----

void PullQueue::Tick() {
  const TimePoint now = clock_->Now();
  unreached_->Forget();
  while (!deadlines_.empty() && std::get<0>(*deadlines_.begin()) <= now) {
    const auto [deadline, object, wanter] = *deadlines_.begin();
    decisions_.push_back(
        TellLost{object, wanter,
                 Error{ErrorCode::kTimedOut, StrCat("object ", object.hex(), " ", WhyWaiting(object), ", and the ",
                                                    "deadline has passed: wait longer, or see its owner's log")}});
    RemoveWanter(entries_.find(object), wanter);
  }
  while (!retries_.empty() && retries_.begin()->first <= now) {
    const auto entry = entries_.find(retries_.begin()->second);
    retries_.erase(retries_.begin());
    if (entry->second.holders.empty())
      Locate(*entry);
    else
      BecomeReady(*entry);
  }
}

TimePoint PullQueue::NextTick() const {
  TimePoint next = TimePoint::max();
  if (!deadlines_.empty()) next = std::get<0>(*deadlines_.begin());
  if (!retries_.empty()) next = std::min(next, retries_.begin()->first);
  return std::min(next, unreached_->NextTick());
}

void PullQueue::LoseAll(Entries::iterator entry, const Error& why) {
  for (const auto& [wanter, wish] : entry->second.wanters) decisions_.push_back(TellLost{entry->first, wanter, why});
  Remove(entry);
}

void PullQueue::Remove(Entries::iterator entry) {
  auto& [object, state] = *entry;
  for (const auto& [wanter, wish] : state.wanters) {
    deadlines_.erase({wish.deadline, object, wanter});
    const auto wished = by_wanter_.find(wanter);
    wished->second.erase(object);
    if (wished->second.empty()) by_wanter_.erase(wished);
  }
  const bool pulling = state.state == State::kPulling;
  if (pulling) LeavePulling(state);
  if (state.state == State::kReady) ready_.erase(KeyOf(*entry));
  if (state.state == State::kBackingOff) retries_.erase({state.retry_at, object});
  if (state.started)
    decisions_.push_back(StopPull{object, pulling ? std::optional<PullNumber>(state.pull) : std::nullopt});
  entries_.erase(entry);
}

std::vector<PullDecision> PullQueue::TakeDecisions(size_t most) {
  WorkOffLosses(most);
  // Pulls start in order. If small objects passed a large one at the front, the large one could wait for ever.
  while (!ready_.empty() && !losses_.looks()) {
    auto& entry = *entries_.find(std::get<2>(*ready_.begin()));
    if (!under_way_.MayStart(entry.second.bytes, entry.second.priority)) break;
    Start(entry);
  }
  const auto end = decisions_.begin() + static_cast<std::ptrdiff_t>(std::min(most, decisions_.size()));
  std::vector<PullDecision> taken(std::make_move_iterator(decisions_.begin()), std::make_move_iterator(end));
  decisions_.erase(decisions_.begin(), end);
  return taken;
}

std::string PullQueue::WhyWaiting(const ObjectId& object) const {
  const auto found = entries_.find(object);
  if (found == entries_.end()) return "is not wanted";
  const Entry& entry = found->second;
  std::string why;
  switch (entry.state) {
    case State::kLocating:
      why = entry.answered ? "has no copy on any machine yet" : "is being located: its owner has not answered yet";
      break;
    case State::kReady:
      why = StrCat("waits for its turn: ", Counted(under_way_.count(), "object"), " (",
                   FormatBytes(under_way_.counted_bytes()), ") on the way, and ", ready_.size(), " waiting");
      break;
    case State::kPulling: why = StrCat("is pulled from node ", entry.from.hex()); break;
    case State::kBackingOff:
      why = StrCat("is located or pulled again soon, for the ", entry.failures, ". time in a row");
      break;
  }
  if (!entry.last_failure.empty()) why += StrCat(" (last failure: ", entry.last_failure, ")");
  return why;
}

}  // namespace raylet
