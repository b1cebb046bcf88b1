// The options of a parameter server: its optimiser, its policy, and more. Plain values:
// ps::Options{.shards = 4, .optimizer = ps::Adam{.rate = 1e-3}, .policy = ps::Synchronous{.workers = 8}}.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include <ray/api/msgpack.h>

#include <ray/parameter_server/custom.h>

namespace ray {
namespace ps {

// ---- optimisers: w is a parameter, g its gradient, r the rate times the schedule's factor
// ----------------------------

// v = momentum * v + g + weight_decay * w; w -= r * v. With nesterov: w -= r * (g + weight_decay * w + momentum * v).
struct Sgd {
  double rate = 0.01;
  double momentum = 0;
  bool nesterov = false;
  double weight_decay = 0;
  MSGPACK_DEFINE(rate, momentum, nesterov, weight_decay)
};
// n += g^2; w -= r * g / (sqrt(n) + epsilon).
struct Adagrad {
  double rate = 0.01;
  double epsilon = 1e-10;
  double weight_decay = 0;
  MSGPACK_DEFINE(rate, epsilon, weight_decay)
};
// n = decay * n + (1 - decay) * g^2; w -= r * g / (sqrt(n) + epsilon).
struct RmsProp {
  double rate = 0.01;
  double decay = 0.99;
  double epsilon = 1e-8;
  double weight_decay = 0;
  MSGPACK_DEFINE(rate, decay, epsilon, weight_decay)
};
// Kingma and Ba, with both corrections of the bias. The weight decay is part of the gradient.
struct Adam {
  double rate = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0;
  MSGPACK_DEFINE(rate, beta1, beta2, epsilon, weight_decay)
};
// Adam whose weight decay acts on the parameters alone: w -= r * weight_decay * w.
struct AdamW {
  double rate = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.01;
  MSGPACK_DEFINE(rate, beta1, beta2, epsilon, weight_decay)
};
// FTRL-proximal (McMahan and others, 2013): many parameters are exactly 0 with l1 > 0. The first step starts from the
// parameters as they are then.
struct Ftrl {
  double alpha = 0.1;
  double beta = 1;
  double l1 = 0;
  double l2 = 0;
  MSGPACK_DEFINE(alpha, beta, l1, l2)
};
using Optimizer = std::variant<Sgd, Adagrad, RmsProp, Adam, AdamW, Ftrl, CustomRule>;

// Bounds for each gradient of a worker; 0: none. The norm is that of the whole gradient over all shards, and the value
// that of an element, after the norm.
struct Clip {
  double value = 0;
  double norm = 0;
  MSGPACK_DEFINE(value, norm)
};

// The factor of the rate at a step. Steps count from 0; one is a gradient, or a round of a synchronous policy.
struct Schedule {
  enum class Kind { kConstant, kStep, kCosine };
  static Schedule Constant() { return {}; }
  // Times `factor` after each `every` steps.
  static Schedule Step(uint64_t every, double factor) { return {Kind::kStep, every, factor, 0}; }
  // From 1 to `end` along half a cosine over `steps`; `end` afterwards.
  static Schedule Cosine(uint64_t steps, double end = 0) { return {Kind::kCosine, steps, end, 0}; }
  // A straight line from 1 / steps to 1 over the first steps; the rest of the schedule begins behind it.
  Schedule WarmUp(uint64_t steps) const { return {kind, period, factor, steps}; }

  Kind kind = Kind::kConstant;
  uint64_t period = 0;
  double factor = 1;
  uint64_t warm_up = 0;
};

// ---- policies
// --------------------------------------------------------------------------------------------------------

// Each gradient counts when it comes.
struct Async {
  MSGPACK_DEFINE()
};
// A round has one gradient of each worker, summed in the order of their ranks. Get waits for the round's end.
struct Synchronous {
  uint64_t workers = 0;
  MSGPACK_DEFINE(workers)
};
// Each gradient counts when it comes. Get waits for a worker that is more than `staleness` updates ahead of another.
struct Stale {
  uint64_t workers = 0;
  uint64_t staleness = 0;
  MSGPACK_DEFINE(workers, staleness)
};
// A round has the first `workers` gradients of workers + backups workers. Later ones are dropped, and counted.
struct FirstOf {
  uint64_t workers = 0;
  uint64_t backups = 0;
  MSGPACK_DEFINE(workers, backups)
};
// As Async, but a gradient counts 1 / (1 + its staleness).
struct ScaledByStaleness {
  MSGPACK_DEFINE()
};
using Policy = std::variant<Async, Synchronous, Stale, FirstOf, ScaledByStaleness>;

// Each shard writes `path`.shard-I-of-N, on its own machine, after each `every` steps. A shard that dies starts again
// from its file.
struct Checkpoint {
  std::string path = {};  // empty: no checkpoints, and a shard that dies stays dead
  uint64_t every = 0;     // 0: only when Save is called
};

// How a Worker's gradients travel to shards on other machines. What a gradient loses on its way is added to the
// worker's next one.
struct Compression {
  enum class Kind { kNone, kHalf, kByte, kTop };
  static Compression None() { return {}; }
  static Compression Half() { return {Kind::kHalf, 1, false}; }  // 16-bit floats, of at most 65504
  static Compression Byte() { return {Kind::kByte, 1, false}; }  // 8 bits, and one factor for each 256 elements
  // The largest elements, as many as this share of a shard's, and at least one.
  static Compression Top(double share) { return {Kind::kTop, share, false}; }
  Compression Everywhere() const { return {kind, share, true}; }  // to shards on the worker's own machine, too

  Kind kind = Kind::kNone;
  double share = 1;
  bool everywhere = false;
};

struct Options {
  size_t shards = 1;
  Optimizer optimizer = Sgd{};
  Policy policy = Async{};
  Clip clip = {};
  Schedule schedule = {};
  std::unordered_map<std::string, double> resources = {};  // of each shard
  // What each shard takes beside them, such as a resource that one machine has. Empty, or an entry for each shard.
  std::vector<std::unordered_map<std::string, double>> placement = {};
  Checkpoint checkpoint = {};
  // 1: each shard has a second actor that stands by. An update is answered once both have it. A shard that dies starts
  // again from there and loses none. 0: none.
  uint64_t replicas = 0;
  Compression compression = {};
  bool refuse_nan = false;  // Update looks at each gradient, and throws where an element is no finite number
  // Of each call: RayTimeoutException afterwards.
  std::chrono::milliseconds deadline{60'000};
  // How long a worker may keep others waiting: then the round closes without it, or its clock counts no longer.
  std::chrono::milliseconds round_deadline{10'000};
};

}  // namespace ps
}  // namespace ray
