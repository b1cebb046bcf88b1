// The parts of a call about keys: what each shard has of it. Where shards have made place for others meanwhile, a part
// is shared out anew, and its parts join the call. In the process that makes the call; one thread at a time.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <ray/api.h>
#include <ray/parameter_server/table.h>

#include "client/parameter_server/patience.h"
#include "client/parameter_server/table_rows.h"
#include "client/parameter_server/table_shard.h"

namespace ray::ps::internal {

// The different keys of a call, by shard, and where each key's row lies.
template <class K, class T>
struct Batch {
  std::vector<std::vector<K>> keys;
  std::vector<typename Rows<T>::Place> places;
};

template <class K, class T>
Batch<K, T> Split(std::span<const K> keys, size_t shards) {
  // The keys stay where they are meanwhile.
  using Looked = std::conditional_t<std::is_same_v<K, std::string>, std::string_view, K>;
  Batch<K, T> batch{std::vector<std::vector<K>>(shards), {}};
  batch.places.reserve(keys.size());
  absl::flat_hash_map<Looked, typename Rows<T>::Place> known;
  known.reserve(keys.size());
  for (const K& key : keys) {
    const auto [found, is_new] = known.try_emplace(Looked(key));
    if (is_new) {
      const size_t shard = ShardOf(key, shards);
      found->second = {static_cast<uint32_t>(shard), static_cast<uint32_t>(batch.keys[shard].size())};
      batch.keys[shard].push_back(key);
    }
    batch.places.push_back(found->second);
  }
  return batch;
}

inline Array<uint64_t> TravelOf(std::vector<uint64_t> keys) { return Array<uint64_t>::CopyOf(keys); }
inline std::vector<std::string> TravelOf(std::vector<std::string> keys) { return keys; }
inline std::span<const uint64_t> KeysIn(const Array<uint64_t>& keys) { return keys.span(); }
inline std::span<const std::string> KeysIn(const std::vector<std::string>& keys) { return keys; }

// What one shard has of a call. Reply: has `closed` and `resize`.
template <class K, class T, class Reply>
struct TablePart {
  std::shared_ptr<const TableServer<K, T>> server;
  size_t shard = 0;
  typename TravellingKeys<K>::Type keys;
  ObjectRef<Reply> sent;

  const ActorHandle<TableShard<K, T>>& actor() const { return server->shards[shard]; }
};

// Asks the home for the layout that counts now; null: the part's server is that.
template <class K, class T>
using AskElsewhere =
    std::function<std::shared_ptr<const TableServer<K, T>>(const TableServer<K, T>&, uint64_t resize, const Patience&)>;

// What a part comes to. Both are null where its shard died, and nobody knows whether it had counted there.
template <class K, class T, class Reply>
struct PartEnd {
  std::shared_ptr<Reply> reply;
  std::shared_ptr<const TableServer<K, T>> elsewhere;  // the part is to be shared out there
};

// Waits for the part's reply; send(): sends it again. `once`: it may not run twice where its shard starts again without
// a memory of it.
template <class K, class T, class Reply, class Send>
PartEnd<K, T, Reply> EndOf(TablePart<K, T, Reply>& part, const char* what, bool once, const Patience& patience,
                           const AskElsewhere<K, T>& ask, const Send& send) {
  const TableServer<K, T>& server = *part.server;
  const Asked asked{what, part.shard, server.shards.size()};
  bool closed = false;  // as its last reply said
  for (;; part.sent = send()) {
    try {
      const auto reply = AnswerOf(part.sent, asked, patience);
      closed = reply->closed;
      if (reply->closed || reply->resize != 0)
        if (auto elsewhere = ask(server, reply->resize, patience)) return {nullptr, std::move(elsewhere)};
      if (!reply->closed) return {reply, nullptr};
      if (patience.Over()) ThrowClosed(asked, patience.deadline_ms());
    } catch (const ray::internal::RayTimeoutException&) {
      // The last of many questions has too little time for its answer. The replies before it tell the cause.
      if (closed) ThrowClosed(asked, patience.deadline_ms());
      throw;
    } catch (const ray::internal::RayActorException& e) {
      // A process that comes back from its checkpoint has forgotten which pushes that has.
      const bool forgets = once && server.restarts && !server.replicated && e.may_have_run();
      if (forgets) return {};
      if (auto elsewhere = ask(server, 0, patience)) return {nullptr, std::move(elsewhere)};
      if (IsOver(e, server.restarts) || patience.Over()) throw;
    }
    patience.Sleep();
  }
}

}  // namespace ray::ps::internal
