#include "raylet/objects/unclaimed_objects.h"

#include <algorithm>
#include <utility>

namespace raylet {

void UnclaimedObjects::Add(std::vector<ObjectId> objects) {
  if (!objects.empty()) waiting_.push_back({std::move(objects), {}, {}});
}

void UnclaimedObjects::AddOwner(ProcessId owner, std::vector<ObjectId> objects) {
  waiting_.push_back({std::move(objects), owner, {}});
}

std::vector<ObjectId> UnclaimedObjects::Take(size_t most, const KnownOf& known_of) {
  std::vector<ObjectId> taken;
  while (taken.size() < most && !waiting_.empty()) {
    Waiting& next = waiting_.front();
    const size_t wanted = most - taken.size();
    if (!next.objects.empty()) {
      const auto first = next.objects.end() - static_cast<std::ptrdiff_t>(std::min(wanted, next.objects.size()));
      taken.insert(taken.end(), first, next.objects.end());
      next.objects.erase(first, next.objects.end());
    } else if (next.owner) {
      const std::vector<ObjectId> known = known_of(*next.owner, next.after, wanted);
      taken.insert(taken.end(), known.begin(), known.end());
      if (known.size() < wanted)
        next.owner.reset();
      else
        next.after = known.back();
    }
    if (next.objects.empty() && !next.owner) waiting_.pop_front();
  }
  return taken;
}

}  // namespace raylet
