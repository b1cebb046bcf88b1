// TableShard<K, T>: the actor that holds the rows of some keys. Its process runs one method at a time.
// A row has its elements, then the optimiser's slots, in a block that never moves. Always holds: `index_` has the keys
// of exactly the rows that are not in `free_`.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <ray/api.h>
#include <ray/parameter_server/table.h>

#include "client/parameter_server/checkpoint.h"
#include "client/parameter_server/kernels.h"
#include "client/parameter_server/messages.h"
#include "client/parameter_server/saver.h"

namespace ray::ps::internal {

// Keys that Filter has not let in yet are counted for at most as many keys as this. Then all counts begin again.
constexpr size_t kCountedKeysMax = size_t{1} << 20;
constexpr size_t kRowsOfBlock = 1024;

uint64_t HashOf(uint64_t key);
uint64_t HashOf(const std::string& key);

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
  MSGPACK_DEFINE(index, shards, row_size, optimizer, initializer, first, second, seed, min_count, expire_after)
};

template <class K, class T>
class TableShard {
 public:
  using Keys = typename TravellingKeys<K>::Type;

  static TableShard* Create(const TableSetup& setup) { return new TableShard(setup); }

  // The keys are all different here.
  PullReply<T> Pull(const Keys& keys);
  void Push(const Keys& keys, const Array<T>& gradients, double scale);
  uint64_t Size() { return index_.size(); }
  uint64_t Erase(const Keys& keys);
  // Up to `count` rows from place `from` on.
  TablePage<K, T> Page(uint64_t from, uint64_t count);

  uint64_t Save(const std::string& path);  // as Shard<T>
  bool Saved(uint64_t number) { return saver_.Done(number); }
  void Load(const std::string& path);
  void Commit();

 private:
  using Place = uint32_t;
  static constexpr Place kNoPlace = ~Place{0};
  struct Row {
    K key{};
    uint32_t steps = 0;    // of the optimiser
    uint64_t touched = 0;  // the push that named it last
    bool used = false;
  };

  explicit TableShard(const TableSetup& setup);
  T* Elements(Place place) const { return blocks_[place / kRowsOfBlock].get() + place % kRowsOfBlock * stride_; }
  void Initialise(const K& key, T* elements) const;
  // The row of the key, which begins here where the filter lets it; otherwise kNoPlace.
  Place Find(const K& key);
  // The rows of all keys, in places_. Rows and their keys are far apart in memory: all are looked for before the first
  // one is used.
  void FindAll(const Keys& keys);
  void PrefetchRow(size_t i) const;  // of places_
  Place NewRow(const K& key);
  void Free(Place place);
  void EraseExpired();
  CheckpointOf Description() const;

  const TableSetup setup_;
  const Optimizer optimizer_;
  const std::shared_ptr<const Rule> rule_;  // of a custom one
  const Schedule schedule_;
  const size_t slots_;
  const size_t stride_;  // elements of a row with its slots
  absl::flat_hash_map<K, Place> index_;
  std::vector<Row> rows_;
  std::vector<std::unique_ptr<T[]>> blocks_;
  std::vector<Place> free_;
  absl::flat_hash_map<K, uint32_t> counted_;  // keys that have no row yet
  std::vector<T> scratch_;
  std::vector<Place> places_;  // of the keys of this call
  uint64_t pushes_ = 0;
  Saver saver_;
  struct Loaded;
  std::shared_ptr<Loaded> loaded_;  // between Load and Commit
};

}  // namespace ray::ps::internal
