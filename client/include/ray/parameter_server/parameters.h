// Parameters<T>: a parameter server for a run of numbers, in shards that are actors of their own. T is float or double.
//
//   auto server = ps::Parameters<float>::Create(1'000'000, {.shards = 4, .policy = ps::Synchronous{.workers = 3}});
//   auto worker = server.Worker(rank);               // in the worker of this rank
//   auto parameters = worker.Get();                  // waits as the policy says; copies nothing
//   auto gradient = worker.NewGradient();            // in the store: fill gradient.spans(), gradient[i] or a Tensor
//   worker.Update(std::move(gradient));
//
// A handle is a value: copied, kept in fields, passed to tasks and actors. The shards end with the last handle of the
// process that created them. Parameters are thread-safe; a Worker belongs to one thread at a time.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <ray/api/actor_handle.h>
#include <ray/api/array.h>
#include <ray/api/object_ref.h>

#include <ray/parameter_server/handle.h>
#include <ray/parameter_server/layout.h>
#include <ray/parameter_server/options.h>
#include <ray/parameter_server/snapshot.h>

namespace ray {
namespace ps {

// The fate of a gradient.
struct Update {
  uint64_t version = 0;    // the first one that has it on all shards; the current one where it was dropped
  uint64_t staleness = 0;  // steps between what the worker read and this; the largest of the shards
  bool applied = true;     // counts on all shards; false: dropped as too late, or lost with a shard that died
};

struct ShardStats {
  int64_t pid = 0;          // of the shard's process, on its machine
  int64_t replica_pid = 0;  // of its replica, once that has an update; 0 while the shard is alone
  uint64_t version = 0;
  uint64_t applied = 0;             // gradients
  uint64_t dropped = 0;             // gradients that came too late for their round
  uint64_t rounds = 0;              // of a policy that has rounds
  uint64_t rounds_cut = 0;          // that closed at the deadline, without some workers
  uint64_t left_behind = 0;         // times that a worker was waited for no longer, after a deadline
  uint64_t reads = 0;               // calls of readers, with those that the policy told to wait
  uint64_t packed = 0;              // gradients that came compressed
  uint64_t passes = 0;              // over the memory of the parameters; one pass may have several steps
  uint64_t restarts = 0;            // of the shard, after its process died
  uint64_t updates_lost = 0;        // steps that were lost at its last restart
  std::vector<uint64_t> staleness;  // how many gradients had staleness 0, 1, …; the last entry counts all above
  MSGPACK_DEFINE(pid, replica_pid, version, applied, dropped, rounds, rounds_cut, left_behind, reads, packed, passes,
                 restarts, updates_lost, staleness)
};

namespace internal {

template <class T>
class Shard;
template <class T>
class Replica;
class Patience;

struct PushReply {
  uint64_t version = 0;
  uint64_t staleness = 0;
  bool applied = true;
  bool closed = false;  // the shard takes none now: the worker asks where the parameters are, and sends it again
  uint64_t resize = 0;  // that has closed it
  MSGPACK_DEFINE(version, staleness, applied, closed, resize)
};

// The part of a handle that travels.
template <class T>
struct Server {
  static constexpr const char* kHandle = "these Parameters are";
  static constexpr const char* kContent = "parameters";
  using Actor = Shard<T>;
  SharedLayout layout;
  std::vector<ActorHandle<Shard<T>>> shards;
  // The first shard that this server ever had. It knows where the parameters are, whatever layout a handle has.
  ActorHandle<Shard<T>> home;
  uint64_t epoch = 0;  // of the layout: one more after each Resize
  uint64_t ranks = 0;
  bool has_rounds = false;
  bool restarts = false;    // shards start again from their checkpoints or replicas
  bool replicated = false;  // so a gradient that is sent again counts once
  bool refuse_nan = false;
  double clip_norm = 0;
  int64_t deadline_ms = 0;
  std::string policy;   // for people
  int compression = 0;  // Compression::Kind
  double share = 1;
  bool everywhere = false;
  // In the process that created them alone, whose handles keep them:
  std::vector<ActorHandle<Replica<T>>> replicas;
  std::shared_ptr<const Options> options;
  std::shared_ptr<ResizeMemory<Server>> resizing = std::make_shared<ResizeMemory<Server>>();
  MSGPACK_DEFINE(layout, shards, home, epoch, ranks, has_rounds, restarts, replicated, refuse_nan, clip_norm,
                 deadline_ms, policy, compression, share, everywhere)
};

// A gradient's description beside its elements.
struct PushContext {
  uint64_t rank = 0;
  uint64_t sequence = 0;
  double scale = 1;
  bool waits = false;  // its worker waits for its fate
};

}  // namespace internal

// An update under way. Get may be called once.
template <class T>
class RAYLET_API PendingUpdate {
 public:
  // Waits for all shards; RayTimeoutException at the deadline of the options. A gradient that comes to shards in the
  // middle of a Resize counts once Get has been called: nobody else sends it again.
  Update Get();

