// UnreachedNodes: the machines that gave no answer to the last attempts, and since when. A core; owned by the
// PullQueue. A stall of this raylet counts for nobody.
#pragma once

#include <unordered_map>

#include "base/awake_clock.h"
#include "base/clock.h"
#include "fbs/ids.h"

namespace raylet {

class UnreachedNodes {
 public:
  // A node without another failure is forgotten after `forgotten_after`. `clock` outlives this.
  UnreachedNodes(const Clock& clock, Duration forgotten_after);

  void Failed(const NodeId& node);
  void Heard(const NodeId& node) { nodes_.erase(node); }
  void Forget();  // those without a failure for long
  // It has failed for so long, with no word from it in between.
  bool SinceAtLeast(const NodeId& node, Duration time) const;
  TimePoint NextTick() const;  // of `clock`, when Forget wants to be called; TimePoint::max(): at no time

 private:
  struct Failures {
    TimePoint first, last;  // of the awake clock
  };
  const Clock* clock_;
  AwakeClock awake_;
  Duration forgotten_after_;
  std::unordered_map<NodeId, Failures> nodes_;
};

}  // namespace raylet
