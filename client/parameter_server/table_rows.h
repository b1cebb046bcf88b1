// TableRows<K, T>: the rows of some keys with their optimiser. Owned by a TableShard or its TableReplica. One thread at
// a time. A row has its elements, then the optimiser's slots, in a block that never moves. Always holds: `index_` has
// the keys of exactly the rows that are not in `free_`. The same calls in the same order leave the same rows.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <ray/parameter_server/table.h>

#include "client/parameter_server/checkpoint.h"
#include "client/parameter_server/huge_pages.h"
#include "client/parameter_server/kernels.h"
#include "client/parameter_server/table_messages.h"

namespace ray::ps::internal {

// Keys that Filter has not let in yet are counted for at most as many keys as this. Then all counts begin again.
constexpr size_t kCountedKeysMax = size_t{1} << 20;

uint64_t HashOf(uint64_t key);
uint64_t HashOf(const std::string& key);

// Which of so many shards has the key.
template <class K>
size_t ShardOf(const K& key, size_t shards) {
  return shards == 1 ? 0 : HashOf(key) % shards;
}

// Throws RayException where the bytes have fewer keys than that.
template <class K>
void CheckKeys(std::span<const std::byte> bytes, size_t count, const std::string& source);

template <class K, class T>
class TableRows {
 public:
  using Keys = typename TravellingKeys<K>::Type;

  explicit TableRows(const TableSetup& setup);

  // The keys are all different here.
  Array<T> Pull(const Keys& keys);
  void Push(const Keys& keys, const Array<T>& gradients, double scale);
  uint64_t Erase(const Keys& keys);
  // Up to `count` rows from place `from` on.
  TablePage<K, T> Page(uint64_t from, uint64_t count) const;
  uint64_t size() const { return index_.size(); }
  uint64_t pushes() const { return pushes_; }
  void set_pushes(uint64_t pushes) { pushes_ = pushes; }
  // A pull changes what a filter knows of its keys, beside the rows that begin.
  bool PullsCount() const { return setup_.min_count > 1 || setup_.expire_after > 0; }

  CheckpointOf Description() const;
  // Of all rows, or of those alone that shard `index` of so many has.
  std::shared_ptr<RowsContent<T>> Copy(size_t index = 0, size_t shards = 1) const;
  // Throws RayException where the content has other keys than rows; nothing changes then. Without `touched`, all rows
  // count as touched now.
  void Take(const RowsContent<T>& content, const std::string& source) { Put(content, source, true); }
  // Beside the rows that are there, which have other keys. Rows keep their ages in pushes.
  void Add(const RowsContent<T>& content, const std::string& source) { Put(content, source, false); }
  void Clear();
  // Whether a pull of these keys changes nothing.
  bool HasAll(const Keys& keys) const;

 private:
  using Place = uint32_t;
  static constexpr Place kNoPlace = ~Place{0};
  struct Row {
    K key{};
    uint64_t touched = 0;  // the push that named it last
    uint32_t steps = 0;    // of the optimiser
    bool used = false;
  };
  struct Freed {
    void operator()(T* block) const { std::free(block); }
  };

  T* Elements(Place place) const { return blocks_[place / rows_of_block_].get() + place % rows_of_block_ * stride_; }
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
  void Put(const RowsContent<T>& content, const std::string& source, bool replaces);

  const TableSetup setup_;
  const Optimizer optimizer_;
  const std::shared_ptr<const Rule> rule_;  // of a custom one
  const Schedule schedule_;
  const size_t slots_;
  const size_t stride_;  // elements of a row with its slots
  const size_t rows_of_block_;
  absl::flat_hash_map<K, Place, absl::Hash<K>, std::equal_to<K>, HugePageAllocator<std::pair<const K, Place>>> index_;
  std::vector<Row, HugePageAllocator<Row>> rows_;
  std::vector<std::unique_ptr<T[], Freed>> blocks_;
  std::vector<Place> free_;
  absl::flat_hash_map<K, uint32_t> counted_;  // keys that have no row yet
  std::vector<T> scratch_;
  std::vector<Place> places_;  // of the keys of this call
  uint64_t pushes_ = 0;
};

}  // namespace ray::ps::internal
