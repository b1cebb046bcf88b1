// The values that travel between the handles of a table, its shards and their replicas.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <ray/api/array.h>
#include <ray/api/msgpack.h>
#include <ray/parameter_server/table.h>

#include "client/parameter_server/checkpoint.h"
#include "client/parameter_server/messages.h"

namespace ray::ps::internal {

// The argument from which a shard is made.
struct TableSetup {
  uint64_t index = 0;  // of this shard
  uint64_t shards = 1;
  uint64_t row_size = 0;
  WireOptimizer optimizer;
  int initializer = 0;  // Initializer::Kind
  double first = 0;
  double second = 0;
  uint64_t seed = 0;
  uint64_t min_count = 0;
  uint64_t expire_after = 0;
  std::string checkpoint;  // path without the shard's number; empty: none
  uint64_t checkpoint_every = 0;
  uint64_t run = 0;       // a random number of this table
  bool inherits = false;  // it has nothing before Inherit: it is one of a Resize
  MSGPACK_DEFINE(index, shards, row_size, optimizer, initializer, first, second, seed, min_count, expire_after,
                 checkpoint, checkpoint_every, run, inherits)
};

// The part of a push that one shard has.
struct TablePush {
  double scale = 1;  // of the gradients
  uint64_t sequence = 0;
  std::vector<uint64_t> from;  // parts of the same push in earlier layouts, of which this one has some keys
  bool waits = false;          // its caller waits for its fate, and sends it until it hears of it
  MSGPACK_DEFINE(scale, sequence, from, waits)
};

// Of a change: whether the shard takes none now. Its caller asks where the rows are, and sends it again.
struct TableReply {
  bool closed = false;
  uint64_t resize = 0;  // that has closed the shard; 0: none, or other shards have the rows
  uint64_t erased = 0;
  MSGPACK_DEFINE(closed, resize, erased)
};

// Closed without values: the shard takes no change now, and the pull would be one. With values: as the shard is since
// it was closed.
template <class T>
struct PullReply {
  bool closed = false;
  uint64_t resize = 0;
  Array<T> values;
  MSGPACK_DEFINE(closed, resize, values)
};

template <class K, class T>
struct TablePage {
  std::vector<K> keys;
  Array<T> values;
  uint64_t next = 0;  // 0: there is no more
  bool moved = false;
  uint64_t resize = 0;  // that has closed the shard
  int64_t process = 0;  // another one has other places
  MSGPACK_DEFINE(keys, values, next, moved, resize, process)
};

template <class K, class T>
struct TableEvent {
  enum Kind : int { kPull, kPush, kErase };
  uint64_t before = 0;  // events before this one
  int kind = kPush;
  typename TravellingKeys<K>::Type keys;
  Array<T> gradients;  // of a push
  double scale = 1;
  uint64_t sequence = 0;
  MSGPACK_DEFINE(before, kind, keys, gradients, scale, sequence)
};

// Rows as a checkpoint has them, in the order of their places.
template <class T>
struct RowsContent {
  CheckpointOf of;
  std::vector<std::byte> keys;
  std::vector<uint32_t> steps;
  std::vector<T> values;  // with the optimiser's slots
  // For another shard alone, and for a replica:
  std::vector<uint64_t> touched;
  std::vector<std::byte> counted_keys;
  std::vector<uint32_t> counted;
};

// All that a shard has, or all that one shard of the next layout takes from it.
template <class K, class T>
struct TableState {
  bool filled = false;
  uint64_t events = 0;
  uint64_t pushes = 0;
  uint64_t restarts = 0;
  Array<uint8_t> keys;
  Array<uint32_t> steps;
  Array<uint64_t> touched;
  Array<T> values;
  Array<uint8_t> counted_keys;
  Array<uint32_t> counted;
  std::vector<uint64_t> recent;  // sequences
  std::string shard;             // the id of its actor
  DoorState<TableServer<K, T>> door;
  uint64_t updates_lost = 0;  // for another shard, but for no replica
  MSGPACK_DEFINE(filled, events, pushes, restarts, keys, steps, touched, values, counted_keys, counted, recent, shard,
                 door, updates_lost)

  void Set(const RowsContent<T>& content) {
    filled = true;
    pushes = content.of.version;
    keys = BytesOf(content.keys);
    steps = Array<uint32_t>::CopyOf(content.steps);
    touched = Array<uint64_t>::CopyOf(content.touched);
    values = Array<T>::CopyOf(content.values);
    counted_keys = BytesOf(content.counted_keys);
    counted = Array<uint32_t>::CopyOf(content.counted);
  }
  RowsContent<T> content() const {
    RowsContent<T> content;
    content.of.version = pushes;
    content.keys = VectorOf(keys);
    content.steps.assign(steps.begin(), steps.end());
    content.touched.assign(touched.begin(), touched.end());
    content.values.assign(values.begin(), values.end());
    content.counted_keys = VectorOf(counted_keys);
    content.counted.assign(counted.begin(), counted.end());
    return content;
  }

 private:
  static Array<uint8_t> BytesOf(const std::vector<std::byte>& bytes) {
    return Array<uint8_t>::CopyOf({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
  }
  static std::vector<std::byte> VectorOf(const Array<uint8_t>& bytes) {
    const auto span = std::as_bytes(bytes.span());
    return {span.begin(), span.end()};
  }
};

// What a shard takes over from the shards before a Resize.
template <class K, class T>
struct TableInheritance {
  // Of each old shard, for each new one.
  std::vector<ObjectRef<std::vector<TableState<K, T>>>> states;
  MSGPACK_DEFINE(states)
};

}  // namespace ray::ps::internal
