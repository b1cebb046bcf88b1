// ParameterRun<T>: one run of parameters with their optimiser, and the steps that no version has yet. Gradients are
// kept, pinned, until somebody wants a version or many are kept. Then one pass over memory makes the next version from
// all of them. Where the store has no room for it, it waits in ahead_, in the process's own memory. Owned by a Shard or
// its Replica. One thread at a time. Always holds: the newest version is ahead_, or values_ where that is empty, with
// all steps_ done.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <ray/api/array.h>

#include "client/parameter_server/kernels.h"
#include "client/parameter_server/messages.h"

namespace ray::ps::internal {

// Gradients that one pass may have, and bytes of them that are kept pinned meanwhile. One gradient may be larger.
constexpr size_t kKeptGradientsMax = 8;
constexpr size_t kKeptBytesMax = size_t{1} << 30;

template <class T>
class ParameterRun {
 public:
  // `initial`: of the setup's size, or empty for zeros.
  ParameterRun(const ShardSetup& setup, const Array<T>& initial);

  // A step of these gradients, which are added in their order. Makes a version where much is kept, and keeps all the
  // same where the store has no room for one.
  void Keep(std::vector<SentGradient<T>> step);
  // The newest version. Throws where the store has no room for it.
  const Array<T>& Make();

  // The whole content, such as a checkpoint has. Steps that were kept are forgotten by Take.
  const std::vector<std::vector<T>>& slots() const { return optimiser_.slots(); }
  uint64_t steps() const { return optimiser_.steps(); }  // of the optimiser
  void Take(Array<T> values, std::vector<std::vector<T>> slots, uint64_t steps);

  size_t size() const { return size_; }
  uint64_t passes() const { return passes_; }  // over memory; one may have several steps

 private:
  void Do(std::span<T> next);  // steps_

  const size_t size_;
  Optimiser<T> optimiser_;
  Array<T> values_;
  std::vector<T> ahead_;
  std::vector<std::vector<SentGradient<T>>> steps_;
  size_t kept_ = 0;  // gradients in steps_
  uint64_t passes_ = 0;
};

}  // namespace ray::ps::internal
