// The handles of tables: each call goes to all shards that have keys of it, at once.
#include <ray/parameter_server/table.h>

#include <absl/container/flat_hash_set.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <utility>

#include <ray/api.h>

#include "client/parameter_server/home.h"
#include "client/parameter_server/patience.h"
#include "client/parameter_server/removal.h"
#include "client/parameter_server/server.h"
#include "client/parameter_server/table_parts.h"
#include "client/parameter_server/table_replica.h"
#include "client/parameter_server/table_server.h"
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
             &S::Saved, &S::Load, &S::Commit, &S::Begin, &S::Renew, &S::Close, &S::Export, &S::Inherit, &S::Open,     \
             &S::Move, &S::Lacks, &S::Where)
REGISTER_TABLE(ray::ps::internal::FloatsByInteger);
REGISTER_TABLE(ray::ps::internal::DoublesByInteger);
REGISTER_TABLE(ray::ps::internal::FloatsByString);
REGISTER_TABLE(ray::ps::internal::DoublesByString);
#undef REGISTER_TABLE
using FloatStandbyByInteger = TableReplica<uint64_t, float>;
using DoubleStandbyByInteger = TableReplica<uint64_t, double>;
using FloatStandbyByString = TableReplica<std::string, float>;
using DoubleStandbyByString = TableReplica<std::string, double>;
#define REGISTER_STANDBY(S) RAY_REMOTE(S::Create, &S::Follow, &S::Fill, &S::Ready, &S::Know, &S::Note, &S::Export)
REGISTER_STANDBY(ray::ps::internal::FloatStandbyByInteger);
REGISTER_STANDBY(ray::ps::internal::DoubleStandbyByInteger);
REGISTER_STANDBY(ray::ps::internal::FloatStandbyByString);
REGISTER_STANDBY(ray::ps::internal::DoubleStandbyByString);
#undef REGISTER_STANDBY

namespace {

constexpr uint64_t kPageRows = 10'000;

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

// ---- a pull

template <class K, class T>
class PullCall {
 public:
  PullCall(std::shared_ptr<const TableServer<K, T>> server, std::span<const K> keys, AskElsewhere<K, T> ask)
      : ask_(std::move(ask)), row_size_(server->row_size), deadline_ms_(server->deadline_ms) {
    places_ = Send(std::move(server), keys);
  }

  Rows<T> Get() {
    const Patience patience(deadline_ms_);
    std::vector<Array<T>> pieces;
    std::map<uint32_t, std::vector<Place>> shared;  // where the rows of a part are instead
    for (size_t i = 0; i < parts_.size(); ++i) {
      pieces.emplace_back();
      if (parts_[i].sent.handle() == nullptr) continue;
      const auto end = EndOf(parts_[i], "a pull", false, patience, ask_, [&] { return Sent(parts_[i]); });
      if (end.elsewhere == nullptr) {
        pieces[i] = std::move(end.reply->values);
        continue;
      }
      const auto keys = parts_[i].keys;  // further parts move this one in memory
      shared[static_cast<uint32_t>(i)] = Send(end.elsewhere, KeysIn(keys));
    }
    if (!shared.empty())
      for (Place& place : places_)
        for (auto found = shared.find(place.shard); found != shared.end(); found = shared.find(place.shard))
          place = found->second[place.row];
    return Rows<T>(row_size_, std::move(pieces), std::move(places_));
  }

 private:
  using Part = TablePart<K, T, PullReply<T>>;
  using Place = typename Rows<T>::Place;

  static ObjectRef<PullReply<T>> Sent(const Part& part) {
    return part.actor().Task(&TableShard<K, T>::Pull).Remote(part.keys);
  }
  // A part for each shard. Returns where the rows of the keys are, in parts.
  std::vector<Place> Send(std::shared_ptr<const TableServer<K, T>> server, std::span<const K> keys) {
    Batch<K, T> batch = Split<K, T>(keys, server->shards.size());
    const auto first = static_cast<uint32_t>(parts_.size());
    for (size_t i = 0; i < server->shards.size(); ++i) {
      Part& part = parts_.emplace_back(Part{server, i, {}, {}});
      if (batch.keys[i].empty()) continue;
      part.keys = TravelOf(std::move(batch.keys[i]));
      part.sent = Sent(part);
    }
    if (first > 0)
      for (Place& place : batch.places) place.shard += first;
    return std::move(batch.places);
  }

