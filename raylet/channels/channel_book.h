// ChannelBook: the call channels whose two ends are processes of this machine, and the numbers of
// all channels of its workers. Pure; owned by the Raylet; loop thread only.
// Always holds: a caller has at most one channel to an actor.
#pragma once

#include <map>
#include <optional>
#include <unordered_set>
#include <utility>
#include <vector>

#include "fbs/ids.h"
#include "raylet/scheduling/task.h"

namespace raylet {

class ChannelBook {
 public:
  struct Channel {
    ChannelId number = 0;
    ActorId actor;
    ProcessId caller = 0;
    WorkerId worker = 0;
  };

  ChannelId NewNumber() { return next_++; }
  // The caller's previous channel, which it has released.
  std::optional<Channel> Open(const Channel& channel);
  std::vector<Channel> CallersGone(const ProcessSet& callers);
  void WorkersGone(const std::unordered_set<WorkerId>& workers);

  size_t CountOf(const ActorId& actor) const;
  size_t size() const { return channels_.size(); }

 private:
  std::map<std::pair<ActorId, ProcessId>, Channel> channels_;
  ChannelId next_ = 1;
};

}  // namespace raylet
