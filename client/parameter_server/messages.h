// The values that travel between the handles of a parameter server and its shards.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <ray/api/array.h>
#include <ray/api/msgpack.h>
#include <ray/api/object_ref.h>
#include <ray/parameter_server/options.h>
#include <ray/parameter_server/parameters.h>

#include "client/parameter_server/policy_core.h"
#include "client/parameter_server/version_cell.h"

namespace ray::ps::internal {

// A variant as [index, value].
template <class V>
struct Wire;
template <class... A>
struct Wire<std::variant<A...>> {
  std::variant<A...> value;

  template <class Packer>
  void msgpack_pack(Packer& packer) const {
    packer.pack_array(2);
    packer.pack(static_cast<uint64_t>(value.index()));
    std::visit([&](const auto& content) { packer.pack(content); }, value);
  }
  void msgpack_unpack(const msgpack::object& object) {
    if (object.type != msgpack::type::ARRAY || object.via.array.size != 2) throw msgpack::type_error();
    const auto index = object.via.array.ptr[0].as<uint64_t>();
    if (index >= sizeof...(A)) throw msgpack::type_error();
    Unpack(index, object.via.array.ptr[1], std::index_sequence_for<A...>());
  }

 private:
  template <size_t... I>
  void Unpack(uint64_t index, const msgpack::object& content, std::index_sequence<I...>) {
    static_cast<void>(((index == I && (value = content.as<A>(), true)) || ...));
  }
};

struct WireSchedule {
  int kind = 0;
  uint64_t period = 0;
  double factor = 1;
  uint64_t warm_up = 0;
  MSGPACK_DEFINE(kind, period, factor, warm_up)

