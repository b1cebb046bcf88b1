#include "raylet/objects/pulls_under_way.h"

#include <algorithm>

#include "base/check.h"

namespace raylet {
namespace {

// The part of a limit that a priority may use: gets all of it, waits seven eighths, arguments three
// quarters.
template <class Amount>
Amount ShareOf(Amount limit, PullPriority priority) {
  return limit - limit / 8 * static_cast<Amount>(priority);
}

}  // namespace

bool PullsUnderWay::MayStart(uint64_t bytes, PullPriority priority) const {
  if (count_ == 0) return true;
  const bool small = bytes != 0 && bytes <= limits_.small_bytes;
  const size_t pulls_max = small ? limits_.small_pulls_max : limits_.pulls_max;
  if (count_ >= std::max<size_t>(ShareOf(pulls_max, priority), 1)) return false;
  return counted_bytes_ + Counted(bytes) <= ShareOf(limits_.bytes_max, priority);
}

uint64_t PullsUnderWay::Begin(const NodeId& from, uint64_t bytes) {
  ++count_;
  ++from_[from];
  counted_bytes_ += Counted(bytes);
  return Counted(bytes);
}

uint64_t PullsUnderWay::Resize(uint64_t counted_bytes, uint64_t bytes) {
  counted_bytes_ = counted_bytes_ - counted_bytes + Counted(bytes);
  return Counted(bytes);
}

void PullsUnderWay::End(const NodeId& from, uint64_t counted_bytes) {
  RAYLET_CHECK(count_ > 0 && counted_bytes_ >= counted_bytes, "more pulls end than began");
  --count_;
  counted_bytes_ -= counted_bytes;
  const auto pulls = from_.find(from);
  if (--pulls->second == 0) from_.erase(pulls);
}

size_t PullsUnderWay::From(const NodeId& node) const {
  const auto pulls = from_.find(node);
  return pulls == from_.end() ? 0 : pulls->second;
}

}  // namespace raylet
