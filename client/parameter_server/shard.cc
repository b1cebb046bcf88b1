#include "client/parameter_server/shard.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "client/parameter_server/compression.h"
#include "client/parameter_server/machine.h"

namespace ray::ps::internal {
namespace {

TimePoint Now() { return std::chrono::steady_clock::now(); }

template <class T>
Array<T> InitialValues(const ShardSetup& setup, const Array<T>& initial) {
  if (!initial.empty()) {
    CheckSize("the initial values of a shard", initial.size(), setup.size);
    return initial;
  }
  MutableArray<T> zeros(setup.size);
  std::fill(zeros.begin(), zeros.end(), T{0});
  return std::move(zeros).Seal();
}

}  // namespace

template <class T>
Shard<T>::Shard(const ShardSetup& setup, const Array<T>& initial)
    : setup_(setup),
      machine_(setup.compresses ? MachineNumber() : 0),
      core_(setup.policy.value, std::chrono::milliseconds(setup.round_deadline_ms)),
      optimiser_(setup.optimizer.optimizer.value, setup.optimizer.schedule.schedule(), setup.optimizer.clip_value,
                 setup.size),
      values_(InitialValues(setup, initial)) {
  if (setup_.checkpoint.empty()) return;
  OpenCount();
  if (ray::WasCurrentActorRestarted()) Restore();
}

// ---- reading and updating

template <class T>
ReadReply<T> Shard<T>::Read(uint64_t rank, uint64_t wanted, uint64_t known) {
  ++reads_;
  const TimePoint now = Now();
  if (core_.Expire(now)) CloseRound();
  ReadReply<T> reply;
  reply.ready = core_.MayRead(rank, wanted, now);
  reply.version = core_.version();
  reply.machine = machine_;
  reply.cell = cell_.place();
  if (!reply.ready || reply.version == known) return reply;
  MakeVersion();
  reply.values = values_;
  return reply;
}

template <class T>
PushReply Shard<T>::Push(const PushArguments& arguments, const Array<T>& gradient) {
  CheckSize("the gradient of a shard", gradient.size(), setup_.size);
  const TimePoint now = Now();
  if (core_.Expire(now)) CloseRound();
  const Verdict verdict = core_.Take({arguments.rank, arguments.based_on, arguments.sequence}, now);
  PushReply reply{verdict.version, verdict.staleness, true};
  Kept kept{gradient, arguments.scale * verdict.scale};
  switch (verdict.action) {
    case Verdict::Action::kStep: Keep({std::move(kept)}); break;
    case Verdict::Action::kHold: round_[arguments.rank] = std::move(kept); break;
    case Verdict::Action::kHoldAndClose:
      round_[arguments.rank] = std::move(kept);
      CloseRound();
      break;
    case Verdict::Action::kDrop: reply.applied = false; break;
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
  const Policy policy = WithRanks(setup_.policy.value, workers);
  if (core_.Expire(Now())) CloseRound();
  if (core_.SetRanks(workers)) CloseRound();
  if (count_.open()) count_.counts().workers = workers;
  return TextOf(policy);
}

// In the order of ranks, so that the sum is the same in every run.
template <class T>
void Shard<T>::CloseRound() {
  std::vector<Kept> step;
  for (auto& [rank, kept] : round_) step.push_back(std::move(kept));
  round_.clear();
  Keep(std::move(step));
}

// The gradients count, whether the store has room for the version or not: who reads is told that it has none.
template <class T>
void Shard<T>::Keep(std::vector<Kept> step) {
  kept_ += step.size();
  steps_.push_back(std::move(step));
  Counted();
  try {
    if (kept_ >= kKeptGradientsMax || (kept_ + 1) * setup_.size * sizeof(T) > kKeptBytesMax) MakeVersion();
    SaveWhenDue();
  } catch (const ray::internal::RayException&) {}
}

template <class T>
void Shard<T>::Do(std::span<T> next) {
  std::vector<Step<T>> steps;
  for (const auto& kept_step : steps_) {
    Step<T>& step = steps.emplace_back();
    for (const Kept& kept : kept_step) step.push_back({kept.values.span(), kept.scale});
  }
  optimiser_.Apply(ahead_.empty() ? values_.span() : std::span<const T>(ahead_), steps, next);
  steps_.clear();
  kept_ = 0;
  ++passes_;
}

template <class T>
void Shard<T>::MakeVersion() {
  if (steps_.empty() && ahead_.empty()) return;
  std::optional<MutableArray<T>> next;
  try {
    next.emplace(setup_.size);
  } catch (const ray::internal::RayException&) {
    // The store may be full of the gradients that are kept here. They go, and then there is room.
    if (steps_.empty()) throw;
    std::vector<T> result(setup_.size);
    Do(result);
    ahead_ = std::move(result);
    next.emplace(setup_.size);
  }
  if (steps_.empty())
    std::copy(ahead_.begin(), ahead_.end(), next->begin());
  else
    Do(next->span());
  ahead_ = std::vector<T>();
  values_ = std::move(*next).Seal();
}

template <class T>
ShardStats Shard<T>::Stats() {
  if (core_.Expire(Now())) CloseRound();
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
  stats.passes = passes_;
  stats.staleness = counts.staleness;
  stats.restarts = count_.open() ? count_.counts().restarts : 0;
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
  of.slots = optimiser_.slots().size();
  of.run = setup_.run;
  of.version = core_.version();
  of.steps = optimiser_.steps();
  return of;
}

template <class T>
void Shard<T>::OpenCount() {
  count_ = UpdateCount(CheckpointPath(setup_.checkpoint, setup_.index, setup_.shards) + ".count");
  if (count_.counts().run != setup_.run) count_.counts() = {.run = setup_.run};  // it is of an earlier server
}

template <class T>
void Shard<T>::Counted() {
  cell_.Set(core_.version());
  if (count_.open()) count_.counts().version = core_.version();
}

// In a process that replaces one that died. Versions go on from where they were, so that no reader sees an older one
// under a number that it knows.
template <class T>
void Shard<T>::Restore() {
  UpdateCount::Counts& counts = count_.counts();
  ++counts.restarts;
  if (counts.workers > 0) core_.SetRanks(counts.workers);
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
}

template <class T>
typename Shard<T>::Loaded Shard<T>::ReadFile(const std::string& file) const {
  Loaded loaded;
  MutableArray<T> values(setup_.size);
  loaded.slots.assign(optimiser_.slots().size(), std::vector<T>(setup_.size));
  std::vector<std::span<std::byte>> parts = {std::as_writable_bytes(values.span())};
  for (auto& slot : loaded.slots) parts.push_back(std::as_writable_bytes(std::span<T>(slot)));
  loaded.of = ReadCheckpoint(file, Description(), parts);
  loaded.values = std::move(values).Seal();
  return loaded;
}

template <class T>
void Shard<T>::Take(Loaded loaded) {
  values_ = std::move(loaded.values);
  optimiser_.slots() = std::move(loaded.slots);
  optimiser_.set_steps(loaded.of.steps);
  ahead_.clear();
  steps_.clear();
  kept_ = 0;
}

template <class T>
uint64_t Shard<T>::Save(const std::string& path) {
  if (saver_.Busy()) return 0;
  MakeVersion();
  const auto content = std::make_shared<const Loaded>(Loaded{Description(), values_, optimiser_.slots()});
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
  loaded_ = ReadFile(CheckpointPath(path, setup_.index, setup_.shards));
  return std::max(loaded_->of.version, core_.version() + 1);
}

template <class T>
void Shard<T>::Commit(uint64_t version) {
  if (!loaded_.has_value()) throw ray::internal::RayException("no checkpoint was read before: call Load again");
  Take(*std::exchange(loaded_, std::nullopt));
  round_.clear();
  core_.Restart(version);
  Counted();
  SaveWhenDue();
}

template class Shard<float>;
template class Shard<double>;

}  // namespace ray::ps::internal
