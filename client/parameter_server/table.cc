// The handles of tables: each call goes to all shards that have keys of it, at once.
#include <ray/parameter_server/table.h>

#include <absl/container/flat_hash_map.h>

#include <chrono>
#include <cmath>
#include <optional>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>
#include <variant>

#include <ray/api.h>

#include "client/parameter_server/patience.h"
#include "client/parameter_server/placement.h"
#include "client/parameter_server/policy_core.h"
#include "client/parameter_server/table_shard.h"

namespace ray::ps::internal {

using ray::internal::RayException;

using FloatsByInteger = TableShard<uint64_t, float>;
using DoublesByInteger = TableShard<uint64_t, double>;
using FloatsByString = TableShard<std::string, float>;
using DoublesByString = TableShard<std::string, double>;
// Here, because every program that uses a Table links this file. A program gives nothing to RAY_REMOTE itself.
#define REGISTER_TABLE(S) \
  RAY_REMOTE(S::Create, &S::Pull, &S::Push, &S::Size, &S::Erase, &S::Page, &S::Save, &S::Saved, &S::Load, &S::Commit)
REGISTER_TABLE(ray::ps::internal::FloatsByInteger);
REGISTER_TABLE(ray::ps::internal::DoublesByInteger);
REGISTER_TABLE(ray::ps::internal::FloatsByString);
REGISTER_TABLE(ray::ps::internal::DoublesByString);
#undef REGISTER_TABLE

namespace {

constexpr uint64_t kPageRows = 10'000;

// The different keys of a call, by shard, and where each key's row lies.
template <class K, class T>
struct Batch {
  explicit Batch(size_t shards) : keys(shards) {}
  std::vector<std::vector<K>> keys;
  std::vector<typename Rows<T>::Place> places;
};

template <class K, class T>
Batch<K, T> Split(std::span<const K> keys, size_t shards) {
  // The keys stay where they are meanwhile.
  using Looked = std::conditional_t<std::is_same_v<K, std::string>, std::string_view, K>;
  Batch<K, T> batch(shards);
  batch.places.reserve(keys.size());
  absl::flat_hash_map<Looked, typename Rows<T>::Place> known;
  known.reserve(keys.size());
  for (const K& key : keys) {
    const auto [found, is_new] = known.try_emplace(Looked(key));
    if (is_new) {
      const size_t shard = shards == 1 ? 0 : HashOf(key) % shards;
      found->second = {static_cast<uint32_t>(shard), static_cast<uint32_t>(batch.keys[shard].size())};
      batch.keys[shard].push_back(key);
    }
    batch.places.push_back(found->second);
  }
  return batch;
}

Array<uint64_t> Travelling(std::vector<uint64_t> keys) { return Array<uint64_t>::CopyOf(keys); }
std::vector<std::string> Travelling(std::vector<std::string> keys) { return keys; }

}  // namespace

template <class K, class T>
typename TableClient<K, T>::ServerPtr TableClient<K, T>::Create(size_t row_size, const Options& options,
                                                                const Initializer& initializer, const Filter& filter) {
  if (row_size == 0) throw RayException("rows of 0 elements were asked for: a row has 1 element or more");
  if (options.shards == 0) throw RayException("a table in 0 shards was asked for: a server has 1 shard or more");
  if (!std::holds_alternative<Async>(options.policy))
    throw RayException("the policy " + TextOf(options.policy) + " was asked for, and a table has Async{} alone");
  if (options.checkpoint.every > 0 || !options.checkpoint.path.empty())
    throw RayException("a table makes no checkpoints of its own: call Save");
  if (options.compression.kind != Compression::Kind::kNone)
    throw RayException("a table's gradients are not compressed: leave Options::compression out");
  CheckDeadline(options.deadline);
  CheckPlacement(options);
  static_cast<void>(RuleOfOptimizer(options.optimizer));  // throws for an unknown one
  auto server = std::make_shared<Server>();
  server->row_size = row_size;
  server->refuse_nan = options.refuse_nan;
  server->clip_norm = options.clip.norm;
  server->deadline_ms = options.deadline.count();
  TableSetup setup;
  setup.shards = options.shards;
  setup.row_size = row_size;
  setup.optimizer = {{options.optimizer}, WireSchedule::Of(options.schedule), options.clip.value};
  setup.initializer = static_cast<int>(initializer.kind);
  setup.first = initializer.first;
  setup.second = initializer.second;
  setup.seed = initializer.seed;
  setup.min_count = filter.min_count;
  setup.expire_after = filter.expire_after;
  for (setup.index = 0; setup.index < options.shards; ++setup.index)
    server->shards.push_back(
        ray::Actor(TableShard<K, T>::Create).SetResources(ResourcesOf(options, setup.index)).Remote(setup));
  return server;
}

template <class K, class T>
std::function<Rows<T>()> TableClient<K, T>::Pull(const ServerPtr& server, std::span<const K> keys) {
  const size_t shards = server->shards.size();
  Batch<K, T> batch = Split<K, T>(keys, shards);
  std::vector<ObjectRef<PullReply<T>>> replies(shards);
  for (size_t i = 0; i < shards; ++i)
    if (!batch.keys[i].empty())
      replies[i] = server->shards[i].Task(&TableShard<K, T>::Pull).Remote(Travelling(std::move(batch.keys[i])));
  return [server, replies = std::move(replies), places = std::move(batch.places)]() mutable {
    const Patience patience(server->deadline_ms);
    std::vector<Array<T>> pieces(replies.size());
    for (size_t i = 0; i < replies.size(); ++i)
      if (replies[i].handle() != nullptr) pieces[i] = std::move(replies[i].Get(patience.RemainingMs())->values);
    return Rows<T>(server->row_size, std::move(pieces), std::move(places));
  };
}

template <class K, class T>
std::function<void()> TableClient<K, T>::Push(const ServerPtr& server, std::span<const K> keys,
                                              std::span<const T> rows) {
  const size_t size = server->row_size;
  CheckSize("the list of gradients", rows.size(), keys.size() * size);
  double scale = 1;
  if (server->clip_norm > 0 || server->refuse_nan) {
    const double norm = std::sqrt(SquareSum(rows));
    if (server->refuse_nan && !std::isfinite(norm))
      for (size_t i = 0; i < rows.size(); ++i)
        if (!std::isfinite(rows[i]))
          throw RayException("element " + std::to_string(i % size) + " of the gradient at place " +
                             std::to_string(i / size) + " is " + std::to_string(rows[i]) +
                             ": with refuse_nan a gradient has finite numbers alone");
    if (server->clip_norm > 0 && norm > server->clip_norm) scale = server->clip_norm / norm;
  }
  const size_t shards = server->shards.size();
  Batch<K, T> batch = Split<K, T>(keys, shards);
  std::vector<std::optional<MutableArray<T>>> gradients(shards);
  for (size_t i = 0; i < shards; ++i)
    if (!batch.keys[i].empty()) gradients[i].emplace(batch.keys[i].size() * size);
  std::vector<uint32_t> filled(shards);  // rows of each shard that have a first gradient
  for (size_t i = 0; i < keys.size(); ++i) {
    const auto& place = batch.places[i];
    const T* from = rows.data() + i * size;
    T* to = gradients[place.shard]->data() + place.row * size;
    if (place.row == filled[place.shard]) {
      std::copy_n(from, size, to);
      ++filled[place.shard];
    } else {
      for (size_t k = 0; k < size; ++k) to[k] += from[k];
    }
  }
  std::vector<ObjectRef<void>> replies;
  for (size_t i = 0; i < shards; ++i)
    if (!batch.keys[i].empty())
      replies.push_back(server->shards[i]
                            .Task(&TableShard<K, T>::Push)
                            .Remote(Travelling(std::move(batch.keys[i])), *std::move(gradients[i]), scale));
  return [server, replies = std::move(replies)] { ray::Get(replies, Patience(server->deadline_ms).RemainingMs()); };
}

template <class K, class T>
size_t TableClient<K, T>::Size(const Server& server) {
  std::vector<ObjectRef<uint64_t>> replies;
  for (const auto& shard : server.shards) replies.push_back(shard.Task(&TableShard<K, T>::Size).Remote());
  size_t size = 0;
  for (const auto& reply : ray::Get(replies, Patience(server.deadline_ms).RemainingMs())) size += *reply;
  return size;
}

template <class K, class T>
size_t TableClient<K, T>::Erase(const Server& server, std::span<const K> keys) {
  Batch<K, T> batch = Split<K, T>(keys, server.shards.size());
  std::vector<ObjectRef<uint64_t>> replies;
  for (size_t i = 0; i < server.shards.size(); ++i)
    if (!batch.keys[i].empty())
      replies.push_back(server.shards[i].Task(&TableShard<K, T>::Erase).Remote(Travelling(std::move(batch.keys[i]))));
  size_t erased = 0;
  for (const auto& reply : ray::Get(replies, Patience(server.deadline_ms).RemainingMs())) erased += *reply;
  return erased;
}

template <class K, class T>
void TableClient<K, T>::ForEach(const Server& server, const std::function<void(const K&, std::span<const T>)>& visit) {
  for (const auto& shard : server.shards) {
    uint64_t from = 0;
    do {
      const auto page =
          shard.Task(&TableShard<K, T>::Page).Remote(from, kPageRows).Get(Patience(server.deadline_ms).RemainingMs());
      for (size_t i = 0; i < page->keys.size(); ++i)
        visit(page->keys[i], page->values.span().subspan(i * server.row_size, server.row_size));
      from = page->next;
    } while (from != 0);
  }
}

template <class K, class T>
void TableClient<K, T>::Save(const Server& server, const std::string& path) {
  SaveShards<TableShard<K, T>>(server.shards, path, server.deadline_ms);
}

template <class K, class T>
void TableClient<K, T>::Load(const Server& server, const std::string& path) {
  const Patience patience(server.deadline_ms);
  std::vector<ObjectRef<void>> replies;
  for (const auto& shard : server.shards) replies.push_back(shard.Task(&TableShard<K, T>::Load).Remote(path));
  ray::Get(replies, patience.RemainingMs());
  replies.clear();
  for (const auto& shard : server.shards) replies.push_back(shard.Task(&TableShard<K, T>::Commit).Remote());
  ray::Get(replies, patience.RemainingMs());
}

template class TableClient<uint64_t, float>;
template class TableClient<uint64_t, double>;
template class TableClient<std::string, float>;
template class TableClient<std::string, double>;

}  // namespace ray::ps::internal
