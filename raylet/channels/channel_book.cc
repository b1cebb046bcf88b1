#include "raylet/channels/channel_book.h"

#include <algorithm>

namespace raylet {

std::optional<ChannelBook::Channel> ChannelBook::Open(const Channel& channel) {
  std::optional<Channel> before;
  const auto [found, added] = channels_.try_emplace({channel.actor, channel.caller}, channel);
  if (!added) before = std::exchange(found->second, channel);
  return before;
}

std::vector<ChannelBook::Channel> ChannelBook::CallersGone(const ProcessSet& callers) {
  std::vector<Channel> closed;
  std::erase_if(channels_, [&](const auto& entry) {
    if (!callers.contains(entry.second.caller)) return false;
    closed.push_back(entry.second);
    return true;
  });
  return closed;
}

void ChannelBook::WorkersGone(const std::unordered_set<WorkerId>& workers) {
  std::erase_if(channels_, [&](const auto& entry) { return workers.contains(entry.second.worker); });
}

size_t ChannelBook::CountOf(const ActorId& actor) const {
  size_t count = 0;
  for (auto at = channels_.lower_bound({actor, 0}); at != channels_.end() && at->first.first == actor; ++at) ++count;
  return count;
}

}  // namespace raylet
