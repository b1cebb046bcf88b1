#include "client/parameter_server/kernels.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numbers>
#include <variant>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace ray::ps::internal {
namespace {

// Of parameters, gradient and state: they stay in the first-level cache, so memory is read and written once, however
// many steps there are.
constexpr size_t kChunk = 1024;
// Larger results do not stay in a cache, so the stores go past it and save the read of what they overwrite.
constexpr size_t kStreamedBytes = size_t{4} << 20;

// The rules below see one chunk: parameters w, gradient g, and the optimiser's slots.
template <class T>
struct Chunk {
  size_t count;
  T* __restrict w;
  T* __restrict g;
  T* __restrict first;   // slot 0
  T* __restrict second;  // slot 1
  const Rule* rule;      // of a CustomRule
};

template <class T>
void Decay(const Chunk<T>& c, double weight_decay) {
  if (weight_decay == 0) return;
  const T decay = static_cast<T>(weight_decay);
  for (size_t i = 0; i < c.count; ++i) c.g[i] += decay * c.w[i];
}

template <class T>
void Do(const Sgd& o, double factor, uint64_t, const Chunk<T>& c) {
  Decay(c, o.weight_decay);
  const T rate = static_cast<T>(o.rate * factor);
  if (o.momentum == 0) {
    for (size_t i = 0; i < c.count; ++i) c.w[i] -= rate * c.g[i];
    return;
  }
  const T momentum = static_cast<T>(o.momentum);
  for (size_t i = 0; i < c.count; ++i) c.first[i] = momentum * c.first[i] + c.g[i];
  if (o.nesterov) {
    for (size_t i = 0; i < c.count; ++i) c.w[i] -= rate * (c.g[i] + momentum * c.first[i]);
  } else {
    for (size_t i = 0; i < c.count; ++i) c.w[i] -= rate * c.first[i];
  }
}

template <class T>
void Do(const Adagrad& o, double factor, uint64_t, const Chunk<T>& c) {
  Decay(c, o.weight_decay);
  const T rate = static_cast<T>(o.rate * factor);
  const T epsilon = static_cast<T>(o.epsilon);
  for (size_t i = 0; i < c.count; ++i) {
    c.first[i] += c.g[i] * c.g[i];
    c.w[i] -= rate * c.g[i] / (std::sqrt(c.first[i]) + epsilon);
  }
}

template <class T>
void Do(const RmsProp& o, double factor, uint64_t, const Chunk<T>& c) {
  Decay(c, o.weight_decay);
  const T rate = static_cast<T>(o.rate * factor);
  const T epsilon = static_cast<T>(o.epsilon);
  const T decay = static_cast<T>(o.decay);
  const T rest = static_cast<T>(1 - o.decay);
  for (size_t i = 0; i < c.count; ++i) {
    c.first[i] = decay * c.first[i] + rest * c.g[i] * c.g[i];
    c.w[i] -= rate * c.g[i] / (std::sqrt(c.first[i]) + epsilon);
  }
}

// `step` counts from 0.
template <class T>
void Moments(double rate_now, double beta1, double beta2, double epsilon_now, uint64_t step, const Chunk<T>& c) {
  const auto count = static_cast<double>(step + 1);
  const T one = static_cast<T>(beta1);
  const T one_rest = static_cast<T>(1 - beta1);
  const T two = static_cast<T>(beta2);
  const T two_rest = static_cast<T>(1 - beta2);
  const T rate = static_cast<T>(rate_now / (1 - std::pow(beta1, count)));
  const T correction = static_cast<T>(1 / std::sqrt(1 - std::pow(beta2, count)));
  const T epsilon = static_cast<T>(epsilon_now);
  for (size_t i = 0; i < c.count; ++i) {
    c.first[i] = one * c.first[i] + one_rest * c.g[i];
    c.second[i] = two * c.second[i] + two_rest * c.g[i] * c.g[i];
    c.w[i] -= rate * c.first[i] / (std::sqrt(c.second[i]) * correction + epsilon);
  }
}

template <class T>
void Do(const Adam& o, double factor, uint64_t step, const Chunk<T>& c) {
  Decay(c, o.weight_decay);
  Moments(o.rate * factor, o.beta1, o.beta2, o.epsilon, step, c);
}

template <class T>
void Do(const AdamW& o, double factor, uint64_t step, const Chunk<T>& c) {
  const T kept = static_cast<T>(1 - o.rate * factor * o.weight_decay);
  for (size_t i = 0; i < c.count; ++i) c.w[i] *= kept;
  Moments(o.rate * factor, o.beta1, o.beta2, o.epsilon, step, c);
}

// first: z; second: n, the sum of squares. The schedule scales alpha.
template <class T>
void Do(const Ftrl& o, double factor, uint64_t step, const Chunk<T>& c) {
  const double alpha_now = o.alpha * factor;
  if (alpha_now == 0) return;  // behind the end of a schedule
  const T by_alpha = static_cast<T>(1 / alpha_now);
  const T beta = static_cast<T>(o.beta);
  const T l1 = static_cast<T>(o.l1);
  const T l2 = static_cast<T>(o.l2);
  if (step == 0) {  // the z of which the parameters as given are the solution
    for (size_t i = 0; i < c.count; ++i) {
      const T sign = c.w[i] > 0 ? T{1} : (c.w[i] < 0 ? T{-1} : T{0});
      c.first[i] = -c.w[i] * (beta * by_alpha + l2) - sign * l1;
    }
  }
  for (size_t i = 0; i < c.count; ++i) {
    const T g = c.g[i];
    const T n = c.second[i] + g * g;
    const T root = std::sqrt(n);
    const T sigma = (root - std::sqrt(c.second[i])) * by_alpha;
    const T z = c.first[i] + g - sigma * c.w[i];
    const T size = std::abs(z) - l1;
    const T sign = z > 0 ? T{1} : T{-1};
    const T solution = -sign * size / ((beta + root) * by_alpha + l2);
    c.w[i] = size > 0 ? solution : T{0};
    c.first[i] = z;
    c.second[i] = n;
  }
}

template <class T>
void Do(const CustomRule&, double factor, uint64_t step, const Chunk<T>& c) {
  const auto slot = [&](T* values) { return values == nullptr ? std::span<T>() : std::span<T>(values, c.count); };
  c.rule->Do(Elements<T>{{c.w, c.count}, {c.g, c.count}, slot(c.first), slot(c.second), factor, step});
}

// The loops below take up to kTogether gradients at once, and keep an element in a register meanwhile. An element is
// computed in the same order as one gradient at a time, so the bytes are the same.
constexpr size_t kTogether = 4;

// Calls run.template operator()<N>() with N = count, from 1 to kTogether.
template <class Run>
void WithCount(size_t count, Run run) {
  switch (count) {
    case 1: return run.template operator()<1>();
    case 2: return run.template operator()<2>();
    case 3: return run.template operator()<3>();
    default: return run.template operator()<kTogether>();
  }
}

// g += the sum of N terms, or = it.
template <size_t N, bool kAdds, class T>
void SumTogether(const Term<T>* terms, size_t first, size_t count, T* __restrict g) {
  const T* values[N];
  T scales[N];
  for (size_t n = 0; n < N; ++n) {
    values[n] = terms[n].values.data() + first;
    scales[n] = static_cast<T>(terms[n].scale);
  }
  for (size_t i = 0; i < count; ++i) {
    T sum = kAdds ? g[i] + scales[0] * values[0][i] : scales[0] * values[0][i];
    for (size_t n = 1; n < N; ++n) sum += scales[n] * values[n][i];
    g[i] = sum;
  }
}

// g = the step's gradient for elements first … first + count.
template <class T>
void Sum(std::span<const Term<T>> step, size_t first, size_t count, T clip, T* __restrict g) {
  if (clip > 0 || step.empty()) {
    std::fill_n(g, count, T{0});
    for (const Term<T>& term : step) {
      const T* __restrict values = term.values.data() + first;
      const T scale = static_cast<T>(term.scale);
      for (size_t i = 0; i < count; ++i) {
        const T value = scale * values[i];
        const T below = value < clip ? value : clip;
        g[i] += below > -clip ? below : -clip;
      }
    }
    return;
  }
  for (size_t k = 0; k < step.size(); k += kTogether)
    WithCount(std::min(kTogether, step.size() - k), [&]<size_t N>() {
      if (k == 0)
        SumTogether<N, false>(step.data() + k, first, count, g);
      else
        SumTogether<N, true>(step.data() + k, first, count, g);
    });
}

// A step of plain descent with one gradient: w -= rate * (scale * values).
template <class T>
struct Descent {
  const T* values;
  T scale;
  T rate;
};

// Steps of one pass that need no memory of their own.
constexpr size_t kFewSteps = 8;

// Whether all steps are plain descents. Then they are in `descents`, which has room for them.
template <class T>
bool PlainDescents(const Optimizer& optimizer, double clip, std::span<const Step<T>> steps, const Schedule& schedule,
                   uint64_t first_step, std::span<Descent<T>> descents) {
  const auto* sgd = std::get_if<Sgd>(&optimizer);
  if (sgd == nullptr || sgd->momentum != 0 || sgd->weight_decay != 0 || clip > 0) return false;
  for (size_t k = 0; k < steps.size(); ++k) {
    if (steps[k].size() != 1) return false;
    descents[k] = {steps[k][0].values.data(), static_cast<T>(steps[k][0].scale),
                   static_cast<T>(sgd->rate * FactorAt(schedule, first_step + k))};
  }
  return true;
}

// `to` may be `from`.
template <size_t N, class T>
void DescendTogether(const Descent<T>* descents, size_t first, size_t count, const T* from, T* to) {
  const T* values[N];
  T scales[N], rates[N];
  for (size_t n = 0; n < N; ++n) {
    values[n] = descents[n].values + first;
    scales[n] = descents[n].scale;
    rates[n] = descents[n].rate;
  }
#pragma GCC ivdep
  for (size_t i = 0; i < count; ++i) {
    T w = from[i];
    for (size_t n = 0; n < N; ++n) w -= rates[n] * (scales[n] * values[n][i]);
    to[i] = w;
  }
}

// `to` is 16-byte aligned.
template <class T>
void Stream(const T* from, size_t count, T* to) {
#ifdef __SSE2__
  const size_t bytes = count * sizeof(T) / sizeof(__m128i) * sizeof(__m128i);
  const auto* source = reinterpret_cast<const std::byte*>(from);
  auto* target = reinterpret_cast<std::byte*>(to);
  for (size_t i = 0; i < bytes; i += sizeof(__m128i))
    _mm_stream_si128(reinterpret_cast<__m128i*>(target + i),
                     _mm_load_si128(reinterpret_cast<const __m128i*>(source + i)));
  std::memcpy(target + bytes, source + bytes, count * sizeof(T) - bytes);
#else
  std::copy_n(from, count, to);
#endif
}

}  // namespace

