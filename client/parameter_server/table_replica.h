// TableReplica<K, T>: the actor that stands by for one shard of a table. It does what the shard does, before the shard
// answers. So a shard that dies starts again from it, and loses no update. Its process runs one method at a time.
// Always holds: it has all events of the shard, or its next Follow says that it does not.
#pragma once

#include <cstdint>
#include <string>

#include <ray/api.h>

#include "client/parameter_server/recent.h"
#include "client/parameter_server/table_messages.h"
#include "client/parameter_server/table_rows.h"

namespace ray::ps::internal {

template <class K, class T>
class TableReplica {
 public:
  static TableReplica* Create(const TableSetup& setup) { return new TableReplica(setup); }

  // Returns the process's id; 0 where this is not the next event after what the replica has: it takes a Fill.
  int64_t Follow(const TableEvent<K, T>& event);
  void Fill(const TableState<K, T>& state);
  int64_t Ready();  // the process's id; 0 where it takes a Fill
  void Know(const std::string& shard) { shard_ = shard; }
  // False: it takes a Fill.
  bool Note(const DoorState<TableServer<K, T>>& door);
  // For a shard that starts again. Counts its restarts.
  TableState<K, T> Export();

 private:
  explicit TableReplica(const TableSetup& setup);

  TableRows<K, T> rows_;
  RecentSequences recent_;
  DoorState<TableServer<K, T>> door_;
  uint64_t events_ = 0;
  uint64_t restarts_ = 0;
  std::string shard_;  // the id of its actor
  bool filled_;        // false: this process replaces one that died, or waits for what its shard inherits
};

}  // namespace ray::ps::internal
