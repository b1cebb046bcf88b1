// Replica<T>: the actor that stands by for one shard. It has each gradient before the shard answers for it. So a shard
// that dies starts again from it, and loses none. It decides nothing: the shard tells it what counts. Its process runs
// one method at a time. Always holds: it has the shard's version and held gradients, or its next Follow says that it
// does not.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <ray/api.h>

#include "client/parameter_server/messages.h"
#include "client/parameter_server/parameter_run.h"
#include "client/parameter_server/recent.h"

namespace ray::ps::internal {

template <class T>
class Replica {
 public:
  static Replica* Create(const ShardSetup& setup, const Array<T>& initial) { return new Replica(setup, initial); }

  // What the shard has decided. Returns the process's id; 0 where this is not the next thing after what the replica
  // has: it takes a Fill.
  int64_t Follow(const ReplicaEvent<T>& event);
  void Fill(const ShardState<T>& state);
  int64_t Ready();  // the process's id; 0 where it takes a Fill
  void Know(const std::string& shard) { shard_ = shard; }
  // False: it takes a Fill.
  bool Note(const DoorState<Server<T>>& door);
  // For a shard that starts again. Counts its restarts.
  ShardState<T> Export();

 private:
  Replica(const ShardSetup& setup, const Array<T>& initial);

  ParameterRun<T> run_;
  std::map<uint64_t, SentGradient<T>> held_;  // of the round under way, by rank
  RecentSequences recent_;
  DoorState<Server<T>> door_;
  uint64_t version_ = 0;
  uint64_t workers_ = 0;
  std::vector<RankState> ranks_;
  uint64_t restarts_ = 0;
  std::string shard_;  // the id of its actor
  bool filled_;        // false: this process replaces one that died, or waits for what its shard inherits
};

}  // namespace ray::ps::internal