double FactorAt(const Schedule& schedule, uint64_t step) {
  if (step < schedule.warm_up) return static_cast<double>(step + 1) / static_cast<double>(schedule.warm_up);
  const uint64_t at = step - schedule.warm_up;
  switch (schedule.kind) {
    case Schedule::Kind::kConstant: return 1;
    case Schedule::Kind::kStep:
      return schedule.period == 0 ? 1 : std::pow(schedule.factor, static_cast<double>(at / schedule.period));
    case Schedule::Kind::kCosine: {
      if (at >= schedule.period) return schedule.factor;
      const double part = static_cast<double>(at) / static_cast<double>(schedule.period);
      return schedule.factor + (1 - schedule.factor) * (1 + std::cos(std::numbers::pi * part)) / 2;
    }
  }
  return 1;
}

size_t SlotsOf(const Optimizer& optimizer) {
  if (const auto rule = RuleOfOptimizer(optimizer)) return rule->slots();
  if (const auto* sgd = std::get_if<Sgd>(&optimizer)) return sgd->momentum == 0 ? 0 : 1;
  if (std::holds_alternative<Adagrad>(optimizer) || std::holds_alternative<RmsProp>(optimizer)) return 1;
  return 2;
}

template <class T>
Optimiser<T>::Optimiser(const Optimizer& optimizer, const Schedule& schedule, double clip_value, size_t size)
    : optimizer_(optimizer),
      rule_(RuleOfOptimizer(optimizer)),
      schedule_(schedule),
      clip_value_(clip_value),
      size_(size),
      slots_(SlotsOf(optimizer), std::vector<T>(size)) {}

