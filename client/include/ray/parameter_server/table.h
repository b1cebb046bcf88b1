// Table<Key, T>: a parameter server of rows by key, such as one row for each user, movie or word. A row begins when its
// key is first asked for. Keys are integers or strings, in any order, and may be repeated. Rows lie in shards by the
// hash of their keys. T is float or double.
//
//   auto words = ps::Table<std::string, float>::Create(64, {.shards = 2, .optimizer = ps::Adagrad{.rate = 0.05}},
//                                                      ps::Initializer::Uniform(-0.01, 0.01));
//   auto rows = words.Pull(keys);        // rows[i] is the row of keys[i]
//   words.Push(keys, gradients);         // keys.size() rows of gradients, one after the other
//
// A handle is a value: copied, kept in fields, passed to tasks and actors. The shards end with the last handle of the
// process that created them. Thread-safe. Gradients count when they come: the policies are those of Parameters alone.
// A shard that dies starts again from its checkpoint or its replica, where the options ask for one.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <ray/api/actor_handle.h>
#include <ray/api/array.h>
#include <ray/api/object_ref.h>

#include <ray/parameter_server/handle.h>
#include <ray/parameter_server/layout.h>
#include <ray/parameter_server/options.h>

#include <ray/internal/export.h>

namespace ray {
namespace ps {

// The values of a row at its beginning. They depend on the seed and the key alone.
struct Initializer {
  enum class Kind { kConstant, kUniform, kNormal };
  static Initializer Zero() { return {}; }
  static Initializer Constant(double value) { return {Kind::kConstant, value, 0, 0}; }
  static Initializer Uniform(double low, double high, uint64_t seed = 0) { return {Kind::kUniform, low, high, seed}; }
  static Initializer Normal(double mean, double deviation, uint64_t seed = 0) {
    return {Kind::kNormal, mean, deviation, seed};
  }

  Kind kind = Kind::kConstant;
  double first = 0;
  double second = 0;
  uint64_t seed = 0;
};

// Which keys have rows. A key that is seen for the first times has its initial values, and gradients for it are
// dropped, until min_count pulls and pushes have named it. A row that expire_after pushes to its shard have not named
// is erased.
struct Filter {
  uint64_t min_count = 0;
  uint64_t expire_after = 0;  // 0: never
};

// The rows of the keys that were pulled, in their order. The memory lies in the store, once for each different key, and
// is pinned while a copy of the Rows lives.
template <class T>
class Rows {
 public:
  struct Place {
    uint32_t shard = 0;
    uint32_t row = 0;
  };
  Rows() = default;
  Rows(size_t row_size, std::vector<Array<T>> pieces, std::vector<Place> places)
      : row_size_(row_size), pieces_(std::move(pieces)), places_(std::move(places)) {}

  size_t size() const { return places_.size(); }
  size_t row_size() const { return row_size_; }
  std::span<const T> operator[](size_t i) const {  // not checked
    const Place& place = places_[i];
    return pieces_[place.shard].span().subspan(place.row * row_size_, row_size_);
  }
  // size() × row_size() values.
  void CopyTo(std::span<T> to) const {
    internal::CheckSize("the span to copy to", to.size(), size() * row_size_);
    for (size_t i = 0; i < size(); ++i) std::copy_n((*this)[i].data(), row_size_, to.data() + i * row_size_);
  }
  std::vector<T> Copy() const {
    std::vector<T> values(size() * row_size_);
    CopyTo(values);
    return values;
  }

 private:
  size_t row_size_ = 0;
  std::vector<Array<T>> pieces_;  // of each shard
  std::vector<Place> places_;     // of each key
};

struct TableStats {
  int64_t pid = 0;          // of the shard's process, on its machine
  int64_t replica_pid = 0;  // of its replica, once that has an update; 0 while the shard is alone
  uint64_t rows = 0;
  uint64_t pushes = 0;        // to this shard
  uint64_t restarts = 0;      // of the shard, after its process died
  uint64_t updates_lost = 0;  // pushes that were lost at its last restart
  MSGPACK_DEFINE(pid, replica_pid, rows, pushes, restarts, updates_lost)
};

namespace internal {

template <class K, class T>
class TableShard;
template <class K, class T>
class TableReplica;
class Patience;

// How keys travel.
template <class K>
struct TravellingKeys;
template <>
struct TravellingKeys<uint64_t> {
  using Type = Array<uint64_t>;
};
template <>
struct TravellingKeys<std::string> {
  using Type = std::vector<std::string>;
};

// With all that a Resize needs to make further shards.
struct TableOptions {
  Options options;
  Initializer initializer;
  Filter filter;
};

template <class K, class T>
struct TableServer {
  static constexpr const char* kHandle = "this Table is";
  static constexpr const char* kContent = "rows";
  using Actor = TableShard<K, T>;
  std::vector<ActorHandle<Actor>> shards;
  // The first shard that this table ever had. It knows where the rows are, whatever layout a handle has.
  ActorHandle<Actor> home;
  uint64_t epoch = 0;  // of the layout: one more after each Resize
  uint64_t row_size = 0;
  bool refuse_nan = false;
  double clip_norm = 0;
  int64_t deadline_ms = 0;
  bool restarts = false;    // shards start again from their checkpoints or replicas
  bool replicated = false;  // so a push that is sent again counts once
  // In the process that created them alone, whose handles keep them:
  std::vector<ActorHandle<TableReplica<K, T>>> replicas;
  std::shared_ptr<const TableOptions> options;
  std::shared_ptr<ResizeMemory<TableServer>> resizing = std::make_shared<ResizeMemory<TableServer>>();
  MSGPACK_DEFINE(shards, home, epoch, row_size, refuse_nan, clip_norm, deadline_ms, restarts, replicated)
};

// What a Table does whose keys travel as K: uint64_t or std::string.
template <class K, class T>
class RAYLET_API TableClient : public Handle<TableServer<K, T>> {
 public:
  size_t row_size() const { return this->Require()->row_size; }
  size_t shards() const { return this->Require()->shards.size(); }

