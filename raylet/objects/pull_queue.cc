#include "raylet/objects/pull_queue.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/strings.h"

namespace raylet {
namespace {

// The part of a limit that a priority may use: gets all of it, waits seven eighths, arguments three quarters.
template <class Amount>
Amount ShareOf(Amount limit, PullPriority priority) {
  return limit - limit / 8 * static_cast<Amount>(priority);
}

void AddOnce(std::vector<NodeId>& nodes, const NodeId& node) {
  if (std::find(nodes.begin(), nodes.end(), node) == nodes.end()) nodes.push_back(node);
}

}  // namespace

PullQueue::ReadyKey PullQueue::KeyOf(const Entries::value_type& entry) {
  return {entry.second.priority, entry.second.sequence, entry.first};
}

PullQueue::Entry* PullQueue::FindPull(PullNumber pull, const ObjectId& object) {
  const auto entry = entries_.find(object);
  const bool under_way =
      entry != entries_.end() && entry->second.state == State::kPulling && entry->second.pull == pull;
  return under_way ? &entry->second : nullptr;
}

// ---- who asks ----

Result<void> PullQueue::Ask(const ObjectId& object, PullAsker asker, PullPriority priority, Deadline deadline) {
  if (entries_.size() >= limits_.objects_max && !entries_.contains(object))
    return Fail(ErrorCode::kFull, StrCat(entries_.size(), " objects of other machines are asked for, the limit: wait ",
                                         "for some of them before you ask for more"));
  const auto [entry, added] = entries_.try_emplace(object);
  if (added) {
    entry->second.sequence = next_sequence_++;
    entry->second.priority = priority;
  }
  const auto [asking, asks_first] = entry->second.askers.try_emplace(asker);
  if (!asks_first) deadlines_.erase({asking->second.deadline, object, asker});
  asking->second = {priority, deadline.at()};
  if (!deadline.IsNever()) deadlines_.emplace(deadline.at(), object, asker);
  by_asker_[asker].insert(object);
  if (added)
    Locate(*entry);
  else
    SetPriority(*entry);
  return {};
}

void PullQueue::Cancel(const ObjectId& object, PullAsker asker) {
  const auto entry = entries_.find(object);
  if (entry != entries_.end() && entry->second.askers.contains(asker)) RemoveAsker(entry, asker);
}

void PullQueue::AskerGone(PullAsker asker) {
  const auto asked = by_asker_.find(asker);
  if (asked == by_asker_.end()) return;
  for (const ObjectId& object : std::set<ObjectId>(asked->second)) Cancel(object, asker);
}

// Leaves the asker untold.
void PullQueue::RemoveAsker(Entries::iterator entry, PullAsker asker) {
  const auto asking = entry->second.askers.find(asker);
  deadlines_.erase({asking->second.deadline, entry->first, asker});
  entry->second.askers.erase(asking);
  const auto asked = by_asker_.find(asker);
  asked->second.erase(entry->first);
  if (asked->second.empty()) by_asker_.erase(asked);
  if (entry->second.askers.empty())
    Remove(entry);
  else
    SetPriority(*entry);
}

void PullQueue::SetPriority(Entries::value_type& entry) {
  PullPriority most = PullPriority::kArgument;
  for (const auto& [asker, asking] : entry.second.askers) most = std::min(most, asking.priority);
  if (most == entry.second.priority) return;
  const bool was_ready = entry.second.state == State::kReady;
  if (was_ready) ready_.erase(KeyOf(entry));
  const bool raised = most < entry.second.priority;
  entry.second.priority = most;
  if (was_ready) ready_.insert(KeyOf(entry));
  // A transfer under way keeps its place when somebody urgent leaves: it is soon over.
  if (raised && entry.second.state == State::kPulling)
    decisions_.push_back(RaisePull{entry.second.pull, entry.first, entry.second.from, most});
}

// ---- where it is ----

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
  if (const auto entry = entries_.find(object); entry != entries_.end()) FailAll(entry, why);
}

template <class Matches>
void PullQueue::FailWhere(const Matches& matches, const Error& why) {
  std::vector<ObjectId> gone;
  for (const auto& entry : entries_)
    if (matches(OwnerOf(entry.first))) gone.push_back(entry.first);
  for (const ObjectId& object : gone) Lost(object, why);
}

void PullQueue::OwnerGone(ProcessId owner, const Error& why) {
  FailWhere([&](ProcessId process) { return process == owner; }, why);
}

