// Optimiser: the arithmetic of a parameter server for one run of parameters. It owns the optimiser's state (momentum
// and the like). Pure: no object, actor or clock. One thread at a time. Always holds: every element is computed alone
// and in the order of the steps. So K steps in one pass give the bytes of K passes, and shards give the bytes of the
// whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <ray/parameter_server/options.h>

namespace ray::ps::internal {

// The factor of the rate at a step, counted from 0.
double FactorAt(const Schedule& schedule, uint64_t step);

// One worker's gradient in a step: clamp(scale * values, clip), of as many elements as the parameters.
template <class T>
struct Term {
  std::span<const T> values;
  double scale = 1;
};
// The terms of a step are added in their order.
template <class T>
using Step = std::vector<Term<T>>;

template <class T>
class Optimiser {
 public:
  // `size`: of the parameters. Memory: size times the number of slots, zeroed.
  Optimiser(const Optimizer& optimizer, const Schedule& schedule, double clip_value, size_t size);

  // next = the parameters after all steps, in one pass over memory. `next` may be the memory of `parameters`. All spans
  // have the size given at construction.
  void Apply(std::span<const T> parameters, std::span<const Step<T>> steps, std::span<T> next);

  uint64_t steps() const { return steps_; }
  void set_steps(uint64_t steps) { steps_ = steps; }
  std::vector<std::vector<T>>& slots() { return slots_; }  // momentum and the like, each of the parameters' size
  const std::vector<std::vector<T>>& slots() const { return slots_; }

 private:
  Optimizer optimizer_;
  std::shared_ptr<const Rule> rule_;  // of a custom one
  Schedule schedule_;
  double clip_value_;
  size_t size_;
  uint64_t steps_ = 0;
  std::vector<std::vector<T>> slots_;
};

// One step for one row, from the gradient `scale * values`, clamped to clip_value where that is not 0. `rule` is that
// of RuleOfOptimizer. `first` and `second` are the optimiser's slots, null where it has none. `scratch` has the row's
// size.
template <class T>
void StepRow(const Optimizer& optimizer, const Rule* rule, double factor, uint64_t step, std::span<const T> values,
             double scale, double clip_value, std::span<T> row, T* first, T* second, std::span<T> scratch);

// The functor of a CustomRule; null for other optimisers. Throws where this program has no such functor.
std::shared_ptr<const Rule> RuleOfOptimizer(const Optimizer& optimizer);

// How many slots of state per parameter an optimiser has.
size_t SlotsOf(const Optimizer& optimizer);

// Sum of squares, in double; not finite where an element is not.
template <class T>
double SquareSum(std::span<const T> values);

extern template class Optimiser<float>;
extern template class Optimiser<double>;

}  // namespace ray::ps::internal
