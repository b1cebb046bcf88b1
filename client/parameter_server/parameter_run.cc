#include "client/parameter_server/parameter_run.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <ray/api.h>
#include <ray/parameter_server/layout.h>

namespace ray::ps::internal {
namespace {

template <class T>
Array<T> InitialValues(const ShardSetup& setup, const Array<T>& initial) {
  if (!initial.empty()) {
    CheckSize("the initial values of a shard", initial.size(), setup.size);
    return initial;
  }
  if (setup.inherits) return {};  // Take follows
  MutableArray<T> zeros(setup.size);
  std::fill(zeros.begin(), zeros.end(), T{0});
  return std::move(zeros).Seal();
}

}  // namespace

template <class T>
ParameterRun<T>::ParameterRun(const ShardSetup& setup, const Array<T>& initial)
    : size_(setup.size),
      optimiser_(setup.optimizer.optimizer.value, setup.optimizer.schedule.schedule(), setup.optimizer.clip_value,
                 setup.size),
      values_(InitialValues(setup, initial)) {}

template <class T>
void ParameterRun<T>::Keep(std::vector<SentGradient<T>> step) {
  kept_ += step.size();
  steps_.push_back(std::move(step));
  try {
    if (kept_ >= kKeptGradientsMax || (kept_ + 1) * size_ * sizeof(T) > kKeptBytesMax) Make();
  } catch (const ray::internal::RayException&) {}
}

template <class T>
void ParameterRun<T>::Do(std::span<T> next) {
  std::vector<Step<T>> steps;
  for (const auto& kept_step : steps_) {
    Step<T>& step = steps.emplace_back();
    for (const SentGradient<T>& gradient : kept_step) step.push_back({gradient.values.span(), gradient.scale});
  }
  optimiser_.Apply(ahead_.empty() ? values_.span() : std::span<const T>(ahead_), steps, next);
  steps_.clear();
  kept_ = 0;
  ++passes_;
}

template <class T>
const Array<T>& ParameterRun<T>::Make() {
  if (steps_.empty() && ahead_.empty()) return values_;
  std::optional<MutableArray<T>> next;
  try {
    next.emplace(size_);
  } catch (const ray::internal::RayException&) {
    // The store may be full of the gradients that are kept here. They go, and then there is room.
    if (steps_.empty()) throw;
    std::vector<T> result(size_);
    Do(result);
    ahead_ = std::move(result);
    next.emplace(size_);
  }
  if (steps_.empty())
    std::copy(ahead_.begin(), ahead_.end(), next->begin());
  else
    Do(next->span());
  ahead_ = std::vector<T>();
  values_ = std::move(*next).Seal();
  return values_;
}

template <class T>
void ParameterRun<T>::Take(Array<T> values, std::vector<std::vector<T>> slots, uint64_t steps) {
  values_ = std::move(values);
  optimiser_.slots() = std::move(slots);
  optimiser_.set_steps(steps);
  ahead_.clear();
  steps_.clear();
  kept_ = 0;
}

template class ParameterRun<float>;
template class ParameterRun<double>;

}  // namespace ray::ps::internal
