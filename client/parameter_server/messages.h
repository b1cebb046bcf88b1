// The values that travel between the handles of a parameter server and its shards.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>

#include <ray/api/array.h>
#include <ray/api/msgpack.h>
#include <ray/parameter_server/options.h>

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
  MSGPACK_DEFINE(index, shards, size, optimizer, policy, round_deadline_ms, checkpoint, checkpoint_every, run,
                 compresses)
};

struct PushArguments {
  uint64_t rank = 0;
  uint64_t based_on = 0;  // the version that the worker read, or kNoVersion
  uint64_t sequence = 0;
  double scale = 1;  // of the gradient
  MSGPACK_DEFINE(rank, based_on, sequence, scale)
};

struct WireCompression {
  int kind = 0;
  double share = 1;
  MSGPACK_DEFINE(kind, share)

  Compression compression() const { return {static_cast<Compression::Kind>(kind), share, false}; }
};

template <class T>
struct ReadReply {
  bool ready = false;  // false: the policy says to wait
  uint64_t version = 0;
  uint64_t machine = 0;  // the shard's MachineNumber; 0 without compression
  CellPlace cell;        // where the shard's version is seen
  Array<T> values;       // none where the reader has this version already
  MSGPACK_DEFINE(ready, version, machine, cell, values)
};

}  // namespace ray::ps::internal
