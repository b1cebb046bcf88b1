#include "client/parameter_server/table_shard.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "client/parameter_server/patience.h"

namespace ray::ps::internal {

using ray::internal::RayException;

template <class K, class T>
TableShard<K, T>::TableShard(const TableSetup& setup, const std::vector<ActorHandle<TableReplica<K, T>>>& replica)
    : Base(setup),
      setup_(setup),
      rows_(setup),
      has_rows_(!setup.inherits || ray::WasCurrentActorRestarted()),
      replica_(replica) {
  if (!setup_.checkpoint.empty()) {
    count_ = UpdateCount(Base::FileOf("count"));
    if (count_.counts().run != setup_.run) count_.counts() = {.run = setup_.run};  // it is of an earlier table
  }
  if (ray::WasCurrentActorRestarted() && !TakeFromReplica()) {
    if (!count_.open())
      throw RayException("the shard and its replica died at once, and there is no checkpoint: the rows of shard " +
                         std::to_string(setup.index) + " are lost" +
                         (setup.inherits ? ", unless a Resize had not filled it yet" : ""));
    Restore();
  }
  Watch();
}

// A closed shard answers where the pull changes nothing: a row that began here now would be left behind.
template <class K, class T>
PullReply<T> TableShard<K, T>::Pull(const Keys& keys) {
  if (door_.closed() && (door_.moved() || !rows_.HasAll(keys))) return {true, door_.state().resize, {}};
  if (rows_.PullsCount()) TellReplica({.kind = TableEvent<K, T>::kPull, .keys = keys, .gradients = {}});
  return {false, door_.state().resize, rows_.Pull(keys)};
}

template <class K, class T>
TableReply TableShard<K, T>::Push(const Keys& keys, const Array<T>& gradients, const TablePush& push) {
  CheckSize("the gradients of a shard", gradients.size(), keys.size() * setup_.row_size);
  const Entry entry = keys.size() == 0 ? Entry::kKnown : door_.Ask(push.sequence, push.from);
  if (entry == Entry::kClosed) {
    if (push.waits) door_.Refuse(push.sequence);
    return {.closed = true, .resize = door_.state().resize};
  }
  for (const uint64_t one : push.from) door_.Dropped(one);
  if (entry == Entry::kEnters)
    TellReplica({.keys = keys, .gradients = gradients, .scale = push.scale, .sequence = push.sequence});
  if (keys.size() > 0) door_.Took(push.sequence);
  if (entry != Entry::kEnters) return {};  // it was sent to a process before, or to a layout before, and counts
  rows_.Push(keys, gradients, push.scale);
  Counted();
  return {};
}

template <class K, class T>
TableReply TableShard<K, T>::Erase(const Keys& keys) {
  if (door_.closed()) return {.closed = true, .resize = door_.state().resize};
  TellReplica({.kind = TableEvent<K, T>::kErase, .keys = keys, .gradients = {}});
  return {.erased = rows_.Erase(keys)};
}

template <class K, class T>
uint64_t TableShard<K, T>::Size() {
  Base::RequireHere();
  return rows_.size();
}

template <class K, class T>
TablePage<K, T> TableShard<K, T>::Page(uint64_t from, uint64_t count) {
  TablePage<K, T> page;
  if (!door_.moved()) page = rows_.Page(from, count);
  page.moved = door_.moved();
  page.resize = door_.state().resize;
  page.process = ::getpid();
  return page;
}

template <class K, class T>
TableStats TableShard<K, T>::Stats() {
  Base::RequireHere();
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
    TableState<K, T> state = StateOf(*rows_.Copy());
    state.events = events;
    replica_[0].Task(&TableReplica<K, T>::Fill).Remote(state).Get(kReplicaMs);
    return true;
  } catch (const RayException&) {
    return false;
  }
}

template <class K, class T>
TableState<K, T> TableShard<K, T>::StateOf(const Content& content) const {
  TableState<K, T> state;
  state.Set(content);
  state.restarts = restarts_;
  state.recent = door_.recent().InOrder();
  state.door = door_.state();
  state.shard = self_;
  state.updates_lost = updates_lost_;
  return state;
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
  if (has_rows_ && FillReplica(events_))
    replica_pid_ = *replica_[0].Task(&TableReplica<K, T>::Ready).Remote().Get(kReplicaMs);
}

template <class K, class T>
bool TableShard<K, T>::TakeFromReplica() {
  if (replica_.empty()) return false;
  TableState<K, T> state;
  try {
    state = *replica_[0].Task(&TableReplica<K, T>::Export).Remote().Get(kReplicaMs);
  } catch (const RayException&) {}
  if (!state.filled) return false;
  rows_.Take(state.content(), "the state of a replica");
  door_.set_recent(RecentSequences(state.recent));
  door_.Restore(std::move(state.door));
  events_ = state.events;
  restarts_ = state.restarts;
  self_ = state.shard;
  saved_pushes_ = state.pushes;
  Counted();
  return true;
}

