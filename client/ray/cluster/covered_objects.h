// CoveredObjects: the objects that one lend covers, each with what it is covered for. A lend covers one object as a
// rule, and very many at times. So the first ones need no memory of their own. Owned by Borrowings, which locks.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <utility>

#include "fbs/ids.h"

namespace raylet::client {

struct CoveredObject {
  uint32_t held = 0;      // by so many that were unpacked
  uint32_t found_in = 0;  // so many that are held were found in it, or are it
  bool message = false;   // the message refers to it, whatever is unpacked
  bool IsOver() const { return held == 0 && found_in == 0 && !message; }
};

class CoveredObjects {
 public:
  // True where the object was added. A reference is valid until another object is added or erased.
  std::pair<CoveredObject&, bool> FindOrAdd(const ObjectId& object);
  CoveredObject* Find(const ObjectId& object);
  void EraseIfOver(const ObjectId& object);  // it is covered
  void EraseAllOver();
  bool empty() const { return count_ == 0 && many_ == nullptr; }
  // function(id, covered)
  template <class Function>
  void ForEach(Function function) {
    for (uint32_t i = 0; i < count_; ++i) function(std::as_const(few_[i].first), few_[i].second);
    if (many_ == nullptr) return;
    for (auto& [object, covered] : *many_) function(object, covered);
  }

 private:
  static constexpr uint32_t kFew = 2;
  uint32_t count_ = 0;
  std::array<std::pair<ObjectId, CoveredObject>, kFew> few_;
  std::unique_ptr<std::unordered_map<ObjectId, CoveredObject>> many_;  // null where it would be empty
};

}  // namespace raylet::client