template <class T>
void Optimiser<T>::Apply(std::span<const T> parameters, std::span<const Step<T>> steps, std::span<T> next) {
  alignas(64) T w[kChunk];
  alignas(64) T g[kChunk];
  const T clip = static_cast<T>(clip_value_);
  const bool stream = next.size_bytes() >= kStreamedBytes && next.data() != parameters.data() &&
                      reinterpret_cast<uintptr_t>(next.data()) % 16 == 0;
  std::array<Descent<T>, kFewSteps> few;
  std::vector<Descent<T>> many(steps.size() > kFewSteps ? steps.size() : 0);
  const std::span<Descent<T>> descents = many.empty() ? std::span(few).first(steps.size()) : std::span(many);
  if (PlainDescents(optimizer_, clip_value_, steps, schedule_, steps_, descents)) {
    for (size_t first = 0; first < size_; first += kChunk) {
      const size_t count = std::min(kChunk, size_ - first);
      const T* from = parameters.data() + first;
      T* const to = stream ? w : next.data() + first;
      for (size_t k = 0; k < descents.size(); k += kTogether) {
        WithCount(std::min(kTogether, descents.size() - k),
                  [&]<size_t N>() { DescendTogether<N>(descents.data() + k, first, count, from, to); });
        from = to;
      }
      if (from != to) std::copy_n(from, count, to);  // no steps
      if (stream) Stream(w, count, next.data() + first);
    }
  } else {
    std::vector<double> factors;
    for (size_t k = 0; k < steps.size(); ++k) factors.push_back(FactorAt(schedule_, steps_ + k));
    std::visit(
        [&](const auto& optimizer) {
          for (size_t first = 0; first < size_; first += kChunk) {
            Chunk<T> chunk{std::min(kChunk, size_ - first), w, g, nullptr, nullptr, rule_.get()};
            if (!slots_.empty()) chunk.first = slots_[0].data() + first;
            if (slots_.size() > 1) chunk.second = slots_[1].data() + first;
            std::copy_n(parameters.data() + first, chunk.count, w);
            for (size_t k = 0; k < steps.size(); ++k) {
              Sum<T>(steps[k], first, chunk.count, clip, g);
              Do(optimizer, factors[k], steps_ + k, chunk);
            }
            if (stream)
              Stream(w, chunk.count, next.data() + first);
            else
              std::copy_n(w, chunk.count, next.data() + first);
          }
        },
        optimizer_);
  }
#ifdef __SSE2__
  if (stream) _mm_sfence();  // the streamed stores come before whatever publishes them
#endif
  steps_ += steps.size();
}

