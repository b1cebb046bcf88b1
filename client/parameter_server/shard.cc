#include "client/parameter_server/shard.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "client/parameter_server/compression.h"
#include "client/parameter_server/inheritance.h"
#include "client/parameter_server/machine.h"
#include "client/parameter_server/patience.h"

namespace ray::ps::internal {
template <class T>
Shard<T>::Shard(const ShardSetup& setup, const Array<T>& initial, const std::vector<ActorHandle<Replica<T>>>& replica)
    : Base(setup),
      setup_(setup),
      machine_(setup.compresses ? ThisMachine() : 0),
      has_parameters_(!setup.inherits || ray::WasCurrentActorRestarted()),
      core_(setup.policy.value, std::chrono::milliseconds(setup.round_deadline_ms)),
      run_(setup, initial),
      replica_(replica) {
  if (!setup_.checkpoint.empty()) OpenCount();
  if (ray::WasCurrentActorRestarted() && !TakeFromReplica()) {
    if (!count_.open())
      throw ray::internal::RayException(
          "the shard and its replica died at once, and there is no checkpoint: the "
          "parameters of shard " +
          std::to_string(setup.index) + " are lost" +
          (setup.inherits ? ", unless a Resize had not filled it yet" : ""));
    Restore();
  }
  Watch();
}

// ---- reading and updating

template <class T>
ReadReply<T> Shard<T>::Read(uint64_t rank, uint64_t wanted, uint64_t known) {
  ++reads_;
  const TimePoint now = Now();
  if (!door_.closed() && core_.Expire(now)) CloseRound();
  ReadReply<T> reply;
  reply.moved = door_.moved();
  if (reply.moved) return reply;
  reply.resize = door_.state().resize;
  reply.ready = core_.MayRead(rank, wanted, now);
  reply.version = core_.version();
  reply.machine = machine_;
  reply.cell = cell_.place();
  if (!reply.ready || reply.version == known) return reply;
  reply.values = run_.Make();
  return reply;
}

template <class T>
PushReply Shard<T>::Push(const PushArguments& arguments, const Array<T>& gradient) {
  CheckSize("the gradient of a shard", gradient.size(), setup_.size);
  const TimePoint now = Now();
  if (!door_.closed() && core_.Expire(now)) CloseRound();
  const uint64_t before = core_.version();
  switch (door_.Ask(arguments.sequence)) {
    case Entry::kEnters: break;
    case Entry::kPartial: return {before, 0, false};
    case Entry::kKnown: {  // it was sent to a process before, which died or moved, or it has waited at the door
      const auto held = round_.find(arguments.rank);
      return {before + (held != round_.end() && held->second.sequence == arguments.sequence ? 1 : 0), 0, true};
    }
    case Entry::kClosed: door_.Refuse(arguments, gradient); return {before, 0, false, true, door_.state().resize};
  }
  const Verdict verdict = core_.Take({arguments.rank, arguments.based_on, arguments.sequence}, now);
  PushReply reply{verdict.version, verdict.staleness, true};
  SentGradient<T> kept{arguments.rank, arguments.sequence, arguments.scale * verdict.scale, gradient};
  if (verdict.action != Verdict::Action::kDrop && verdict.action != Verdict::Action::kKnown) {
    TellReplica(before, {kept}, verdict.action != Verdict::Action::kHold);
    door_.Took(arguments.sequence);
  }
  switch (verdict.action) {
    case Verdict::Action::kStep: Keep({std::move(kept)}); break;
    case Verdict::Action::kHold: round_[arguments.rank] = std::move(kept); break;
    case Verdict::Action::kHoldAndClose:
      round_[arguments.rank] = std::move(kept);
      Keep(TakeRound());
      break;
    case Verdict::Action::kDrop:
      door_.Dropped(arguments.sequence);
      reply.applied = false;
      break;
    case Verdict::Action::kKnown: break;
  }
  return reply;
}

template <class T>
PushReply Shard<T>::PushPacked(const PushArguments& arguments, const WireCompression& compression,
                               const Array<uint8_t>& packed) {
  MutableArray<T> gradient(setup_.size);
  Unpack(compression.compression(), packed.span(), gradient.span());
  ++packed_;
  return Push(arguments, std::move(gradient).Seal());
}

template <class T>
std::string Shard<T>::SetWorkers(uint64_t workers) {
  RequireOpen();
  const Policy policy = WithRanks(setup_.policy.value, workers);
  if (core_.Expire(Now())) CloseRound();
  if (core_.SetRanks(workers)) CloseRound();
  TellReplica(core_.version(), {}, false);
  if (count_.open()) count_.counts().workers = workers;
  return TextOf(policy);
}

// In the order of ranks, so that the sum is the same in every run.
template <class T>
std::vector<SentGradient<T>> Shard<T>::TakeRound() {
  std::vector<SentGradient<T>> step;
  for (auto& [rank, kept] : round_) step.push_back(std::move(kept));
  round_.clear();
  return step;
}

// The core has closed it without a further gradient.
template <class T>
void Shard<T>::CloseRound() {
  TellReplica(core_.version() - 1, {}, true);
  Keep(TakeRound());
}

// The gradients count, whether the store has room for the version or not: who reads is told that it has none.
template <class T>
void Shard<T>::Keep(std::vector<SentGradient<T>> step) {
  run_.Keep(std::move(step));
  Counted();
  try {
    SaveWhenDue();
  } catch (const ray::internal::RayException&) {}
}

// ---- the replica

// Before what it is told is done here. Where it has died and come back, it takes all that this shard has.
template <class T>
void Shard<T>::TellReplica(uint64_t before, std::vector<SentGradient<T>> gradients, bool is_step) {
  if (replica_.empty()) return;
  const ReplicaEvent<T> event{before,  core_.version(),    core_.ranks(), std::move(gradients),
                              is_step, core_.rank_states()};
  try {
    const auto follow = [&] { return *replica_[0].Task(&Replica<T>::Follow).Remote(event).Get(kReplicaMs); };
    replica_pid_ = follow();
    if (replica_pid_ == 0 && FillReplica(before)) replica_pid_ = follow();
  } catch (const ray::internal::RayException&) {
    replica_pid_ = 0;  // it is dead for now; the next event finds that it lacks this one
  }
}

template <class T>
bool Shard<T>::FillReplica(uint64_t version) {
  if (replica_.empty()) return false;
  try {
    ShardState<T> state = State();
    state.version = version;
    replica_[0].Task(&Replica<T>::Fill).Remote(state).Get(kReplicaMs);
    return true;
  } catch (const ray::internal::RayException&) {
    return false;
  }
}

template <class T>
void Shard<T>::Know(const std::string& self) {
  self_ = self;
  replica_.at(0).Task(&Replica<T>::Know).Remote(self);
  Watch();
}

template <class T>
void Shard<T>::Watch() {
  if (!replica_.empty() && !self_.empty() && !watch_.has_value()) watch_.emplace(self_, replica_[0]);
}

template <class T>
void Shard<T>::Refill() {
  if (has_parameters_ && FillReplica(core_.version()))
    replica_pid_ = *replica_[0].Task(&Replica<T>::Ready).Remote().Get(kReplicaMs);
}

template <class T>
ShardState<T> Shard<T>::State() {
  ShardState<T> state;
  state.filled = true;
  state.version = core_.version();
  state.workers = core_.ranks();
  state.ranks = core_.rank_states();
  state.restarts = restarts_;
  state.values = run_.Make();
  state.slots = ArraysOf(run_.slots());
  state.steps = run_.steps();
  for (const auto& [rank, gradient] : round_) state.held.push_back(gradient);
  state.recent = door_.recent().all();
  state.door = door_.state();
  state.shard = self_;
  state.counts = core_.counts();
  state.updates_lost = updates_lost_;
  return state;
}

template <class T>
bool Shard<T>::TakeFromReplica() {
  if (replica_.empty()) return false;
  ShardState<T> state;
  try {
    state = *replica_[0].Task(&Replica<T>::Export).Remote().Get(kReplicaMs);
  } catch (const ray::internal::RayException&) {}
  if (!state.filled) return false;
  run_.Take(state.values, VectorsOf(state.slots), state.steps);
  door_.set_recent(RecentSequences(state.recent));
  core_.set_version(state.version);
  if (core_.ranks() > 0) core_.SetRanks(state.workers);
  core_.TakeRanks(state.ranks);
  for (SentGradient<T>& gradient : state.held) {
    core_.Hold(gradient.rank, gradient.sequence, Now());
    round_[gradient.rank] = std::move(gradient);
  }
  door_.Restore(std::move(state.door));
  restarts_ = state.restarts;
  self_ = state.shard;
  saved_version_ = state.version;
  Counted();
  return true;
}

template <class T>
ShardStats Shard<T>::Stats() {
  RequireHere();
  if (!door_.closed() && core_.Expire(Now())) CloseRound();
  const PolicyCounts& counts = core_.counts();
  ShardStats stats;
  stats.pid = ::getpid();
  stats.version = core_.version();
  stats.applied = counts.applied;
  stats.dropped = counts.dropped;
  stats.rounds = counts.rounds;
  stats.rounds_cut = counts.rounds_cut;
  stats.left_behind = counts.left_behind;
  stats.reads = reads_;
  stats.packed = packed_;
  stats.replica_pid = replica_pid_;
  stats.passes = run_.passes();
  stats.staleness = counts.staleness;
  stats.restarts = restarts_;
  stats.updates_lost = updates_lost_;
  return stats;
}

// ---- checkpoints

template <class T>
CheckpointOf Shard<T>::Description() const {
  CheckpointOf of;
  of.shard = setup_.index;
  of.shards = setup_.shards;
  of.size = setup_.size;
  of.element_bytes = sizeof(T);
  of.optimizer = setup_.optimizer.optimizer.value.index();
  of.slots = run_.slots().size();
  of.run = setup_.run;
  of.version = core_.version();
  of.steps = run_.steps();
  return of;
}

template <class T>
void Shard<T>::OpenCount() {
  count_ = UpdateCount(FileOf("count"));
  if (count_.counts().run != setup_.run) count_.counts() = {.run = setup_.run};  // it is of an earlier server
}

template <class T>
void Shard<T>::Counted() {
  cell_.Set(door_.moved() ? kNoVersion : core_.version());
  if (count_.open()) count_.counts().version = core_.version();
}

// In a process that replaces one that died. Versions go on from where they were, so that no reader sees an older one
// under a number that it knows.
template <class T>
void Shard<T>::Restore() {
  UpdateCount::Counts& counts = count_.counts();
  restarts_ = ++counts.restarts;
  if (counts.workers > 0) core_.SetRanks(counts.workers);
  Base::ReadDoor();
  const std::string file = CheckpointPath(setup_.checkpoint, setup_.index, setup_.shards);
  CheckpointOf head;
  uint64_t restored = 0;
  if (ReadCheckpointHead(file, head) && head.run == setup_.run) {
    restored = head.version;
    Take(ReadFile(file));
  }
  core_.set_version(std::max(restored, counts.version));
  cell_.Set(core_.version());
  updates_lost_ = core_.version() - restored;
  saved_version_ = restored;
  forgetful_ = true;
}

template <class T>
typename Shard<T>::Loaded Shard<T>::ReadFile(const std::string& file) const {
  Loaded loaded;
  MutableArray<T> values(setup_.size);
  loaded.slots.assign(run_.slots().size(), std::vector<T>(setup_.size));
  std::vector<std::span<std::byte>> parts = {std::as_writable_bytes(values.span())};
  for (auto& slot : loaded.slots) parts.push_back(std::as_writable_bytes(std::span<T>(slot)));
  loaded.of = ReadCheckpoint(file, Description(), parts);
  loaded.values = std::move(values).Seal();
  return loaded;
}

template <class T>
void Shard<T>::Take(Loaded loaded) {
  run_.Take(std::move(loaded.values), std::move(loaded.slots), loaded.of.steps);
}

template <class T>
uint64_t Shard<T>::Save(const std::string& path) {
  RequireHere();
  if (saver_.Busy()) return 0;
  const Array<T>& values = run_.Make();
  const auto content = std::make_shared<const Loaded>(Loaded{Description(), values, run_.slots()});
  std::vector<std::span<const std::byte>> parts = {std::as_bytes(content->values.span())};
  for (const auto& slot : content->slots) parts.push_back(std::as_bytes(std::span<const T>(slot)));
  return saver_.Start(CheckpointPath(path, setup_.index, setup_.shards), content->of, std::move(parts), content);
}

template <class T>
void Shard<T>::SaveWhenDue() {
  if (setup_.checkpoint_every == 0 || core_.version() - saved_version_ < setup_.checkpoint_every) return;
  if (Save(setup_.checkpoint) != 0) saved_version_ = core_.version();
}

template <class T>
uint64_t Shard<T>::Load(const std::string& path) {
  RequireOpen();
  loaded_ = ReadFile(CheckpointPath(path, setup_.index, setup_.shards));
  return std::max(loaded_->of.version, core_.version() + 1);
}

// A closed shard lets a Load end that had begun, so that the next layout has all of it.
template <class T>
void Shard<T>::Commit(uint64_t version) {
  if (!loaded_.has_value()) RequireOpen();
  if (!loaded_.has_value()) throw ray::internal::RayException("no checkpoint was read before: call Load again");
  Take(*std::exchange(loaded_, std::nullopt));
  round_.clear();
  core_.Restart(version);
  FillReplica(version);
  Counted();
  SaveWhenDue();
}

// ---- a Resize

template <class T>
ClosedReply Shard<T>::Closed() const {
  return {
      core_.version(), door_.recent().all(), door_.recent().Newest(), door_.missing() + (loaded_.has_value() ? 1 : 0),
      forgetful_,      core_.rank_states()};
}

template <class T>
ClosedReply Shard<T>::Close(uint64_t resize) {
  RequireHere();
  door_.Close(resize);
  KeepDoor();
  return Closed();
}

template <class T>
ClosedReply Shard<T>::Admit(const std::vector<uint64_t>& others_have) {
  RequireClosed();
  for (const auto& [arguments, gradient] : door_.Admit(others_have)) try {
      Push(arguments, gradient);
    } catch (const ray::internal::RayException&) {}  // its worker sends it again, and is told why
  return {core_.version(), {}, {}, Closed().missing, forgetful_, {}};
}

template <class T>
ClosedReply Shard<T>::Settle(uint64_t version) {
  RequireClosed();
  door_.Settle();
  loaded_.reset();
  while (core_.CloseFor(version)) CloseRound();
  return Closed();
}

template <class T>
void Shard<T>::Open(uint64_t resize) {
  if (!door_.OpensFor(resize)) return;
  door_.Open();
  core_.WaitAnew(Now());
  KeepDoor();
}

// Its memory goes. What a reader holds stays. A file that it still writes is done before the next Resize may begin: a
// later layout of as many shards has a file of that name.
template <class T>
MoveReply Shard<T>::Move(const Server<T>& to, uint64_t resize) {
  MoveReply reply = Base::MoveDoor(to, resize);
  if (!reply.moved) return reply;
  KeepDoor();
  round_.clear();
  run_.Take({}, {}, 0);
  cell_.Set(kNoVersion);
  saver_.Finish();
  return reply;
}

template <class T>
void Shard<T>::KeepDoor() {
  Base::KeepDoor(replica_, [this] { FillReplica(core_.version()); });
}

template <class T>
void Shard<T>::Inherit(const Inheritance<T>& inheritance) {
  std::vector<std::shared_ptr<ShardState<T>>> states;
  for (const auto& state : inheritance.states) states.push_back(state.Get(kInheritMs));
  Inherited<T> inherited = Merge(inheritance, states, setup_.size, run_.slots().size());
  updates_lost_ = inherited.updates_lost;
  run_.Take(std::move(inherited.values), std::move(inherited.slots), inherited.steps);
  core_.Take(inheritance.version, inheritance.ranks, states.front()->counts);
  door_.set_recent(RecentSequences(inheritance.recent));
  forgetful_ = false;
  has_parameters_ = true;
  for (const uint64_t sequence : inheritance.partial) door_.Took(sequence);
  door_.set_partial(inheritance.partial);
  for (SentGradient<T>& held : inherited.held) {
    core_.Hold(held.rank, held.sequence, Now());
    round_[held.rank] = std::move(held);
  }
  if (count_.open()) count_.counts().workers = core_.ranks();
  Counted();
  if (!setup_.checkpoint.empty()) {  // so that a process which replaces this one has all
    const uint64_t number = Save(setup_.checkpoint);
    saved_version_ = core_.version();
    saver_.Wait(number);
  }
  if (!replica_.empty() && !FillReplica(core_.version()))
    throw ray::internal::RayException("the replica of shard " + std::to_string(setup_.index) + " did not answer");
}

template class Shard<float>;
template class Shard<double>;

}  // namespace ray::ps::internal