 private:
  template <class U>
  friend class Parameters;
  std::shared_ptr<const internal::Server<T>> server_;
  std::function<void(std::shared_ptr<const internal::Server<T>>)> tell_;  // the handle, of another layout
  internal::PushContext context_;
  std::vector<uint64_t> versions_;
  void Send(size_t shard);
  void SendTo(std::shared_ptr<const internal::Server<T>> server);  // to all shards of another layout

  // For a shard that has to be told again. Of a shard, one of the two is empty.
  std::vector<Array<T>> pieces_;
  std::vector<Array<uint8_t>> packed_;
  std::vector<ObjectRef<internal::PushReply>> replies_;
};

template <class T>
class Worker;

template <class T>
class RAYLET_API Parameters : public internal::Handle<internal::Server<T>> {
  static_assert(std::is_same_v<T, float> || std::is_same_v<T, double>,
                "ray::ps::Parameters<T> has elements of float or double");

 public:
  Parameters() = default;  // of no server

  // `size` parameters that are 0.
  static Parameters Create(size_t size, const Options& options = {});
  static Parameters Create(std::span<const T> initial, const Options& options = {});
  static Parameters Create(const std::vector<T>& initial, const Options& options = {}) {
    return Create(std::span<const T>(initial), options);
  }
  // Named tensors, in the order of their names; 0, or the initial values of all of them.
  static Parameters Create(const std::map<std::string, Shape>& tensors, const Options& options = {});
  static Parameters Create(const std::map<std::string, Shape>& tensors, std::span<const T> initial,
                           const Options& options = {});

  size_t size() const { return Require()->layout->size(); }
  size_t shards() const { return Require()->shards.size(); }

  // The newest version, without waiting for any worker.
  Snapshot<T> Get() const;
  // The same, where shards that are at the snapshot's version still answer with no bytes, and keep their piece. On the
  // shards' machine an unchanged version takes no message, but for one each 50 ms.
  Snapshot<T> GetIfNewer(const Snapshot<T>& snapshot) const;

  // Memory for a gradient, of which the elements are unspecified. The snapshot is what it is computed from.
  Gradient<T> NewGradient() const;
  Gradient<T> NewGradient(const Snapshot<T>& snapshot) const;

  // For a policy without workers (Async, ScaledByStaleness). RayException where the policy has workers, where the
  // gradient has another size, or with refuse_nan where an element is no finite number.
  ps::Update Update(Gradient<T>&& gradient) const;
  PendingUpdate<T> UpdateAsync(Gradient<T>&& gradient) const;

  // The worker of this rank. RayException for a rank that the policy does not have.
  ps::Worker<T> Worker(uint64_t rank) const;

  // Adds or removes workers while others train: the ranks are 0 to workers - 1 from now on, on all shards. A round
  // waits for a new rank once it has read. Gradients of ranks that have gone are refused, with a RayException in their
  // worker. Handles that were copied before know the old number: give new workers this handle. RayException under a
  // policy without workers, and for fewer workers than the policy takes.
  void SetWorkers(uint64_t workers);

  // Shares the parameters out to so many shards, while others train. No update is lost or counts twice. Versions and
  // the optimiser's state move along, and snapshots stay as they are. Handles and workers anywhere hear of it by
  // themselves. In the process that called Create alone. RayException where the old shards stay: for a number that the
  // parameters cannot have, and where a process died or the store has no room. RayTimeoutException
  // where the first shard does not answer whether the new ones count: the next Resize finds out. A process that dies
  // in the middle of its Resize keeps nobody waiting for more than some seconds.
  void Resize(size_t shards);