  AskElsewhere<K, T> ask_;
  uint64_t row_size_;
  int64_t deadline_ms_;
  std::vector<Part> parts_;
  std::vector<Place> places_;
};

// ---- a push

// The factor that gives gradients at most the norm.
template <class K, class T>
double ScaleOf(const TableServer<K, T>& server, std::span<const T> rows) {
  if (server.clip_norm <= 0 && !server.refuse_nan) return 1;
  const size_t size = server.row_size;
  const double norm = std::sqrt(SquareSum(rows));
  if (server.refuse_nan && !std::isfinite(norm))
    for (size_t i = 0; i < rows.size(); ++i)
      if (!std::isfinite(rows[i]))
        throw RayException("element " + std::to_string(i % size) + " of the gradient at place " +
                           std::to_string(i / size) + " is " + std::to_string(rows[i]) +
                           ": with refuse_nan a gradient has finite numbers alone");
  return server.clip_norm > 0 && norm > server.clip_norm ? server.clip_norm / norm : 1;
}

template <class K, class T>
class PushCall {
 public:
  PushCall(const std::shared_ptr<const TableServer<K, T>>& server, std::span<const K> keys, std::span<const T> rows,
           bool waits, AskElsewhere<K, T> ask)
      : ask_(std::move(ask)), deadline_ms_(server->deadline_ms) {
    Send(server, keys, rows, {.scale = ScaleOf(*server, rows), .sequence = 0, .from = {}, .waits = waits});
  }

  // Whether it counts for certain.
  bool Get() {
    const Patience patience(deadline_ms_);
    bool counts = true;
    for (size_t i = 0; i < parts_.size(); ++i) {
      parts_[i].push.waits = true;
      const auto end = EndOf(parts_[i], "a push", true, patience, ask_, [&] { return Sent(parts_[i]); });
      if (end.elsewhere != nullptr) {
        const Part part = parts_[i];  // further parts move this one in memory
        TablePush push = part.push;
        push.from.push_back(push.sequence);
        Send(end.elsewhere, KeysIn(part.keys), part.gradients.span(), push);
      } else if (end.reply == nullptr) {
        counts = false;
      }
    }
    return counts;
  }

 private:
  struct Part : TablePart<K, T, TableReply> {
    Array<T> gradients;
    TablePush push;
  };

  static ObjectRef<TableReply> Sent(const Part& part) {
    return part.actor().Task(&TableShard<K, T>::Push).Remote(part.keys, part.gradients, part.push);
  }
  // Gradients of a repeated key add up. Where the keys come from a part, shards without any hear that none comes.
  void Send(const std::shared_ptr<const TableServer<K, T>>& server, std::span<const K> keys, std::span<const T> rows,
            const TablePush& push) {
    const size_t size = server->row_size;
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
    for (size_t i = 0; i < shards; ++i) {
      if (batch.keys[i].empty() && push.from.empty()) continue;
      Part& part = parts_.emplace_back();
      part.server = server;
      part.shard = i;
      part.push = push;
      part.push.sequence = NextSequence();
      if (!batch.keys[i].empty()) {
        part.keys = TravelOf(std::move(batch.keys[i]));
        part.gradients = std::move(*gradients[i]).Seal();
      }
      part.sent = Sent(part);
    }
  }

  AskElsewhere<K, T> ask_;
  int64_t deadline_ms_;
  std::vector<Part> parts_;
};

// ---- an erasure

template <class K, class T>
class EraseCall {
 public:
  EraseCall(const std::shared_ptr<const TableServer<K, T>>& server, std::span<const K> keys, AskElsewhere<K, T> ask)
      : ask_(std::move(ask)), deadline_ms_(server->deadline_ms) {
    Send(server, keys);
  }

  size_t Get() {
    const Patience patience(deadline_ms_);
    size_t erased = 0;
    for (size_t i = 0; i < parts_.size(); ++i) {
      const auto end = EndOf(parts_[i], "Erase", false, patience, ask_, [&] { return Sent(parts_[i]); });
      if (end.elsewhere == nullptr) {
        erased += end.reply->erased;
      } else {
        const auto keys = parts_[i].keys;  // further parts move this one in memory
        Send(end.elsewhere, KeysIn(keys));
      }
    }
    return erased;
  }

