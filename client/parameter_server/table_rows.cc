#include "client/parameter_server/table_rows.h"

#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numbers>
#include <utility>

namespace ray::ps::internal {

using ray::internal::RayException;

namespace {

constexpr size_t kAhead = 8;               // keys and rows that are fetched before they are used
constexpr size_t kPrefetchedBytes = 1024;  // of a row; the processor sees by itself that more is read in order

uint64_t Mix(uint64_t z) {  // SplitMix64
  z += 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

double Fraction(uint64_t bits) { return static_cast<double>(bits >> 11) * 0x1p-53; }  // at least 0, less than 1

void AppendKey(std::vector<std::byte>& bytes, uint64_t key) {
  const auto part = std::as_bytes(std::span<const uint64_t, 1>(&key, 1));
  bytes.insert(bytes.end(), part.begin(), part.end());
}
void AppendKey(std::vector<std::byte>& bytes, const std::string& key) {
  AppendKey(bytes, key.size());
  const auto part = std::as_bytes(std::span(key));
  bytes.insert(bytes.end(), part.begin(), part.end());
}

// The key at `offset`, which moves behind it. False where the bytes end before.
bool TakeKey(std::span<const std::byte> bytes, size_t& offset, uint64_t& key) {
  if (bytes.size() - offset < sizeof key) return false;
  std::memcpy(&key, bytes.data() + offset, sizeof key);
  offset += sizeof key;
  return true;
}
bool TakeKey(std::span<const std::byte> bytes, size_t& offset, std::string& key) {
  uint64_t size = 0;
  if (!TakeKey(bytes, offset, size) || bytes.size() - offset < size) return false;
  key.assign(reinterpret_cast<const char*>(bytes.data()) + offset, size);
  offset += size;
  return true;
}

template <class K>
std::vector<K> KeysOf(std::span<const std::byte> bytes, size_t count, const std::string& source) {
  std::vector<K> keys(count);
  size_t offset = 0;
  for (K& key : keys)
    if (!TakeKey(bytes, offset, key)) throw RayException(source + " is damaged: it has fewer keys than rows");
  return keys;
}

// Blocks of a few huge pages, where the table is large enough for that.
size_t RowsOfBlock(size_t row_bytes) {
  constexpr size_t kLeast = 1024, kMost = 8192;
  size_t rows = kMost;
  while (rows > kLeast && rows * row_bytes > 2 * kHugePageBytes) rows /= 2;
  return rows;
}

}  // namespace

uint64_t HashOf(uint64_t key) { return Mix(key); }
uint64_t HashOf(const std::string& key) { return XXH3_64bits(key.data(), key.size()); }

template <class K, class T>
TableRows<K, T>::TableRows(const TableSetup& setup)
    : setup_(setup),
      optimizer_(setup.optimizer.optimizer.value),
      rule_(RuleOfOptimizer(optimizer_)),
      schedule_(setup.optimizer.schedule.schedule()),
      slots_(SlotsOf(optimizer_)),
      stride_(setup.row_size * (1 + slots_)),
      rows_of_block_(RowsOfBlock(stride_ * sizeof(T))),
      scratch_(setup.row_size) {}

template <class K, class T>
void TableRows<K, T>::Initialise(const K& key, T* elements) const {
  const auto kind = static_cast<Initializer::Kind>(setup_.initializer);
  if (kind == Initializer::Kind::kConstant) {
    std::fill_n(elements, setup_.row_size, static_cast<T>(setup_.first));
    return;
  }
  uint64_t state = Mix(HashOf(key) ^ Mix(setup_.seed));
  for (size_t i = 0; i < setup_.row_size; ++i) {
    const double one = Fraction(state = Mix(state));
    if (kind == Initializer::Kind::kUniform) {
      elements[i] = static_cast<T>(setup_.first + (setup_.second - setup_.first) * one);
    } else {  // Box and Muller
      const double two = Fraction(state = Mix(state));
      elements[i] = static_cast<T>(setup_.first + setup_.second * std::sqrt(-2 * std::log(1 - one)) *
                                                      std::cos(2 * std::numbers::pi * two));
    }
  }
}

template <class K, class T>
typename TableRows<K, T>::Place TableRows<K, T>::Find(const K& key) {
  if (const auto found = index_.find(key); found != index_.end()) return found->second;
  if (setup_.min_count > 1) {
    if (counted_.size() >= kCountedKeysMax) counted_.clear();
    if (++counted_[key] < setup_.min_count) return kNoPlace;
    counted_.erase(key);
  }
  const Place place = NewRow(key);
  Initialise(key, Elements(place));
  return place;
}

template <class K, class T>
void TableRows<K, T>::FindAll(const Keys& keys) {
  places_.clear();
  places_.reserve(keys.size());
  for (size_t i = 0; i < keys.size(); ++i) {
    if (i + kAhead < keys.size()) index_.prefetch(keys[i + kAhead]);
    places_.push_back(Find(keys[i]));
  }
}

template <class K, class T>
void TableRows<K, T>::PrefetchRow(size_t i) const {
  constexpr size_t kLineBytes = 64;
  if (i >= places_.size() || places_[i] == kNoPlace) return;
  const auto* const row = reinterpret_cast<const char*>(Elements(places_[i]));
  const size_t bytes = std::min(kPrefetchedBytes, stride_ * sizeof(T));
  for (size_t offset = 0; offset < bytes; offset += kLineBytes) __builtin_prefetch(row + offset);
  __builtin_prefetch(&rows_[places_[i]]);
}

// Its elements are unspecified, and its slots 0.
template <class K, class T>
typename TableRows<K, T>::Place TableRows<K, T>::NewRow(const K& key) {
  if (free_.empty()) {
    const size_t first = rows_.size();
    if (first + rows_of_block_ > kNoPlace)
      throw RayException("a shard of a table has at most 4294967295 rows: create the table with more shards");
    blocks_.emplace_back(static_cast<T*>(AllocateHuge(rows_of_block_ * stride_ * sizeof(T))));
    rows_.resize(first + rows_of_block_);
    for (size_t i = rows_of_block_; i-- > 0;) free_.push_back(static_cast<Place>(first + i));
  }
  const Place place = free_.back();
  free_.pop_back();
  rows_[place] = Row{key, pushes_, 0, true};
  index_.emplace(key, place);
  std::fill_n(Elements(place) + setup_.row_size, stride_ - setup_.row_size, T{0});
  return place;
}

template <class K, class T>
void TableRows<K, T>::Free(Place place) {
  index_.erase(rows_[place].key);
  rows_[place] = Row();
  free_.push_back(place);
}

template <class K, class T>
Array<T> TableRows<K, T>::Pull(const Keys& keys) {
  MutableArray<T> values(keys.size() * setup_.row_size);
  T* to = values.data();
  FindAll(keys);
  for (size_t i = 0; i < keys.size(); ++i) {
    PrefetchRow(i + kAhead);
    if (places_[i] != kNoPlace) {
      rows_[places_[i]].touched = pushes_;
      std::copy_n(Elements(places_[i]), setup_.row_size, to);
    } else {
      Initialise(keys[i], to);
    }
    to += setup_.row_size;
  }
  return std::move(values).Seal();
}

template <class K, class T>
void TableRows<K, T>::Push(const Keys& keys, const Array<T>& gradients, double scale) {
  CheckSize("the gradients of a shard", gradients.size(), keys.size() * setup_.row_size);
  const double factor = FactorAt(schedule_, pushes_);
  ++pushes_;
  const T* from = gradients.data();
  FindAll(keys);
  for (size_t i = 0; i < keys.size(); ++i) {
    PrefetchRow(i + kAhead);
    if (const Place place = places_[i]; place != kNoPlace) {
      rows_[place].touched = pushes_;
      T* const elements = Elements(place);
      T* const first = slots_ > 0 ? elements + setup_.row_size : nullptr;
      T* const second = slots_ > 1 ? first + setup_.row_size : nullptr;
      StepRow<T>(optimizer_, rule_.get(), factor, rows_[place].steps++, {from, setup_.row_size}, scale,
                 setup_.optimizer.clip_value, {elements, setup_.row_size}, first, second, scratch_);
    }
    from += setup_.row_size;
  }
  if (setup_.expire_after > 0 && pushes_ % setup_.expire_after == 0) EraseExpired();
}

template <class K, class T>
void TableRows<K, T>::EraseExpired() {
  for (Place place = 0; place < rows_.size(); ++place)
    if (rows_[place].used && pushes_ - rows_[place].touched >= setup_.expire_after) Free(place);
}

template <class K, class T>
uint64_t TableRows<K, T>::Erase(const Keys& keys) {
  uint64_t erased = 0;
  for (const K& key : keys)
    if (const auto found = index_.find(key); found != index_.end()) {
      Free(found->second);
      ++erased;
    }
  return erased;
}

template <class K, class T>
TablePage<K, T> TableRows<K, T>::Page(uint64_t from, uint64_t count) const {
  TablePage<K, T> page;
  std::vector<Place> places;
  uint64_t place = from;
  for (; place < rows_.size() && places.size() < count; ++place)
    if (rows_[place].used) places.push_back(static_cast<Place>(place));
  MutableArray<T> values(places.size() * setup_.row_size);
  for (size_t i = 0; i < places.size(); ++i) {
    page.keys.push_back(rows_[places[i]].key);
    std::copy_n(Elements(places[i]), setup_.row_size, values.data() + i * setup_.row_size);
  }
  page.values = std::move(values).Seal();
  page.next = place < rows_.size() ? place : 0;
  return page;
}

template <class K>
void CheckKeys(std::span<const std::byte> bytes, size_t count, const std::string& source) {
  size_t offset = 0;
  K key{};
  for (size_t i = 0; i < count; ++i)
    if (!TakeKey(bytes, offset, key)) throw RayException(source + " is damaged: it has fewer keys than rows");
}
template void CheckKeys<uint64_t>(std::span<const std::byte>, size_t, const std::string&);
template void CheckKeys<std::string>(std::span<const std::byte>, size_t, const std::string&);

template <class K, class T>
CheckpointOf TableRows<K, T>::Description() const {
  CheckpointOf of;
  of.shard = setup_.index;
  of.shards = setup_.shards;
  of.row_size = setup_.row_size;
  of.element_bytes = sizeof(T);
  of.optimizer = setup_.optimizer.optimizer.value.index();
  of.slots = slots_;
  of.keys = std::is_same_v<K, std::string> ? CheckpointOf::kStringKeys : CheckpointOf::kIntegerKeys;
  of.run = setup_.run;
  of.version = pushes_;
  return of;
}

template <class K, class T>
std::shared_ptr<RowsContent<T>> TableRows<K, T>::Copy(size_t index, size_t shards) const {
  auto content = std::make_shared<RowsContent<T>>();
  content->of = Description();
  content->values.reserve(index_.size() / shards * stride_);
  for (Place place = 0; place < rows_.size(); ++place) {
    if (!rows_[place].used || ShardOf(rows_[place].key, shards) != index) continue;
    AppendKey(content->keys, rows_[place].key);
    content->steps.push_back(rows_[place].steps);
    content->touched.push_back(rows_[place].touched);
    content->values.insert(content->values.end(), Elements(place), Elements(place) + stride_);
  }
  for (const auto& [key, count] : counted_) {
    if (ShardOf(key, shards) != index) continue;
    AppendKey(content->counted_keys, key);
    content->counted.push_back(count);
  }
  content->of.size = content->steps.size();
  content->of.key_bytes = content->keys.size();
  return content;
}

template <class K, class T>
bool TableRows<K, T>::HasAll(const Keys& keys) const {
  return !PullsCount() && std::all_of(keys.begin(), keys.end(), [&](const K& key) { return index_.contains(key); });
}

template <class K, class T>
void TableRows<K, T>::Clear() {
  index_.clear();
  rows_.clear();
  rows_.shrink_to_fit();
  blocks_.clear();
  free_.clear();
  counted_.clear();
}

template <class K, class T>
void TableRows<K, T>::Put(const RowsContent<T>& content, const std::string& source, bool replaces) {
  const auto keys = KeysOf<K>(content.keys, content.steps.size(), source);
  const auto counted_keys = KeysOf<K>(content.counted_keys, content.counted.size(), source);
  CheckSize("the list of elements of rows", content.values.size(), keys.size() * stride_);
  if (replaces) {
    Clear();
    pushes_ = content.of.version;
  }
  for (size_t i = 0; i < keys.size(); ++i) {
    const Place place = NewRow(keys[i]);
    rows_[place].steps = content.steps[i];
    if (!content.touched.empty()) rows_[place].touched = pushes_ - (content.of.version - content.touched[i]);
    std::copy_n(content.values.data() + i * stride_, stride_, Elements(place));
  }
  for (size_t i = 0; i < counted_keys.size() && counted_.size() < kCountedKeysMax; ++i)
    counted_[counted_keys[i]] = content.counted[i];
}

template class TableRows<uint64_t, float>;
template class TableRows<uint64_t, double>;
template class TableRows<std::string, float>;
template class TableRows<std::string, double>;

}  // namespace ray::ps::internal
