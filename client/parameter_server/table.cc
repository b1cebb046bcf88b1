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

#include "client/parameter_server/option_checks.h"
#include "client/parameter_server/patience.h"
#include "client/parameter_server/placement.h"
#include "client/parameter_server/policy_core.h"
#include "client/parameter_server/server.h"
#include "client/parameter_server/table_replica.h"
#include "client/parameter_server/table_shard.h"

namespace ray::ps::internal {

using ray::internal::RayException;

using FloatsByInteger = TableShard<uint64_t, float>;
using DoublesByInteger = TableShard<uint64_t, double>;
using FloatsByString = TableShard<std::string, float>;
using DoublesByString = TableShard<std::string, double>;
// Here, because every program that uses a Table links this file. A program gives nothing to RAY_REMOTE itself.
#define REGISTER_TABLE(S)                                                                                             \
  RAY_REMOTE(S::Create, &S::Pull, &S::Push, &S::Size, &S::Erase, &S::Page, &S::Stats, &S::Know, &S::Refill, &S::Save, \
             &S::Saved, &S::Load, &S::Commit)
REGISTER_TABLE(ray::ps::internal::FloatsByInteger);
REGISTER_TABLE(ray::ps::internal::DoublesByInteger);
REGISTER_TABLE(ray::ps::internal::FloatsByString);
REGISTER_TABLE(ray::ps::internal::DoublesByString);
#undef REGISTER_TABLE
using FloatStandbyByInteger = TableReplica<uint64_t, float>;
using DoubleStandbyByInteger = TableReplica<uint64_t, double>;
using FloatStandbyByString = TableReplica<std::string, float>;
using DoubleStandbyByString = TableReplica<std::string, double>;
#define REGISTER_STANDBY(S) RAY_REMOTE(S::Create, &S::Follow, &S::Fill, &S::Ready, &S::Know, &S::Export)
REGISTER_STANDBY(ray::ps::internal::FloatStandbyByInteger);
REGISTER_STANDBY(ray::ps::internal::DoubleStandbyByInteger);
REGISTER_STANDBY(ray::ps::internal::FloatStandbyByString);
REGISTER_STANDBY(ray::ps::internal::DoubleStandbyByString);
#undef REGISTER_STANDBY

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

// One call of each shard, all at once, and the results in the order of the shards.
template <class K, class T, class Call>
auto OfAll(const TableServer<K, T>& server, const char* what, const Call& call) {
  const Patience patience(server.deadline_ms);
  std::vector<decltype(call(server.shards[0]))> replies;
  for (const auto& shard : server.shards) replies.push_back(call(shard));
  std::vector<decltype(replies[0].Get(0))> results;
  for (size_t i = 0; i < replies.size(); ++i)
    results.push_back(Insist(
        server.restarts, patience, {what, i, replies.size()}, [&] { return call(server.shards[i]); }, replies[i]));
  return results;
}

}  // namespace

template <class K, class T>
typename TableClient<K, T>::ServerPtr TableClient<K, T>::Create(size_t row_size, const Options& options,
                                                                const Initializer& initializer, const Filter& filter) {
  if (row_size == 0) throw RayException("rows of 0 elements were asked for: a row has 1 element or more");
  if (options.shards == 0) throw RayException("a table in 0 shards was asked for: a server has 1 shard or more");
  if (!std::holds_alternative<Async>(options.policy))
    throw RayException("the policy " + TextOf(options.policy) + " was asked for, and a table has Async{} alone");
  CheckSafety(options);
  CheckNumbers(options);
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
  setup.checkpoint = options.checkpoint.path;
  setup.checkpoint_every = options.checkpoint.every;
  setup.run = RandomNumber();
  server->replicated = options.replicas > 0;
  server->restarts = server->replicated || !options.checkpoint.path.empty();
  for (setup.index = 0; setup.index < options.shards; ++setup.index) {
    std::vector<ActorHandle<TableReplica<K, T>>> replica;
    if (server->replicated) {
      replica.push_back(ray::Actor(TableReplica<K, T>::Create)
                            .SetResources(ResourcesOf(options, (setup.index + 1) % setup.shards))
                            .SetMaxRestarts(-1)
                            .Remote(setup));
      server->replicas.push_back(replica[0]);
    }
    server->shards.push_back(ray::Actor(TableShard<K, T>::Create)
                                 .SetResources(ResourcesOf(options, setup.index))
                                 .SetMaxRestarts(server->restarts ? -1 : 0)
                                 .Remote(setup, replica));
    if (server->replicated) Introduce(server->shards.back());
  }
  return server;
}

