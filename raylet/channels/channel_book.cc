#include "raylet/channels/channel_book.h"

#include <algorithm>

namespace raylet {

std::optional<ChannelBook::Channel> ChannelBook::Open(const Channel& channel) {
  std::optional<Channel> before;
  const auto [found, added] = channels_.try_emplace({channel.actor, channel.caller}, channel);
  if (!added) before = std::exchange(found->second, channel);
  return before;
}

std::vector<ChannelBook::Channel> ChannelBook::CallerGone(ProcessId caller) {
  std::vector<Channel> closed;
  std::erase_if(channels_, [&](const auto& entry) {
    if (entry.second.caller != caller) return false;
    closed.push_back(entry.second);
    return true;
  });
  return closed;
}

void ChannelBook::WorkerGone(WorkerId worker) {
  std::erase_if(channels_, [worker](const auto& entry) { return entry.second.worker == worker; });
}

size_t ChannelBook::CountOf(const ActorId& actor) const {
  size_t count = 0;
  for (auto at = channels_.lower_bound({actor, 0}); at != channels_.end() && at->first.first == actor; ++at) ++count;
  return count;
}

}  // namespace raylet
