#include "raylet/objects/unreached_nodes.h"

namespace raylet {
namespace {

constexpr Duration kLookPause = std::chrono::seconds(1);  // so that the awake clock sees a stall

}  // namespace

UnreachedNodes::UnreachedNodes(const Clock& clock, Duration forgotten_after)
    : clock_(&clock), awake_(clock, kLookPause), forgotten_after_(forgotten_after) {}

void UnreachedNodes::Failed(const NodeId& node) {
  Forget();
  const TimePoint now = awake_.Now();
  nodes_.try_emplace(node, Failures{now, now}).first->second.last = now;
}

void UnreachedNodes::Forget() {
  const TimePoint now = awake_.Now();
  std::erase_if(nodes_, [&](const auto& each) { return now - each.second.last >= forgotten_after_; });
}

bool UnreachedNodes::SinceAtLeast(const NodeId& node, Duration time) const {
  const auto failures = nodes_.find(node);
  return failures != nodes_.end() && awake_.Now() - failures->second.first >= time;
}

TimePoint UnreachedNodes::NextTick() const { return nodes_.empty() ? TimePoint::max() : clock_->Now() + kLookPause; }

}  // namespace raylet
