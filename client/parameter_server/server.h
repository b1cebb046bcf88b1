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

// ---- a Resize, in the process that created the server

// What an earlier Resize could not end: the home says whether a layout in doubt counts, or hears where the parameters
// are, and their shards open. Returns the layout that counts. Throws where an actor does not answer.
template <class T>
std::shared_ptr<const Server<T>> Mend(const std::shared_ptr<const Server<T>>& known);
// The same server with so many shards, which have all that the old ones had, and the home knows it. The old ones are
// closed then, and never open again. Throws where the old ones stay, and where nobody knows whether they do.
template <class T>
std::shared_ptr<const Server<T>> Resized(const Server<T>& old, size_t shards);
// Tells the other old shards that `next` counts. Readers of one that does not hear it ask the home.
template <class T>
void Announce(const Server<T>& old, const Server<T>& next);

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
extern template void Announce(const Server<float>&, const Server<float>&);
extern template void Announce(const Server<double>&, const Server<double>&);
extern template std::shared_ptr<const Server<float>> Mend(const std::shared_ptr<const Server<float>>&);
extern template std::shared_ptr<const Server<double>> Mend(const std::shared_ptr<const Server<double>>&);

}  // namespace ray::ps::internal
