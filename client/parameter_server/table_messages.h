// What a shard of a table tells its replica.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ray/api/array.h>
#include <ray/api/msgpack.h>
#include <ray/parameter_server/table.h>

#include "client/parameter_server/table_rows.h"

namespace ray::ps::internal {

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

// All that a shard has.
template <class T>
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
  MSGPACK_DEFINE(filled, events, pushes, restarts, keys, steps, touched, values, counted_keys, counted, recent, shard)

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

}  // namespace ray::ps::internal
