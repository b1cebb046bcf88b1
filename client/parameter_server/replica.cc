#include "client/parameter_server/replica.h"

#include <unistd.h>

#include <utility>

#include "client/parameter_server/policy_core.h"

namespace ray::ps::internal {

template <class T>
Replica<T>::Replica(const ShardSetup& setup, const Array<T>& initial)
    : run_(setup, initial), filled_(!setup.inherits && !ray::WasCurrentActorRestarted()) {}

template <class T>
int64_t Replica<T>::Follow(const ReplicaEvent<T>& event) {
  if (!filled_ || event.before != version_) return 0;
  version_ = event.version;
  workers_ = event.workers;
  ranks_ = event.ranks;
  for (const SentGradient<T>& gradient : event.gradients) {
    held_[gradient.rank] = gradient;
    recent_.Add(gradient.sequence);
  }
  if (!event.is_step) return ::getpid();
  std::vector<SentGradient<T>> step;
  for (auto& [rank, gradient] : held_) step.push_back(std::move(gradient));
  held_.clear();
  run_.Keep(std::move(step));
  return ::getpid();
}

template <class T>
void Replica<T>::Fill(const ShardState<T>& state) {
  run_.Take(state.values, VectorsOf(state.slots), state.steps);
  held_.clear();
  for (const SentGradient<T>& gradient : state.held) held_[gradient.rank] = gradient;
  recent_ = RecentSequences(state.recent);
  version_ = state.version;
  workers_ = state.workers;
  ranks_ = state.ranks;
  door_ = state.door;
  restarts_ = state.restarts;
  shard_ = state.shard;
  filled_ = true;
}

template <class T>
int64_t Replica<T>::Ready() {
  return filled_ ? ::getpid() : 0;
}

template <class T>
bool Replica<T>::Note(const DoorState<Server<T>>& door) {
  door_ = door;
  return filled_;
}

template <class T>
ShardState<T> Replica<T>::Export() {
  ShardState<T> state;
  if (!filled_) return state;
  state.filled = true;
  state.version = version_;
  state.workers = workers_;
  state.ranks = ranks_;
  state.restarts = ++restarts_;
  state.values = run_.Make();
  state.slots = ArraysOf(run_.slots());
  state.steps = run_.steps();
  for (const auto& [rank, gradient] : held_) state.held.push_back(gradient);
  state.recent = recent_.all();
  state.door = door_;
  state.shard = shard_;
  return state;
}

template class Replica<float>;
template class Replica<double>;

}  // namespace ray::ps::internal