  std::vector<ShardStats> Stats() const;

  // Writes a file for each shard, `path`.shard-I-of-N, on the shard's machine. Updates go on meanwhile. Each file
  // appears whole or not at all. Returns once all are on the disk. RayException where one cannot be written.
  void Save(const std::string& path) const;
  // Takes the parameters and the optimiser's state from these files, once all shards have read and checked theirs.
  // RayException where one is of other parameters, truncated or damaged: then nothing changes. Gradients on their way
  // meanwhile count before or after.
  void Load(const std::string& path) const;

 private:
  template <class U>
  friend class ps::Worker;
  using Deadline = std::chrono::steady_clock::time_point;

  using Base = internal::Handle<internal::Server<T>>;
  using Base::pointer;
  using Base::Require;
  explicit Parameters(std::shared_ptr<const internal::Server<T>> server) : Base(std::move(server)) {}

  // `machines`: takes the number of each shard's machine, unless it is null.
  Snapshot<T> Read(uint64_t rank, const Snapshot<T>* known, std::vector<uint64_t>* machines) const;
  Gradient<T> NewGradient(const std::shared_ptr<const internal::Layout>& layout, std::vector<uint64_t> versions) const;
  // False where the server has moved meanwhile: to be read again from there.
  bool TryRead(const internal::Server<T>& server, internal::SnapshotContent<T>& content, uint64_t rank,
               std::vector<uint64_t>* machines, const internal::Patience& patience) const;
  // Asks the home where the parameters are. True: somewhere else, and this handle and its copies know it now.
  bool Refresh(const internal::Server<T>& server, uint64_t resize, const internal::Patience& patience) const;
  // call(server), again where the shards take part in a Resize meanwhile.
  template <class Call>
  auto Settled(const Call& call) const;
  // The same for a call that closed shards answer, too.
  template <class Call>
  auto SettledRead(const char* what, const Call& call) const;
  // A shard's piece is compressed where it has an entry of `residuals` that is not null.
  PendingUpdate<T> Begin(Gradient<T>&& gradient, bool waits) const;
  PendingUpdate<T> Push(const std::shared_ptr<const internal::Server<T>>& server, Gradient<T>&& gradient,
                        internal::PushContext context, const std::vector<std::vector<T>*>& residuals = {}) const;
};

// Worker<T>: one rank's view of the parameters. Under a policy of rounds Get waits for the round in which this rank has
// given its gradient. Under Stale it waits while this rank is too far ahead.
template <class T>
class RAYLET_API Worker {
 public:
  uint64_t rank() const { return rank_; }
  const Parameters<T>& parameters() const { return parameters_; }

  // RayTimeoutException at the deadline of the options.
  Snapshot<T> Get();
  // For a gradient that is computed from what Get returned last.
  Gradient<T> NewGradient() const;
  // Returns once the gradient is on its way into its round, or dropped. It does not wait for other workers.
  ps::Update Update(Gradient<T>&& gradient);
  PendingUpdate<T> UpdateAsync(Gradient<T>&& gradient);

 private:
  template <class U>
  friend class Parameters;
  Worker(Parameters<T> parameters, uint64_t rank, uint64_t sequence, uint64_t machine)
      : parameters_(std::move(parameters)), rank_(rank), sequence_(sequence), machine_(machine) {}

  PendingUpdate<T> Begin(Gradient<T>&& gradient, bool waits);
  void MoveResiduals(std::shared_ptr<const internal::Layout> layout);

  Parameters<T> parameters_;
  uint64_t rank_;
  uint64_t sequence_;           // of the next gradient; begins at random, so that two workers of one rank differ
  uint64_t machine_;            // this worker's number; 0 without compression
  std::vector<uint64_t> read_;  // the versions that Get returned last; empty before
  std::shared_ptr<const internal::Layout> layout_;  // of those
  std::vector<uint64_t> machines_;                  // of the shards then
  std::vector<std::vector<T>> residuals_;  // what gradients have lost by compression, for each shard that had one
  std::shared_ptr<const internal::Layout> residual_layout_;
};

extern template class Parameters<float>;
extern template class Parameters<double>;
extern template class Worker<float>;
extern template class Worker<double>;
extern template class PendingUpdate<float>;
extern template class PendingUpdate<double>;

}  // namespace ps
}  // namespace ray
