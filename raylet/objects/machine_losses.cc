#include "raylet/objects/machine_losses.h"

#include <algorithm>

namespace raylet {

std::optional<std::pair<ObjectId, const MachineLosses::Loss*>> MachineLosses::TakeLost() {
  while (!open_.empty()) {
    Open& open = open_.front();
    if (!open.lost.empty()) {
      const ObjectId object = open.lost.back();
      open.lost.pop_back();
      return std::pair(object, &open.loss);
    }
    if (open.next_part < parts_) return {};
    open_.pop_front();
  }
  return {};
}

const MachineLosses::Loss* MachineLosses::Of(const ObjectId& object, uint64_t sequence) const {
  const auto found =
      std::find_if(open_.begin(), open_.end(), [&](const Open& open) { return open.loss.Takes(object, sequence); });
  return found == open_.end() ? nullptr : &found->loss;
}

}  // namespace raylet
