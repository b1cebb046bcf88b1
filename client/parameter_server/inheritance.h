// What a new shard of a Resize takes over from the shards before, put together out of their states. Pure, apart from
// the store's memory.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "client/parameter_server/messages.h"

namespace ray::ps::internal {

template <class T>
struct Inherited {
  Array<T> values;
  std::vector<std::vector<T>> slots;  // of the optimiser
  uint64_t steps = 0;
  uint64_t updates_lost = 0;
  std::vector<SentGradient<T>> held;  // of the round under way; zeros where an old shard lacks its piece
};

// `states`: in the order of inheritance.offsets. Of `size` parameters from inheritance.begin on, with so many slots.
template <class T>
Inherited<T> Merge(const Inheritance<T>& inheritance, const std::vector<std::shared_ptr<ShardState<T>>>& states,
                   size_t size, size_t slots);

extern template Inherited<float> Merge(const Inheritance<float>&,
                                       const std::vector<std::shared_ptr<ShardState<float>>>&, size_t, size_t);
extern template Inherited<double> Merge(const Inheritance<double>&,
                                        const std::vector<std::shared_ptr<ShardState<double>>>&, size_t, size_t);

}  // namespace ray::ps::internal