 private:
  using Part = TablePart<K, T, TableReply>;

  static ObjectRef<TableReply> Sent(const Part& part) {
    return part.actor().Task(&TableShard<K, T>::Erase).Remote(part.keys);
  }
  void Send(const std::shared_ptr<const TableServer<K, T>>& server, std::span<const K> keys) {
    Batch<K, T> batch = Split<K, T>(keys, server->shards.size());
    for (size_t i = 0; i < batch.keys.size(); ++i) {
      if (batch.keys[i].empty()) continue;
      Part& part = parts_.emplace_back(Part{server, i, TravelOf(std::move(batch.keys[i])), {}});
      part.sent = Sent(part);
    }
  }

  AskElsewhere<K, T> ask_;
  int64_t deadline_ms_;
  std::vector<Part> parts_;
};

// ---- a visit of all rows

// The keys whose rows were visited. A shard that is visited whole is remembered as that, whatever layout comes.
template <class K>
class Visited {
 public:
  bool Has(const K& key) const {
    return keys_.contains(key) || std::any_of(layouts_.begin(), layouts_.end(), [&](const Layout& layout) {
             return ShardOf(key, layout.shards) < layout.whole;
           });
  }
  // The first `whole` shards of a layout that counts no longer.
  void AddShards(size_t whole, size_t shards) {
    if (whole > 0) layouts_.push_back({whole, shards});
  }
  void AddKeys(const std::vector<K>& keys) { keys_.insert(keys.begin(), keys.end()); }

 private:
  struct Layout {
    size_t whole;
    size_t shards;
  };
  std::vector<Layout> layouts_;
  absl::flat_hash_set<K> keys_;
};

}  // namespace

template <class K, class T>
typename TableClient<K, T>::ServerPtr TableClient<K, T>::Start(size_t row_size, const Options& options,
                                                               const Initializer& initializer, const Filter& filter) {
  return StartTable<K, T>(row_size, {options, initializer, filter});
}

template <class K, class T>
typename TableClient<K, T>::ServerPtr TableClient<K, T>::Elsewhere(const TableServer<K, T>& server, uint64_t resize,
                                                                   const Patience& patience) const {
  if (this->pointer()->epoch <= server.epoch) {
    auto newer = NewerThan(server, resize, patience);
    if (newer == nullptr) return nullptr;
    this->Moved(std::move(newer));
  }
  return this->pointer();
}

template <class K, class T>
bool TableClient<K, T>::Refresh(const TableServer<K, T>& server, uint64_t resize, const Patience& patience) const {
  return Elsewhere(server, resize, patience) != nullptr;
}

template <class K, class T>
template <class Call>
auto TableClient<K, T>::SettledRead(const char* what, const Call& call) const {
  return internal::SettledRead(
      what, [this] { return this->Require(); }, [this](const auto&... a) { return Refresh(a...); }, call);
}

template <class K, class T>
std::function<Rows<T>()> TableClient<K, T>::StartPull(std::span<const K> keys) const {
  const auto ask = [handle = *this](const auto&... a) { return handle.Elsewhere(a...); };
  return [call = PullCall<K, T>(this->Require(), keys, ask)]() mutable { return call.Get(); };
}

template <class K, class T>
std::function<bool()> TableClient<K, T>::StartPush(std::span<const K> keys, std::span<const T> rows, bool waits) const {
  const auto server = this->Require();
  CheckSize("the list of gradients", rows.size(), keys.size() * server->row_size);
  const auto ask = [handle = *this](const auto&... a) { return handle.Elsewhere(a...); };
  return [call = PushCall<K, T>(server, keys, rows, waits, ask)]() mutable { return call.Get(); };
}

template <class K, class T>
size_t TableClient<K, T>::EraseRows(std::span<const K> keys) const {
  return EraseCall<K, T>(this->Require(), keys, [this](const auto&... a) { return Elsewhere(a...); }).Get();
}