// ---- checkpoints

template <class K, class T>
std::string TableShard<K, T>::CheckpointOfPath(const std::string& path) const {
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
  Base::ReadDoor();
  const std::string file = CheckpointOfPath(setup_.checkpoint);
  if (CheckpointOf head; !door_.moved() && ReadCheckpointHead(file, head) && head.run == setup_.run)
    rows_.Take(*ReadFile(file), file);
  saved_pushes_ = rows_.pushes();
  rows_.set_pushes(std::max(saved_pushes_, counts.version));
  updates_lost_ = rows_.pushes() - saved_pushes_;
}

template <class K, class T>
uint64_t TableShard<K, T>::Save(const std::string& path) {
  Base::RequireHere();
  if (saver_.Busy()) return 0;
  const auto content = rows_.Copy();
  const std::vector<std::span<const std::byte>> parts = {std::span<const std::byte>(content->keys),
                                                         std::as_bytes(std::span<const uint32_t>(content->steps)),
                                                         std::as_bytes(std::span<const T>(content->values))};
  return saver_.Start(CheckpointOfPath(path), content->of, parts, content);
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
void TableShard<K, T>::Load(const std::string& path) {
  Base::RequireOpen();
  loaded_ = ReadFile(CheckpointOfPath(path));
}

// A closed shard lets a Load end that had begun, so that the next layout has all of it.
template <class K, class T>
void TableShard<K, T>::Commit() {
  if (loaded_ == nullptr) Base::RequireOpen();
  if (loaded_ == nullptr) throw RayException("no checkpoint was read before: call Load again");
  rows_.Take(*std::exchange(loaded_, nullptr), "the checkpoint");
  FillReplica(events_);
  saved_pushes_ = std::min(saved_pushes_, rows_.pushes());
  Counted();
}

// ---- a Resize

template <class K, class T>
void TableShard<K, T>::KeepDoor() {
  Base::KeepDoor(replica_, [this] { FillReplica(events_); });
}

template <class K, class T>
bool TableShard<K, T>::Close(uint64_t resize) {
  Base::RequireHere();
  if (!door_.closed() || door_.state().resize != resize) {
    door_.Close(resize);
    KeepDoor();
  }
  return loaded_ == nullptr;
}

template <class K, class T>
std::vector<TableState<K, T>> TableShard<K, T>::Export(uint64_t shards) {
  Base::RequireClosed();
  loaded_.reset();
  std::vector<TableState<K, T>> states;
  for (size_t index = 0; index < shards; ++index) states.push_back(StateOf(*rows_.Copy(index, shards)));
  return states;
}

// Pushes go on from the shard that had most, so that the schedule does. Ages are in pushes, and stay.
template <class K, class T>
void TableShard<K, T>::Inherit(const TableInheritance<K, T>& inheritance) {
  std::vector<TableState<K, T>> states;
  std::vector<std::vector<uint64_t>> recent;
  uint64_t pushes = 0;
  for (const auto& exported : inheritance.states) {
    states.push_back(exported.Get(kInheritMs)->at(setup_.index));
    recent.push_back(states.back().recent);
    pushes = std::max(pushes, states.back().pushes);
    updates_lost_ = std::max(updates_lost_, states.back().updates_lost);
  }
  rows_.Clear();
  rows_.set_pushes(pushes);
  for (const auto& state : states) rows_.Add(state.content(), "the state of a shard");
  door_.set_recent(Together(recent));
  has_rows_ = true;
  Counted();
  if (!setup_.checkpoint.empty()) {  // so that a process which replaces this one has all
    saver_.Finish();
    const uint64_t number = Save(setup_.checkpoint);
    saved_pushes_ = rows_.pushes();
    saver_.Wait(number);
  }
  if (!replica_.empty() && !FillReplica(events_))
    throw RayException("the replica of shard " + std::to_string(setup_.index) + " did not answer");
}

template <class K, class T>
void TableShard<K, T>::Open(uint64_t resize) {
  if (!door_.OpensFor(resize)) return;
  door_.Open();
  KeepDoor();
}

// Its memory goes, and its replica's. What a reader holds stays. A file that it still writes is done before the next
// Resize may begin: a later layout of as many shards has a file of that name.
template <class K, class T>
MoveReply TableShard<K, T>::Move(const TableServer<K, T>& to, uint64_t resize) {
  MoveReply reply = Base::MoveDoor(to, resize);
  if (!reply.moved) return reply;
  KeepDoor();
  rows_.Clear();
  FillReplica(events_);
  saver_.Finish();
  return reply;
}

template class TableShard<uint64_t, float>;
template class TableShard<uint64_t, double>;
template class TableShard<std::string, float>;
template class TableShard<std::string, double>;

}  // namespace ray::ps::internal
