#include "client/ray/cluster/covered_objects.h"

namespace raylet::client {

CoveredObject* CoveredObjects::Find(const ObjectId& object) {
  for (uint32_t i = 0; i < count_; ++i)
    if (few_[i].first == object) return &few_[i].second;
  if (many_ == nullptr) return nullptr;
  const auto found = many_->find(object);
  return found == many_->end() ? nullptr : &found->second;
}

std::pair<CoveredObject&, bool> CoveredObjects::FindOrAdd(const ObjectId& object) {
  if (CoveredObject* const found = Find(object); found != nullptr) return {*found, false};
  if (count_ < kFew) {
    few_[count_] = {object, CoveredObject()};
    return {few_[count_++].second, true};
  }
  if (many_ == nullptr) many_ = std::make_unique<std::unordered_map<ObjectId, CoveredObject>>();
  return {(*many_)[object], true};
}

void CoveredObjects::EraseIfOver(const ObjectId& object) {
  for (uint32_t i = 0; i < count_; ++i) {
    if (few_[i].first != object) continue;
    if (few_[i].second.IsOver()) few_[i] = few_[--count_];
    return;
  }
  if (many_ == nullptr) return;
  const auto found = many_->find(object);
  if (found != many_->end() && found->second.IsOver()) many_->erase(found);
  if (many_->empty()) many_.reset();
}

void CoveredObjects::EraseAllOver() {
  for (uint32_t i = 0; i < count_;) {
    if (few_[i].second.IsOver())
      few_[i] = few_[--count_];
    else
      ++i;
  }
  if (many_ == nullptr) return;
  std::erase_if(*many_, [](const auto& each) { return each.second.IsOver(); });
  if (many_->empty()) many_.reset();
}

}  // namespace raylet::client