template <class K, class T>
size_t TableClient<K, T>::Size() const {
  return SettledRead("Size", [](const TableServer<K, T>& server) {
    size_t size = 0;
    for (const auto& of_shard :
         OfAll(server, "Size", [](const auto& s) { return s.Task(&TableShard<K, T>::Size).Remote(); }))
      size += *of_shard;
    return size;
  });
}

template <class K, class T>
std::vector<TableStats> TableClient<K, T>::Stats() const {
  return SettledRead("Stats", [](const TableServer<K, T>& server) {
    std::vector<TableStats> stats;
    for (const auto& one :
         OfAll(server, "Stats", [](const auto& s) { return s.Task(&TableShard<K, T>::Stats).Remote(); }))
      stats.push_back(*one);
    return stats;
  });
}

// A page is of places, which another process of the shard does not have, nor another layout.
template <class K, class T>
void TableClient<K, T>::Visit(const std::function<void(const K&, std::span<const T>)>& visit) const {
  Visited<K> visited;
  std::vector<K> keys;  // of the shard that is visited now
  uint64_t from = 0;
  int64_t process = 0;
  auto server = this->Require();
  for (size_t i = 0; i < server->shards.size();) {
    const Patience patience(server->deadline_ms);
    const auto call = [&] { return server->shards[i].Task(&TableShard<K, T>::Page).Remote(from, kPageRows); };
    std::shared_ptr<TablePage<K, T>> page;
    ServerPtr elsewhere;
    try {
      page = Insist(server->restarts, patience, {"ForEach", i, server->shards.size()}, call);
      if (page->moved || page->resize != 0) elsewhere = Elsewhere(*server, page->resize, patience);
      for (; page->moved && elsewhere == nullptr; elsewhere = Elsewhere(*server, 0, patience)) {
        if (patience.Over()) ThrowClosed({"ForEach", i, server->shards.size()}, server->deadline_ms);
        patience.Sleep();
      }
    } catch (const ray::internal::RayActorException&) {
      elsewhere = Elsewhere(*server, 0, patience);
      if (elsewhere == nullptr) throw;
    }
    if (elsewhere != nullptr || (from != 0 && page->process != process)) {
      visited.AddKeys(keys);
      keys.clear();
      from = 0;
      if (elsewhere == nullptr) continue;
      visited.AddShards(i, server->shards.size());
      server = std::move(elsewhere);
      i = 0;
      continue;
    }
    for (size_t k = 0; k < page->keys.size(); ++k)
      if (!visited.Has(page->keys[k]))
        visit(page->keys[k], page->values.span().subspan(k * server->row_size, server->row_size));
    keys.insert(keys.end(), page->keys.begin(), page->keys.end());
    process = page->process;
    from = page->next;
    if (from != 0) continue;
    keys.clear();
    ++i;
  }
}

template <class K, class T>
void TableClient<K, T>::Save(const std::string& path) const {
  SettledRead("Save", [&](const TableServer<K, T>& server) {
    SaveShards<TableShard<K, T>>(server.shards, path, server.deadline_ms);
  });
}

template <class K, class T>
void TableClient<K, T>::Load(const std::string& path) const {
  Settled([this] { return this->Require(); }, [this](const auto&... a) { return Refresh(a...); },
          [&](const TableServer<K, T>& server) {
            const Patience patience(server.deadline_ms);
            std::vector<ObjectRef<void>> replies;
            for (const auto& shard : server.shards) replies.push_back(shard.Task(&TableShard<K, T>::Load).Remote(path));
            AnswersOf(replies, "Load", patience);
            replies.clear();
            for (const auto& shard : server.shards) replies.push_back(shard.Task(&TableShard<K, T>::Commit).Remote());
            AnswersOf(replies, "Load", patience);
          });
}

template <class K, class T>
void TableClient<K, T>::Resize(size_t shards) {
  ResizeFrom(
      this->Require(), shards, [&](const TableServer<K, T>& server) { return ResizedTable(server, shards); },
      [this](ServerPtr newer) { this->Moved(std::move(newer)); });
}

template class TableClient<uint64_t, float>;
template class TableClient<uint64_t, double>;
template class TableClient<std::string, float>;
template class TableClient<std::string, double>;

}  // namespace ray::ps::internal
