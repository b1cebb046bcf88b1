#include "client/ray/cluster/lent_hold.h"

#include <algorithm>
#include <utility>

namespace raylet::client {
namespace {

using ray::internal::Hold;

constexpr char kNothing = 0;  // what a hold that keeps nothing points to

// A deleter, so that the holds are found again behind a Hold.
struct PackedHolds {
  std::vector<Hold> holds;
  void operator()(const void*) { holds.clear(); }
};

}  // namespace

Hold LentHold::OfObject(const ClusterObjectPtr& object) {
  // It may be lent to this process later, by one that got it from here. The two lends must not hold each other.
  if (!object->owned() && object->lend() == nullptr) return Hold(&kNothing, LentHold(nullptr, object->id(), nullptr));
  return Hold(object.get(), LentHold(object, object->id(), object.get()));
}

Hold LentHold::Of(Hold held, const ObjectId& id) {
  const void* const thing = held.get();
  return Hold(thing, LentHold(std::move(held), id, nullptr));
}

Hold LentHold::OfAll(std::vector<Hold> holds) {
  const void* const first = holds.front().get();
  return Hold(first, PackedHolds{std::move(holds)});
}

bool LentHold::MayReferToMore() const {
  return object_ != nullptr && !(object_->owned() && object_->ready() && object_->lend() == nullptr);
}

bool LentHold::MayReferTo(const std::unordered_set<ObjectId>& ids) const {
  if (!MayReferToMore()) return false;
  const auto* const packed =
      object_->owned() && object_->ready() ? std::get_deleter<PackedHolds>(object_->lend()) : nullptr;
  if (packed == nullptr) return true;
  return std::any_of(packed->holds.begin(), packed->holds.end(), [&](const Hold& hold) {
    const LentHold* const lent = In(hold);
    return lent == nullptr || ids.contains(lent->id()) || lent->MayReferToMore();
  });
}

const LentHold* LentHold::In(const Hold& hold) { return std::get_deleter<LentHold>(hold); }

}  // namespace raylet::client
