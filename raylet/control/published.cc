#include "raylet/control/published.h"

#include <utility>

#include "base/strings.h"
#include "raylet/control/control_rules.h"

namespace raylet {
namespace {

std::string KeyOf(const NameEntry& entry) {
  return StrCat("name:", entry.actor_namespace.size(), ":", entry.actor_namespace, entry.name);
}
std::string KeyOf(const ActorPlacement& placement) { return StrCat("actor:", placement.actor.hex()); }
std::string KeyOf(const KeyValue& pair) { return StrCat("key:", pair.key); }
std::string KeyOf(const Published::Item& item) {
  return std::visit([](const auto& each) { return KeyOf(each); }, item);
}

size_t BytesOf(const Published::Item& item) {
  const auto* const pair = std::get_if<KeyValue>(&item);
  return pair == nullptr ? 0 : pair->key.size() + pair->value.size();
}

// A death or deletion stays published for as long as the store remembers it.
bool PassesAway(const Published::Item& item) {
  if (const auto* const placement = std::get_if<ActorPlacement>(&item))
    return placement->state == wire::ActorState::Dead;
  const auto* const pair = std::get_if<KeyValue>(&item);
  return pair != nullptr && pair->deleted;
}

}  // namespace

Published::Entry& Published::Set(Item item, TimePoint now) {
  const std::string key = KeyOf(item);
  Entry& entry = entries_[key];
  bytes_ += BytesOf(item);
  bytes_ -= BytesOf(entry.item);
  under_way_.erase(entry.ticket);
  due_.erase(key);
  const bool passes = PassesAway(item);
  entry = Entry{std::move(item), false,       entry.had,
                next_ticket_++,  generation_, passes ? now + kDeathKept : TimePoint::max()};
  return entry;
}

void Published::Keep(Item item, TimePoint now) { Set(std::move(item), now).had = true; }

void Published::Tell(Item item, TimePoint now) {
  const std::string key = KeyOf(item);
  Set(std::move(item), now);
  due_.insert(key);
}

void Published::Withdraw(Item item, TimePoint now) {
  const std::string key = KeyOf(item);
  Entry& entry = Set(std::move(item), now);
  entry.withdrawn = true;
  entry.until = TimePoint::max();
  due_.insert(key);
}

Result<void> Published::HasRoom(size_t bytes) const {
  if (entries_.size() < kPublishedMax && bytes_ + bytes <= kPublishedBytesMax) return {};
  return Fail(ErrorCode::kFull,
              StrCat("this raylet keeps ", entries_.size(), " items with ", FormatBytes(bytes_),
                     " of pairs for the control store, and the limits are ", kPublishedMax, " and ",
                     FormatBytes(kPublishedBytesMax), ": delete keys, or put values into the object store"));
}

bool Published::Renewed(bool fresh, uint64_t connection, TimePoint now) {
  const bool first = !connection_;
  const bool lost = !first && (fresh || *connection_ != connection);
  connection_ = connection;
  if (lost) {
    ++generation_;
    ++losses_;
  }
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    const auto each = entry++;
    if (each->second.until <= now)
      Erase(each);
    else if (lost && !under_way_.contains(each->second.ticket))
      due_.insert(each->first);
  }
  return lost;
}

void Published::Erase(std::map<std::string, Entry>::iterator entry) {
  bytes_ -= BytesOf(entry->second.item);
  under_way_.erase(entry->second.ticket);
  due_.erase(entry->first);
  entries_.erase(entry);
}

Published::Telling Published::Take(const std::string& key, Entry& entry) {
  under_way_.emplace(entry.ticket, key);
  entry.taken_in = generation_;
  return {entry.ticket, entry.item, entry.withdrawn, entry.had};
}

std::vector<Published::Telling> Published::TakeDue(size_t max) {
  std::vector<Telling> tellings;
  while (!due_.empty() && tellings.size() < max) {
    const std::string key = *due_.begin();
    due_.erase(due_.begin());
    tellings.push_back(Take(key, entries_.at(key)));
  }
  return tellings;
}

std::vector<Published::Telling> Published::TakeToCheck(size_t max) {
  std::vector<Telling> tellings;
  auto at = entries_.upper_bound(check_after_);
  for (size_t looked = 0; looked < entries_.size() && tellings.size() < max; ++looked) {
    if (at == entries_.end()) at = entries_.begin();
    check_after_ = at->first;
    if (!due_.contains(at->first) && !under_way_.contains(at->second.ticket))
      tellings.push_back(Take(at->first, at->second));
    ++at;
  }
  return tellings;
}

std::optional<Published::Lost> Published::Told(uint64_t ticket, const Result<void>& outcome) {
  const auto way = under_way_.find(ticket);
  if (way == under_way_.end()) return std::nullopt;
  const auto entry = entries_.find(way->second);
  under_way_.erase(way);
  if (outcome) {
    entry->second.had = true;
    if (entry->second.taken_in != generation_)
      due_.insert(entry->first);  // the item was lost while it was being told
    else if (entry->second.withdrawn)
      Erase(entry);
    return std::nullopt;
  }
  const ErrorCode code = outcome.error().code;
  if (code == ErrorCode::kAlreadyExists || code == ErrorCode::kWrongState || code == ErrorCode::kInvalid) {
    Lost lost{entry->second.item, outcome.error()};
    Erase(entry);
    return lost;
  }
  due_.insert(entry->first);
  return std::nullopt;
}

}  // namespace raylet
