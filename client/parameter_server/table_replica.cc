#include "client/parameter_server/table_replica.h"

#include <unistd.h>

namespace ray::ps::internal {

template <class K, class T>
TableReplica<K, T>::TableReplica(const TableSetup& setup)
    : rows_(setup), filled_(!setup.inherits && !ray::WasCurrentActorRestarted()) {}

template <class K, class T>
int64_t TableReplica<K, T>::Follow(const TableEvent<K, T>& event) {
  if (!filled_ || event.before != events_) return 0;
  ++events_;
  switch (event.kind) {
    case TableEvent<K, T>::kPull: rows_.Pull(event.keys); break;
    case TableEvent<K, T>::kErase: rows_.Erase(event.keys); break;
    default: rows_.Push(event.keys, event.gradients, event.scale); recent_.Add(event.sequence);
  }
  return ::getpid();
}

template <class K, class T>
void TableReplica<K, T>::Fill(const TableState<K, T>& state) {
  rows_.Take(state.content(), "the state of a shard");
  recent_ = RecentSequences(state.recent);
  events_ = state.events;
  door_ = state.door;
  restarts_ = state.restarts;
  shard_ = state.shard;
  filled_ = true;
}

template <class K, class T>
int64_t TableReplica<K, T>::Ready() {
  return filled_ ? ::getpid() : 0;
}

template <class K, class T>
bool TableReplica<K, T>::Note(const DoorState<TableServer<K, T>>& door) {
  door_ = door;
  return filled_;
}

template <class K, class T>
TableState<K, T> TableReplica<K, T>::Export() {
  TableState<K, T> state;
  if (!filled_) return state;
  state.Set(*rows_.Copy());
  state.events = events_;
  state.restarts = ++restarts_;
  state.recent = recent_.InOrder();
  state.door = door_;
  state.shard = shard_;
  return state;
}

template class TableReplica<uint64_t, float>;
template class TableReplica<uint64_t, double>;
template class TableReplica<std::string, float>;
template class TableReplica<std::string, double>;

}  // namespace ray::ps::internal
