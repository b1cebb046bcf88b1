#include "client/parameter_server/table_shard.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "client/parameter_server/patience.h"

namespace ray::ps::internal {

using ray::internal::RayException;

template <class K, class T>
TableShard<K, T>::TableShard(const TableSetup& setup, const std::vector<ActorHandle<TableReplica<K, T>>>& replica)
    : setup_(setup), rows_(setup), replica_(replica) {
  if (!setup_.checkpoint.empty()) {
    count_ = UpdateCount(FileOf(setup_.checkpoint) + ".count");
    if (count_.counts().run != setup_.run) count_.counts() = {.run = setup_.run};  // it is of an earlier table
  }
  if (ray::WasCurrentActorRestarted() && !TakeFromReplica()) {
    if (!count_.open())
      throw RayException("the shard and its replica died at once, and there is no checkpoint: the rows of shard " +
                         std::to_string(setup.index) + " are lost");
    Restore();
  }
  Watch();
}

template <class K, class T>
PullReply<T> TableShard<K, T>::Pull(const Keys& keys) {
  if (rows_.PullsCount()) TellReplica({.kind = TableEvent<K, T>::kPull, .keys = keys, .gradients = {}});
  return {rows_.Pull(keys)};
}

template <class K, class T>
void TableShard<K, T>::Push(const Keys& keys, const Array<T>& gradients, double scale, uint64_t sequence) {
  CheckSize("the gradients of a shard", gradients.size(), keys.size() * setup_.row_size);
  if (recent_.Has(sequence)) return;  // it was sent to the process before, which died
  TellReplica({.keys = keys, .gradients = gradients, .scale = scale, .sequence = sequence});
  recent_.Add(sequence);
  rows_.Push(keys, gradients, scale);
  Counted();
}

template <class K, class T>
uint64_t TableShard<K, T>::Erase(const Keys& keys) {
  TellReplica({.kind = TableEvent<K, T>::kErase, .keys = keys, .gradients = {}});
  return rows_.Erase(keys);
}

template <class K, class T>
TableStats TableShard<K, T>::Stats() {
  return {::getpid(), replica_pid_, rows_.size(), rows_.pushes(), restarts_, updates_lost_};
}

// ---- the replica

// Before what it is told is done here. Where it has died and come back, it takes all that this shard has.
template <class K, class T>
void TableShard<K, T>::TellReplica(TableEvent<K, T> event) {
  if (replica_.empty()) return;
  event.before = events_++;
  using Standby = TableReplica<K, T>;
  try {
    const auto follow = [&] { return *replica_[0].Task(&Standby::Follow).Remote(event).Get(kReplicaMs); };
    replica_pid_ = follow();
    if (replica_pid_ == 0 && FillReplica(event.before)) replica_pid_ = follow();
  } catch (const RayException&) {
    replica_pid_ = 0;  // it is dead for now; the next event finds that it lacks this one
  }
}

template <class K, class T>
bool TableShard<K, T>::FillReplica(uint64_t events) {
  if (replica_.empty()) return false;
  try {
    TableState<T> state;
    state.Set(*rows_.Copy());
    state.events = events;
    state.restarts = restarts_;
    state.recent = recent_.all();
    state.shard = self_;
    replica_[0].Task(&TableReplica<K, T>::Fill).Remote(state).Get(kReplicaMs);
    return true;
  } catch (const RayException&) {
    return false;
  }
}

template <class K, class T>
void TableShard<K, T>::Know(const std::string& self) {
  self_ = self;
  replica_.at(0).Task(&TableReplica<K, T>::Know).Remote(self);
  Watch();
}

template <class K, class T>
void TableShard<K, T>::Watch() {
  if (!replica_.empty() && !self_.empty() && !watch_.has_value()) watch_.emplace(self_, replica_[0]);
}

template <class K, class T>
void TableShard<K, T>::Refill() {
  if (FillReplica(events_)) replica_pid_ = *replica_[0].Task(&TableReplica<K, T>::Ready).Remote().Get(kReplicaMs);
}

template <class K, class T>
bool TableShard<K, T>::TakeFromReplica() {
  if (replica_.empty()) return false;
  TableState<T> state;
  try {
    state = *replica_[0].Task(&TableReplica<K, T>::Export).Remote().Get(kReplicaMs);
  } catch (const RayException&) {}
  if (!state.filled) return false;
  rows_.Take(state.content(), "the state of a replica");
  recent_ = RecentSequences(state.recent);
  events_ = state.events;
  restarts_ = state.restarts;
  self_ = state.shard;
  saved_pushes_ = state.pushes;
  Counted();
  return true;
}

// ---- checkpoints

template <class K, class T>
std::string TableShard<K, T>::FileOf(const std::string& path) const {
  return CheckpointPath(path, setup_.index, setup_.shards);
}

template <class K, class T>
void TableShard<K, T>::Counted() {
  if (count_.open()) count_.counts().version = rows_.pushes();
  if (setup_.checkpoint_every == 0 || rows_.pushes() - saved_pushes_ < setup_.checkpoint_every) return;
  if (Save(setup_.checkpoint) != 0) saved_pushes_ = rows_.pushes();
}

// In a process that replaces one that died. Pushes are counted on from where they were.
template <class K, class T>
void TableShard<K, T>::Restore() {
  UpdateCount::Counts& counts = count_.counts();
  restarts_ = ++counts.restarts;
  const std::string file = FileOf(setup_.checkpoint);
  if (CheckpointOf head; ReadCheckpointHead(file, head) && head.run == setup_.run) rows_.Take(*ReadFile(file), file);
  saved_pushes_ = rows_.pushes();
  rows_.set_pushes(std::max(saved_pushes_, counts.version));
  updates_lost_ = rows_.pushes() - saved_pushes_;
}

template <class K, class T>
uint64_t TableShard<K, T>::Save(const std::string& path) {
  if (saver_.Busy()) return 0;
  const auto content = rows_.Copy();
  const std::vector<std::span<const std::byte>> parts = {std::span<const std::byte>(content->keys),
                                                         std::as_bytes(std::span<const uint32_t>(content->steps)),
                                                         std::as_bytes(std::span<const T>(content->values))};
  return saver_.Start(FileOf(path), content->of, parts, content);
}

template <class K, class T>
std::shared_ptr<RowsContent<T>> TableShard<K, T>::ReadFile(const std::string& file) const {
  auto content = std::make_shared<Content>();
  CheckpointOf wanted = rows_.Description();
  const size_t stride = setup_.row_size * (1 + wanted.slots);
  if (CheckpointOf head; ReadCheckpointHead(file, head)) {
    wanted.size = head.size;
    wanted.key_bytes = head.key_bytes;
    CheckShape(file, head, wanted);
    CheckFileSize(file, head.key_bytes, head.size, sizeof(uint32_t) + stride * sizeof(T));
  }
  content->keys.resize(wanted.key_bytes);
  content->steps.resize(wanted.size);
  content->values.resize(wanted.size * stride);
  content->of =
      ReadCheckpoint(file, wanted,
                     {std::span<std::byte>(content->keys), std::as_writable_bytes(std::span<uint32_t>(content->steps)),
                      std::as_writable_bytes(std::span<T>(content->values))});
  CheckKeys<K>(content->keys, content->steps.size(), "the checkpoint " + file);
  return content;
}

template <class K, class T>
void TableShard<K, T>::Commit() {
  if (loaded_ == nullptr) throw RayException("no checkpoint was read before: call Load again");
  rows_.Take(*std::exchange(loaded_, nullptr), "the checkpoint");
  FillReplica(events_);
  saved_pushes_ = std::min(saved_pushes_, rows_.pushes());
  Counted();
}

template class TableShard<uint64_t, float>;
template class TableShard<uint64_t, double>;
template class TableShard<std::string, float>;
template class TableShard<std::string, double>;

}  // namespace ray::ps::internal
