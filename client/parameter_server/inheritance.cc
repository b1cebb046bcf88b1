#include "client/parameter_server/inheritance.h"

#include <algorithm>
#include <span>
#include <utility>

namespace ray::ps::internal {
namespace {

// What [begin, begin + to.size()) has of pieces that begin at these offsets.
template <class T>
void CopyRange(const std::vector<uint64_t>& offsets, const std::vector<std::span<const T>>& pieces, uint64_t begin,
               std::span<T> to) {
  const uint64_t end = begin + to.size();
  for (size_t i = 0; i < pieces.size(); ++i) {
    const uint64_t first = std::max(begin, offsets[i]);
    const uint64_t last = std::min(end, offsets[i] + pieces[i].size());
    if (first < last) std::copy_n(pieces[i].data() + (first - offsets[i]), last - first, to.data() + (first - begin));
  }
}

template <class T>
const SentGradient<T>* GradientOf(const ShardState<T>& state, uint64_t rank) {
  for (const SentGradient<T>& held : state.held)
    if (held.rank == rank) return &held;
  return nullptr;
}

}  // namespace

template <class T>
Inherited<T> Merge(const Inheritance<T>& inheritance, const std::vector<std::shared_ptr<ShardState<T>>>& states,
                   size_t size, size_t slots) {
  const auto copy = [&](const auto& part, std::span<T> to) {
    std::vector<std::span<const T>> pieces;
    for (const auto& state : states) pieces.push_back(part(*state));
    CopyRange(inheritance.offsets, pieces, inheritance.begin, to);
  };
  Inherited<T> result;
  MutableArray<T> values(size);
  copy([](const ShardState<T>& state) { return state.values.span(); }, values.span());
  result.values = std::move(values).Seal();
  result.slots.assign(slots, std::vector<T>(size));
  for (size_t k = 0; k < slots; ++k)
    copy([k](const ShardState<T>& state) { return state.slots.at(k).span(); }, std::span<T>(result.slots[k]));
  for (const auto& state : states) {
    result.steps = std::max(result.steps, state->steps);
    result.updates_lost = std::max(result.updates_lost, state->updates_lost);
    for (const SentGradient<T>& held : state->held) {
      if (std::any_of(result.held.begin(), result.held.end(), [&](const auto& one) { return one.rank == held.rank; }))
        continue;
      MutableArray<T> gradient(size);
      std::fill(gradient.begin(), gradient.end(), T{0});
      copy(
          [&](const ShardState<T>& other) {
            const SentGradient<T>* const piece = GradientOf(other, held.rank);
            return piece == nullptr ? std::span<const T>() : piece->values.span();
          },
          gradient.span());
      result.held.push_back({held.rank, held.sequence, held.scale, std::move(gradient).Seal()});
    }
  }
  return result;
}

template Inherited<float> Merge(const Inheritance<float>&, const std::vector<std::shared_ptr<ShardState<float>>>&,
                                size_t, size_t);
template Inherited<double> Merge(const Inheritance<double>&, const std::vector<std::shared_ptr<ShardState<double>>>&,
                                 size_t, size_t);

}  // namespace ray::ps::internal
