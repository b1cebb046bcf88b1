#include "client/parameter_server/server.h"

#include <atomic>
#include <random>
#include <utility>
#include <vector>

#include <ray/api.h>

#include "client/parameter_server/compression.h"
#include "client/parameter_server/option_checks.h"
#include "client/parameter_server/patience.h"
#include "client/parameter_server/placement.h"
#include "client/parameter_server/replica.h"
#include "client/parameter_server/shard.h"

namespace ray::ps::internal {

uint64_t RandomNumber() {
  std::random_device device;
  return (uint64_t{device()} << 32) ^ device();
}

uint64_t NextSequence() {
  static std::atomic<uint64_t> next{RandomNumber()};
  return next.fetch_add(1, std::memory_order_relaxed);  // it orders nothing
}

template <class T>
std::shared_ptr<Server<T>> StartServer(Layout layout, std::span<const T> initial, const Options& options,
                                       bool inherits) {
  auto server = std::make_shared<Server<T>>();
  server->layout.pointer = std::make_shared<const Layout>(std::move(layout));
  server->options = std::make_shared<const Options>(options);
  server->ranks = RanksOf(options.policy);
  server->has_rounds = HasRounds(options.policy);
  server->refuse_nan = options.refuse_nan;
  server->clip_norm = options.clip.norm;
  server->deadline_ms = options.deadline.count();
  server->policy = TextOf(options.policy);
  server->compression = static_cast<int>(options.compression.kind);
  server->share = options.compression.share;
  server->everywhere = options.compression.everywhere;
  CheckDeadline(options.deadline);
  CheckCompression(options.compression);
  CheckPlacement(options);
  CheckSafety(options);
  CheckNumbers(options);
  static_cast<void>(RuleOfOptimizer(options.optimizer));                  // throws for an unknown one
  static_cast<void>(PolicyCore(options.policy, options.round_deadline));  // throws for no workers
  ShardSetup setup;
  setup.shards = server->layout->shards();
  setup.optimizer = {{options.optimizer}, WireSchedule::Of(options.schedule), options.clip.value};
  setup.policy = {options.policy};
  setup.round_deadline_ms = options.round_deadline.count();
  setup.checkpoint = options.checkpoint.path;
  setup.checkpoint_every = options.checkpoint.every;
  setup.run = RandomNumber();
  setup.inherits = inherits;
  setup.compresses = options.compression.kind != Compression::Kind::kNone;
  server->replicated = options.replicas > 0;
  server->restarts = server->replicated || !options.checkpoint.path.empty();
  for (size_t i = 0; i < server->layout->shards(); ++i) {
    setup.index = i;
    setup.size = server->layout->ShardSize(i);
    Array<T> piece;
    if (!initial.empty()) piece = Array<T>::CopyOf(initial.subspan(server->layout->offsets[i], setup.size));
    std::vector<ActorHandle<Replica<T>>> replica;
    if (server->replicated) {
      replica.push_back(ray::Actor(Replica<T>::Create)
                            .SetResources(ResourcesOf(options, (i + 1) % setup.shards))
                            .SetMaxRestarts(-1)
                            .Remote(setup, piece));
      server->replicas.push_back(replica[0]);
    }
    server->shards.push_back(ray::Actor(Shard<T>::Create)
                                 .SetResources(ResourcesOf(options, i))
                                 .SetMaxRestarts(server->restarts ? -1 : 0)
                                 .Remote(setup, std::move(piece), replica));
    if (server->replicated) Introduce(server->shards.back());
  }
  server->home = server->shards[0];
  return server;
}

Layout LayoutOf(const std::map<std::string, Shape>& tensors, size_t shards) {
  std::map<std::string, TensorPlace> places;
  size_t size = 0;
  for (const auto& [name, shape] : tensors) {
    size_t count = 1;
    for (const size_t length : shape)
      if (length == 0 || __builtin_mul_overflow(count, length, &count))
        throw ray::internal::RayException("the tensor '" + name + "' has a dimension of " + std::to_string(length) +
                                          ": it takes 1 or more, and a size that memory holds");
    places[name] = {size, shape};
    size += count;
  }
  Layout layout = SplitEvenly(size, shards);
  layout.tensors = std::move(places);
  return layout;
}

template std::shared_ptr<Server<float>> StartServer(Layout, std::span<const float>, const Options&, bool);
template std::shared_ptr<Server<double>> StartServer(Layout, std::span<const double>, const Options&, bool);

}  // namespace ray::ps::internal