void PullQueue::OwnersGone(uint32_t process_base, const Error& why) {
  FailWhere([&](ProcessId process) { return process >> 32 == process_base; }, why);
}

// ---- transfers ----

void PullQueue::BecomeReady(Entries::value_type& entry) {
  entry.second.state = State::kReady;
  ready_.insert(KeyOf(entry));
}

uint64_t PullQueue::CountedBytes(const Entry& entry) const {
  return entry.bytes != 0 ? entry.bytes : limits_.unknown_bytes;
}

bool PullQueue::MayStart(const Entry& entry) const {
  if (pulls_ == 0) return true;
  if (pulls_ >= std::max<size_t>(ShareOf(limits_.transfers_max, entry.priority), 1)) return false;
  return pulled_bytes_ + CountedBytes(entry) <= ShareOf(limits_.bytes_max, entry.priority);
}

// The holder that sends us least at the moment. Where several send as little, each machine begins at another one, so
// that many machines that want one object do not all go to its first holder.
size_t PullQueue::ChooseHolder(const Entries::value_type& entry) const {
  const auto& holders = entry.second.holders;
  const size_t first = (entry.first.Hash() ^ own_.Hash()) % holders.size();
  size_t chosen = first;
  size_t least = SIZE_MAX;
  for (size_t i = 0; i < holders.size(); ++i) {
    const size_t at = (first + i) % holders.size();
    const auto from = pulls_from_.find(holders[at]);
    const size_t busy = from == pulls_from_.end() ? 0 : from->second;
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
  state.counted_bytes = CountedBytes(state);
  ++pulls_;
  pulled_bytes_ += state.counted_bytes;
  ++pulls_from_[state.from];
  decisions_.push_back(StartPull{state.pull, object, state.from, state.priority});
}

void PullQueue::LeavePulling(Entry& entry) {
  RAYLET_CHECK(pulls_ > 0 && pulled_bytes_ >= entry.counted_bytes, "more transfers end than began");
  --pulls_;
  pulled_bytes_ -= std::exchange(entry.counted_bytes, 0);
  const auto from = pulls_from_.find(entry.from);
  if (--from->second == 0) pulls_from_.erase(from);
}

void PullQueue::Sized(PullNumber pull, const ObjectId& object, uint64_t bytes) {
  Entry* const entry = FindPull(pull, object);
  if (entry == nullptr) return;
  unreached_.erase(entry->from);
  entry->bytes = bytes;
  pulled_bytes_ = pulled_bytes_ - entry->counted_bytes + CountedBytes(*entry);
  entry->counted_bytes = CountedBytes(*entry);
}

void PullQueue::Arrived(PullNumber pull, const ObjectId& object) {
  if (FindPull(pull, object) == nullptr) return;
  const auto entry = entries_.find(object);
  unreached_.erase(entry->second.from);
  entry->second.started = false;  // nothing to stop: it is all here
  SealedHere(object);
}

void PullQueue::SealedHere(const ObjectId& object) {
  const auto entry = entries_.find(object);
  if (entry == entries_.end()) return;
  TellHere here{object, {}};
  for (const auto& [asker, asking] : entry->second.askers) here.askers.push_back(asker);
  Remove(entry);
  decisions_.push_back(std::move(here));
}

void PullQueue::Ended(PullNumber pull, const ObjectId& object, const Error& why, uint64_t good_bytes) {
  if (FindPull(pull, object) == nullptr) return;
  const auto found = entries_.find(object);
  Entry& entry = found->second;
  LeavePulling(entry);
  entry.state = State::kLocating;
  if (why.code == ErrorCode::kTooLarge) return FailAll(found, why);
  entry.last_failure = why.message;
  if (good_bytes > entry.good_bytes) entry.failures = 0;
  if (good_bytes > entry.good_bytes || why.code != ErrorCode::kDisconnected) unreached_.erase(entry.from);
  entry.good_bytes = good_bytes;
  if (why.code == ErrorCode::kDisconnected) NoteUnreached(entry.from);
  if (why.code == ErrorCode::kDisconnected) AddOnce(entry.unreached, entry.from);
  if (IsOutOfReach(entry)) {
    return FailAll(found,
                   {ErrorCode::kDisconnected, StrCat("no machine that has a copy could be reached from this one for ",
                                                     limits_.give_up_after / std::chrono::seconds(1),
                                                     " s, though its owner's may reach "
                                                     "them: look at the network between them; at last: ",
                                                     why.message)});
  }
  if (why.code == ErrorCode::kFull || why.code == ErrorCode::kAlreadyExists) {
    entry.holders.insert(entry.holders.begin(), entry.from);  // it is not its fault
    return BackOff(*found);
  }
  if (why.code == ErrorCode::kNotFound) AddOnce(entry.without, entry.from);
  NextHolder(*found);
}

void PullQueue::NoteUnreached(const NodeId& node) {
  const TimePoint now = clock_->Now();
  std::erase_if(unreached_,
                [&](const auto& each) { return now - each.second.last >= limits_.unreached_forgotten_after; });
  unreached_.try_emplace(node, Unreached{now, now}).first->second.last = now;
}

// Whoever was said to have a copy has been tried, and none of them has been heard for too long.
bool PullQueue::IsOutOfReach(const Entry& entry) const {
  if (!entry.holders.empty() || entry.unreached.empty()) return false;
  return std::all_of(entry.unreached.begin(), entry.unreached.end(), [this](const NodeId& node) {
    const auto unreached = unreached_.find(node);
    return unreached != unreached_.end() && clock_->Now() - unreached->second.first >= limits_.give_up_after;
  });
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

void PullQueue::NodeGone(const NodeId& node) {
  for (auto& entry : entries_) {
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
}

// ---- time and ends ----

void PullQueue::Tick() {
  const TimePoint now = clock_->Now();
  while (!deadlines_.empty() && std::get<0>(*deadlines_.begin()) <= now) {
    const auto [deadline, object, asker] = *deadlines_.begin();
    decisions_.push_back(
        TellFailed{object, asker,
                   Error{ErrorCode::kTimedOut, StrCat("object ", object.hex(), " ", WhyWaiting(object), ", and the ",
                                                      "deadline has passed: wait longer, or see its owner's log")}});
    RemoveAsker(entries_.find(object), asker);
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
  return next;
}

void PullQueue::FailAll(Entries::iterator entry, const Error& why) {
  for (const auto& [asker, asking] : entry->second.askers) decisions_.push_back(TellFailed{entry->first, asker, why});
  Remove(entry);
}

void PullQueue::Remove(Entries::iterator entry) {
  auto& [object, state] = *entry;
  for (const auto& [asker, asking] : state.askers) {
    deadlines_.erase({asking.deadline, object, asker});
    const auto asked = by_asker_.find(asker);
    asked->second.erase(object);
    if (asked->second.empty()) by_asker_.erase(asked);
  }
  const bool pulling = state.state == State::kPulling;
  if (pulling) LeavePulling(state);
  if (state.state == State::kReady) ready_.erase(KeyOf(*entry));
  if (state.state == State::kBackingOff) retries_.erase({state.retry_at, object});
  if (state.started)
    decisions_.push_back(StopPull{object, pulling ? std::optional<PullNumber>(state.pull) : std::nullopt});
  entries_.erase(entry);
}

std::vector<PullDecision> PullQueue::TakeDecisions() {
  // In order and without passing: a large object at the front would otherwise wait for ever behind small ones.
  while (!ready_.empty()) {
    auto& entry = *entries_.find(std::get<2>(*ready_.begin()));
    if (!MayStart(entry.second)) break;
    Start(entry);
  }
  return std::exchange(decisions_, {});
}

std::string PullQueue::WhyWaiting(const ObjectId& object) const {
  const auto found = entries_.find(object);
  if (found == entries_.end()) return "is not asked for";
  const Entry& entry = found->second;
  std::string why;
  switch (entry.state) {
    case State::kLocating:
      why = entry.answered ? "has no copy on any machine yet" : "is being looked for: its owner has not answered yet";
      break;
    case State::kReady:
      why = StrCat("waits for its turn: ", pulls_, " objects (", FormatBytes(pulled_bytes_), ") are on their way and ",
                   ready_.size(), " wait");
      break;
    case State::kPulling: why = StrCat("is on its way from node ", entry.from.hex()); break;
    case State::kBackingOff:
      why = StrCat("is asked for again soon, for the ", entry.failures, ". time in a row");
      break;
  }
  if (!entry.last_failure.empty()) why += StrCat(" (last failure: ", entry.last_failure, ")");
  return why;
}

}  // namespace raylet