  static WireSchedule Of(const Schedule& s) { return {static_cast<int>(s.kind), s.period, s.factor, s.warm_up}; }
  Schedule schedule() const { return {static_cast<Schedule::Kind>(kind), period, factor, warm_up}; }
};

struct WireOptimizer {
  Wire<Optimizer> optimizer;
  WireSchedule schedule;
  double clip_value = 0;
  MSGPACK_DEFINE(optimizer, schedule, clip_value)
};

// The argument from which a shard is made.
struct ShardSetup {
  uint64_t index = 0;   // of this shard
  uint64_t shards = 1;  // in all
  uint64_t size = 0;    // of this shard
  WireOptimizer optimizer;
  Wire<Policy> policy;
  int64_t round_deadline_ms = 0;
  std::string checkpoint;  // path without the shard's number; empty: none
  uint64_t checkpoint_every = 0;
  uint64_t run = 0;         // a random number of this server
  bool compresses = false;  // readers are told the machine
  bool inherits = false;    // it has nothing before Inherit: it is one of a Resize
  MSGPACK_DEFINE(index, shards, size, optimizer, policy, round_deadline_ms, checkpoint, checkpoint_every, run,
                 compresses, inherits)
};

// A gradient that counts, or will with its round.
template <class T>
struct SentGradient {
  uint64_t rank = 0;
  uint64_t sequence = 0;
  double scale = 1;
  Array<T> values;
  MSGPACK_DEFINE(rank, sequence, scale, values)
};

// What a shard tells its replica.
template <class T>
struct ReplicaEvent {
  uint64_t before = 0;   // the shard's version before
  uint64_t version = 0;  // and now
  uint64_t workers = 0;  // of the policy
  std::vector<SentGradient<T>> gradients;
  bool is_step = false;  // these and the held ones are a step now; otherwise they are held for the round
  std::vector<RankState> ranks;
  MSGPACK_DEFINE(before, version, workers, gradients, is_step, ranks)
};

// Whether a shard of a server S takes changes. It outlives the shard's process, where shards start again.
template <class S>
struct DoorState {
  bool closed = false;
  std::vector<S> moved;  // none, or the server with the shards that have the content now
  uint64_t resize = 0;   // that has closed it
  MSGPACK_DEFINE(closed, moved, resize)
};

// What a shard knows about Resizes, and the home about all of them.
template <class S>
struct WhereReply {
  DoorState<S> door;
  uint64_t under_way = 0;  // the Resize that the home knows; 0: none
  MSGPACK_DEFINE(door, under_way)
};

// Whether a shard has given its place to others.
struct MoveReply {
  bool moved = false;             // false: the Resize was given up, and the layout before counts
  std::vector<uint64_t> refused;  // sequences of changes that it kept out meanwhile
  MSGPACK_DEFINE(moved, refused)
};

// All that a shard has. What is kept for the next pass is in the values.
template <class T>
struct ShardState {
  bool filled = false;
  uint64_t version = 0;
  uint64_t workers = 0;
  uint64_t restarts = 0;
  uint64_t steps = 0;  // of the optimiser
  Array<T> values;
  std::vector<Array<T>> slots;  // of the optimiser
  std::vector<SentGradient<T>> held;
  std::vector<uint64_t> recent;  // sequences
  DoorState<Server<T>> door;
  std::vector<RankState> ranks;
  std::string shard;    // the id of its actor
  PolicyCounts counts;  // for another shard, but for no replica; and so the rest
  uint64_t updates_lost = 0;
  MSGPACK_DEFINE(filled, version, workers, restarts, steps, values, slots, held, recent, door, ranks, shard, counts,
                 updates_lost)
};

// What a closed shard has.
struct ClosedReply {
  uint64_t version = 0;
  std::vector<uint64_t> recent;  // sequences of gradients, and those of the last ones
  std::vector<uint64_t> newest;
  uint64_t missing = 0;    // of the gradients that others have; and a Load that is half done
  bool forgetful = false;  // its process came back from a checkpoint, and does not know which gradients that has
  std::vector<RankState> ranks;
  MSGPACK_DEFINE(version, recent, newest, missing, forgetful, ranks)
};

// What a shard takes over from the shards before a Resize.
template <class T>
struct Inheritance {
  uint64_t begin = 0;                            // of the shard, in all parameters
  std::vector<uint64_t> offsets;                 // of the states, and at last the end of the last one
  std::vector<ObjectRef<ShardState<T>>> states;  // of the shards that have some of its parameters
  uint64_t version = 0;
  std::vector<uint64_t> recent;   // gradients that all shards have
  std::vector<uint64_t> partial;  // gradients that some of them have
  std::vector<RankState> ranks;
  MSGPACK_DEFINE(begin, offsets, states, version, recent, partial, ranks)
};

template <class T>
std::vector<Array<T>> ArraysOf(const std::vector<std::vector<T>>& vectors) {
  std::vector<Array<T>> arrays;
  for (const auto& vector : vectors) arrays.push_back(Array<T>::CopyOf(vector));
  return arrays;
}
template <class T>
std::vector<std::vector<T>> VectorsOf(const std::vector<Array<T>>& arrays) {
  std::vector<std::vector<T>> vectors;
  for (const auto& array : arrays) vectors.emplace_back(array.begin(), array.end());
  return vectors;
}

struct PushArguments {
  uint64_t rank = 0;
  uint64_t based_on = 0;  // the version that the worker read, or kNoVersion
  uint64_t sequence = 0;
  double scale = 1;    // of the gradient
  bool waits = false;  // its worker waits for its fate, and sends it until it hears of it
  MSGPACK_DEFINE(rank, based_on, sequence, scale, waits)
};

struct WireCompression {
  int kind = 0;
  double share = 1;
  MSGPACK_DEFINE(kind, share)

  Compression compression() const { return {static_cast<Compression::Kind>(kind), share, false}; }
};

template <class T>
struct ReadReply {
  bool ready = false;   // false: the policy says to wait
  bool moved = false;   // other shards have the parameters now
  uint64_t resize = 0;  // that has closed the shard; 0: none
  uint64_t version = 0;
  uint64_t machine = 0;  // the shard's ThisMachine; 0 without compression
  CellPlace cell;        // where the shard's version is seen
  Array<T> values;       // none where the reader has this version already
  MSGPACK_DEFINE(ready, moved, resize, version, machine, cell, values)
};

}  // namespace ray::ps::internal
