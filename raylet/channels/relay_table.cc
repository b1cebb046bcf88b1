#include "raylet/channels/relay_table.h"

#include <iterator>

#include "base/strings.h"

namespace raylet {
namespace {

template <class Map, class Key>
Relay* In(const Map& relays, const Key& key) {
  const auto found = relays.find(key);
  return found == relays.end() ? nullptr : found->second.get();
}

}  // namespace

void RelayTable::AddOpened(RelayPtr relay) {
  by_caller_[{relay->caller, relay->actor}] = relay->number;
  const RelayNumber number = relay->number;
  opened_.emplace(number, std::move(relay));
}

Result<void> RelayTable::AddHosted(RelayPtr relay) {
  const RelayNumber number = relay->number;
  if (!hosted_.try_emplace({relay->node, number}, std::move(relay)).second)
    return Fail(ErrorCode::kAlreadyExists, StrCat("relay ", number, " is open already"));
  return {};
}

void RelayTable::StartClosing(Relay& relay) {
  const auto hosted = hosted_.find({relay.node, relay.number});
  closing_[relay.channel] = std::move(hosted->second);
  hosted_.erase(hosted);
}

RelayTable::RelayPtr RelayTable::Take(Relay& relay) {
  if (relay.opened) {
    by_caller_.erase({relay.caller, relay.actor});
    return std::move(opened_.extract(relay.number).mapped());
  }
  if (Hosted(relay.node, relay.number) == &relay)
    return std::move(hosted_.extract({relay.node, relay.number}).mapped());
  return std::move(closing_.extract(relay.channel).mapped());
}

Relay* RelayTable::Opened(ProcessId caller, const ActorId& actor) const {
  const auto found = by_caller_.find({caller, actor});
  return found == by_caller_.end() ? nullptr : In(opened_, found->second);
}

Relay* RelayTable::Opened(const NodeId& node, RelayNumber number) const {
  Relay* const relay = In(opened_, number);
  return relay == nullptr || relay->node != node ? nullptr : relay;
}

Relay* RelayTable::Hosted(const NodeId& node, RelayNumber number) const { return In(hosted_, std::pair(node, number)); }

Relay* RelayTable::Closing(WorkerId worker, ChannelId channel) const {
  Relay* const relay = In(closing_, channel);
  return relay == nullptr || relay->worker != worker ? nullptr : relay;
}

size_t RelayTable::HostedFor(const NodeId& node) const {
  return static_cast<size_t>(
      std::distance(hosted_.lower_bound({node, 0}), hosted_.upper_bound({node, ~RelayNumber{0}})));
}

std::vector<Relay*> RelayTable::Each(const std::function<bool(const Relay&)>& matches) const {
  std::vector<Relay*> found;
  const auto look = [&](const auto& relays) {
    for (const auto& [key, relay] : relays)
      if (matches(*relay)) found.push_back(relay.get());
  };
  look(opened_);
  look(hosted_);
  look(closing_);
  return found;
}

}  // namespace raylet