template <class T>
void StepRow(const Optimizer& optimizer, const Rule* rule, double factor, uint64_t step, std::span<const T> values,
             double scale, double clip_value, std::span<T> row, T* first, T* second, std::span<T> scratch) {
  const Term<T> term{values, scale};
  Sum<T>({&term, 1}, 0, row.size(), static_cast<T>(clip_value), scratch.data());
  const Chunk<T> chunk{row.size(), row.data(), scratch.data(), first, second, rule};
  std::visit([&](const auto& o) { Do(o, factor, step, chunk); }, optimizer);
}

template <class T>
double SquareSum(std::span<const T> values) {
  constexpr size_t kLanes = 8;  // independent sums, which the compiler keeps in vectors
  double sums[kLanes] = {};
  const size_t whole = values.size() / kLanes * kLanes;
  for (size_t i = 0; i < whole; i += kLanes)
    for (size_t lane = 0; lane < kLanes; ++lane) {
      const double value = static_cast<double>(values[i + lane]);
      sums[lane] += value * value;
    }
  double sum = 0;
  for (const double part : sums) sum += part;
  for (size_t i = whole; i < values.size(); ++i) {
    const double value = static_cast<double>(values[i]);
    sum += value * value;
  }
  return sum;
}

template void StepRow(const Optimizer&, const Rule*, double, uint64_t, std::span<const float>, double, double,
                      std::span<float>, float*, float*, std::span<float>);
template void StepRow(const Optimizer&, const Rule*, double, uint64_t, std::span<const double>, double, double,
                      std::span<double>, double*, double*, std::span<double>);
template class Optimiser<float>;
template class Optimiser<double>;
template double SquareSum(std::span<const float>);
template double SquareSum(std::span<const double>);

}  // namespace ray::ps::internal