  std::vector<TableStats> Stats() const;  // of each shard
  size_t Size() const;

  // A file for each shard, `path`.shard-I-of-N, on the shard's machine, whole or not at all. Load replaces all rows,
  // and takes files of as many shards. RayException for files of other rows, and for truncated or damaged ones.
  void Save(const std::string& path) const;
  void Load(const std::string& path) const;

  // Shares the rows out to so many shards, while others pull and push. No row is lost, and no push counts twice. The
  // optimiser's state, the filter's counts and the rows' ages move along. Handles anywhere hear of it by themselves. In
  // the process that called Create alone. RayException where the old shards stay: for 0 shards, and where a process
  // died or the store has no room. RayTimeoutException where the first shard does not answer whether the new ones
  // count: the next Resize finds out.
  void Resize(size_t shards);

 protected:
  using ServerPtr = std::shared_ptr<const TableServer<K, T>>;

  TableClient() = default;  // of no server
  explicit TableClient(ServerPtr server) : Handle<TableServer<K, T>>(std::move(server)) {}

  static ServerPtr Start(size_t row_size, const Options& options, const Initializer& initializer, const Filter& filter);
  // The second half of a call: waits for the replies.
  std::function<Rows<T>()> StartPull(std::span<const K> keys) const;
  // `waits`: the caller calls the second half at once.
  std::function<bool()> StartPush(std::span<const K> keys, std::span<const T> rows, bool waits) const;
  size_t EraseRows(std::span<const K> keys) const;
  void Visit(const std::function<void(const K&, std::span<const T>)>& visit) const;

 private:
  // Where a shard of this server was closed by this Resize, or by none that it knows, or has died: asks the home for
  // the layout that counts, unless this handle knows it. Null: the server has not moved.
  ServerPtr Elsewhere(const TableServer<K, T>& server, uint64_t resize, const Patience& patience) const;
  // The same, as internal::Settled takes it.
  bool Refresh(const TableServer<K, T>& server, uint64_t resize, const Patience& patience) const;
  template <class Call>
  auto SettledRead(const char* what, const Call& call) const;
};

extern template class TableClient<uint64_t, float>;
extern template class TableClient<uint64_t, double>;
extern template class TableClient<std::string, float>;
extern template class TableClient<std::string, double>;

}  // namespace internal

// A call under way. Get waits for its end; it may be called once.
template <class Result>
class PendingRows {
 public:
  explicit PendingRows(std::function<Result()> get) : get_(std::move(get)) {}
  Result Get() { return std::exchange(get_, nullptr)(); }

 private:
  std::function<Result()> get_;
};

// How integers and strings of any kind travel as keys.
template <class Key>
using KeyOf = std::conditional_t<std::is_integral_v<Key>, uint64_t, std::string>;

template <class Key, class T>
class Table : public internal::TableClient<KeyOf<Key>, T> {
  static_assert(std::is_integral_v<Key> || std::is_same_v<Key, std::string>,
                "the keys of a ray::ps::Table are integers or std::string");
  static_assert(std::is_same_v<T, float> || std::is_same_v<T, double>,
                "the rows of a ray::ps::Table have elements of float or double");
  using K = KeyOf<Key>;
  using Client = internal::TableClient<K, T>;

 public:
  Table() = default;  // of no server

  // RayException for rows of no elements, and for options that a table does not have: a policy other than Async, and
  // compression.
  static Table Create(size_t row_size, const Options& options = {}, const Initializer& initializer = {},
                      const Filter& filter = {}) {
    return Table(Client::Start(row_size, options, initializer, filter));
  }

  Rows<T> Pull(const std::vector<Key>& keys) const { return PullAsync(keys).Get(); }
  PendingRows<Rows<T>> PullAsync(const std::vector<Key>& keys) const {
    return PendingRows<Rows<T>>(this->StartPull(Travelling(keys)));
  }

  // One step of the optimiser for each different key: gradients of a repeated key are added first. `rows` has
  // keys.size() × row_size() elements; RayException for another number. False: a shard died under the call, and nobody
  // knows whether it had counted there. With a replica that does not happen.
  bool Push(const std::vector<Key>& keys, std::span<const T> rows) const {
    return this->StartPush(Travelling(keys), rows, true)();
  }
  // A push that comes to shards in the middle of a Resize counts once Get has been called: nobody else sends it again.
  PendingRows<bool> PushAsync(const std::vector<Key>& keys, std::span<const T> rows) const {
    return PendingRows<bool>(this->StartPush(Travelling(keys), rows, false));
  }

  // Returns how many of the keys had rows.
  size_t Erase(const std::vector<Key>& keys) const { return this->EraseRows(Travelling(keys)); }
  // Each row that is there all the while is visited once, others at most once.
  void ForEach(const std::function<void(const Key&, std::span<const T>)>& visit) const {
    this->Visit([&](const K& key, std::span<const T> row) { visit(static_cast<Key>(key), row); });
  }

 private:
  explicit Table(typename Client::ServerPtr server) : Client(std::move(server)) {}

  static decltype(auto) Travelling(const std::vector<Key>& keys) {
    if constexpr (std::is_same_v<Key, K>) {
      return (keys);
    } else {
      std::vector<K> converted;
      converted.reserve(keys.size());
      for (const Key key : keys) converted.push_back(static_cast<K>(key));
      return converted;
    }
  }
};

}  // namespace ps
}  // namespace ray