template <class K, class T>
std::function<Rows<T>()> TableClient<K, T>::Pull(const ServerPtr& server, std::span<const K> keys) {
  const size_t shards = server->shards.size();
  Batch<K, T> batch = Split<K, T>(keys, shards);
  std::vector<ObjectRef<PullReply<T>>> replies(shards);
  std::vector<typename TravellingKeys<K>::Type> sent(shards);  // for a shard that has to be asked again
  for (size_t i = 0; i < shards; ++i)
    if (!batch.keys[i].empty()) {
      sent[i] = Travelling(std::move(batch.keys[i]));
      replies[i] = server->shards[i].Task(&TableShard<K, T>::Pull).Remote(sent[i]);
    }
  return [server, replies = std::move(replies), sent = std::move(sent), places = std::move(batch.places)]() mutable {
    const Patience patience(server->deadline_ms);
    std::vector<Array<T>> pieces(replies.size());
    for (size_t i = 0; i < replies.size(); ++i) {
      if (replies[i].handle() == nullptr) continue;
      const auto again = [&] { return server->shards[i].Task(&TableShard<K, T>::Pull).Remote(sent[i]); };
      pieces[i] =
          std::move(Insist(server->restarts, patience, {"a pull", i, replies.size()}, again, replies[i])->values);
    }
    return Rows<T>(server->row_size, std::move(pieces), std::move(places));
  };
}

template <class K, class T>
std::function<bool()> TableClient<K, T>::Push(const ServerPtr& server, std::span<const K> keys,
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
  struct Sent {
    size_t index = 0;
    ActorHandle<TableShard<K, T>> shard;
    typename TravellingKeys<K>::Type keys;
    Array<T> gradients;
    uint64_t sequence = 0;
    ObjectRef<void> reply;
  };
  const uint64_t sequence = NextSequence();
  std::vector<Sent> sent;
  for (size_t i = 0; i < shards; ++i) {
    if (batch.keys[i].empty()) continue;
    Sent& one = sent.emplace_back();
    one = {i, server->shards[i], Travelling(std::move(batch.keys[i])), std::move(*gradients[i]).Seal(), sequence, {}};
    one.reply = one.shard.Task(&TableShard<K, T>::Push).Remote(one.keys, one.gradients, scale, one.sequence);
  }
  return [server, sent = std::move(sent), scale]() mutable {
    const Patience patience(server->deadline_ms);
    bool counts = true;
    for (Sent& one : sent) {
      for (bool done = false; !done;) {
        try {
          AnswerOf(one.reply, {"a push", one.index, server->shards.size()}, patience);
          done = true;
        } catch (const ray::internal::RayActorException& e) {
          if (IsOver(e, server->restarts) || patience.Over()) throw;
          if (server->replicated) {
            patience.Sleep();
            one.reply = one.shard.Task(&TableShard<K, T>::Push).Remote(one.keys, one.gradients, scale, one.sequence);
          } else {
            counts = false;
            done = true;
          }
        }
      }
    }
    return counts;
  };
}

template <class K, class T>
size_t TableClient<K, T>::Size(const Server& server) {
  size_t size = 0;
  for (const auto& of_shard :
       OfAll(server, "Size", [](const auto& s) { return s.Task(&TableShard<K, T>::Size).Remote(); }))
    size += *of_shard;
  return size;
}

template <class K, class T>
std::vector<TableStats> TableClient<K, T>::Stats(const Server& server) {
  std::vector<TableStats> stats;
  for (const auto& one :
       OfAll(server, "Stats", [](const auto& s) { return s.Task(&TableShard<K, T>::Stats).Remote(); }))
    stats.push_back(*one);
  return stats;
}

template <class K, class T>
size_t TableClient<K, T>::Erase(const Server& server, std::span<const K> keys) {
  Batch<K, T> batch = Split<K, T>(keys, server.shards.size());
  const Patience patience(server.deadline_ms);
  size_t erased = 0;
  for (size_t i = 0; i < server.shards.size(); ++i) {
    if (batch.keys[i].empty()) continue;
    const auto sent = Travelling(std::move(batch.keys[i]));
    const auto call = [&] { return server.shards[i].Task(&TableShard<K, T>::Erase).Remote(sent); };
    erased += *Insist(server.restarts, patience, {"Erase", i, server.shards.size()}, call);
  }
  return erased;
}

template <class K, class T>
void TableClient<K, T>::ForEach(const Server& server, const std::function<void(const K&, std::span<const T>)>& visit) {
  for (size_t i = 0; i < server.shards.size(); ++i) {
    uint64_t from = 0;
    do {
      const auto call = [&] { return server.shards[i].Task(&TableShard<K, T>::Page).Remote(from, kPageRows); };
      const auto page =
          Insist(server.restarts, Patience(server.deadline_ms), {"ForEach", i, server.shards.size()}, call);
      for (size_t k = 0; k < page->keys.size(); ++k)
        visit(page->keys[k], page->values.span().subspan(k * server.row_size, server.row_size));
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
  AnswersOf(replies, "Load", patience);
  replies.clear();
  for (const auto& shard : server.shards) replies.push_back(shard.Task(&TableShard<K, T>::Commit).Remote());
  AnswersOf(replies, "Load", patience);
}

template class TableClient<uint64_t, float>;
template class TableClient<uint64_t, double>;
template class TableClient<std::string, float>;
template class TableClient<std::string, double>;

}  // namespace ray::ps::internal
