// The actors of a dense parameter server: how they start, and how they make place for others in a Resize. Called by
// handles, in the process that owns the actors.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>

#include <ray/parameter_server/layout.h>
#include <ray/parameter_server/options.h>
#include <ray/parameter_server/parameters.h>

namespace ray::ps::internal {

uint64_t RandomNumber();
// Of a gradient that belongs to no Worker. They begin at random, so that those of processes differ.
uint64_t NextSequence();

// Throws RayException for a tensor without elements.
Layout LayoutOf(const std::map<std::string, Shape>& tensors, size_t shards);

// `initial`: all parameters, or empty for zeros. Throws RayException for options that contradict each other.
// `inherits`: the shards have nothing yet, and take over what others have.
template <class T>
std::shared_ptr<Server<T>> StartServer(Layout layout, std::span<const T> initial, const Options& options,
                                       bool inherits = false);

// A Resize, in the process that created the server: as Conduct.
template <class T>
std::shared_ptr<const Server<T>> Resized(const Server<T>& old, size_t shards);

// Of the pieces of one layout, those of another. They have the same size in all.
template <class T>
std::vector<MutableArray<T>> Resplit(const std::vector<std::span<const T>>& pieces, const Layout& to) {
  const SplitSpan<const T> all(pieces, {});
  CheckSize("the list of elements to share out", all.size(), to.size());
  std::vector<MutableArray<T>> shared;
  for (size_t i = 0; i < to.shards(); ++i) {
    MutableArray<T>& piece = shared.emplace_back(to.ShardSize(i));
    all.Part(to.offsets[i], to.ShardSize(i), {}).CopyTo(piece.span());
  }
  return shared;
}

extern template std::shared_ptr<Server<float>> StartServer(Layout, std::span<const float>, const Options&, bool);
extern template std::shared_ptr<Server<double>> StartServer(Layout, std::span<const double>, const Options&, bool);
extern template std::shared_ptr<const Server<float>> Resized(const Server<float>&, size_t);
extern template std::shared_ptr<const Server<double>> Resized(const Server<double>&, size_t);

}  // namespace ray::ps::internal
