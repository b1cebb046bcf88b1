// TableShard<K, T>: the actor that holds the rows of some keys. It puts the rows, their checkpoints and the replica
// together. Its process runs one method at a time. Always holds, with a replica: it has all that was answered for.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ray/api.h>
#include <ray/parameter_server/table.h>

#include "client/parameter_server/checkpoint.h"
#include "client/parameter_server/recent.h"
#include "client/parameter_server/replica_watch.h"
#include "client/parameter_server/saver.h"
#include "client/parameter_server/table_messages.h"
#include "client/parameter_server/table_replica.h"
#include "client/parameter_server/table_rows.h"

namespace ray::ps::internal {

template <class K, class T>
class TableShard {
 public:
  using Keys = typename TravellingKeys<K>::Type;

  // `replica`: one, or none.
  static TableShard* Create(const TableSetup& setup, const std::vector<ActorHandle<TableReplica<K, T>>>& replica) {
    return new TableShard(setup, replica);
  }

  // The keys are all different here.
  PullReply<T> Pull(const Keys& keys);
  // The same sequence counts once.
  void Push(const Keys& keys, const Array<T>& gradients, double scale, uint64_t sequence);
  uint64_t Size() { return rows_.size(); }
  uint64_t Erase(const Keys& keys);
  TablePage<K, T> Page(uint64_t from, uint64_t count) { return rows_.Page(from, count); }
  TableStats Stats();
  void Know(const std::string& self);  // this actor's id, where there is a replica
  void Refill();                       // the replica, which has nothing

  uint64_t Save(const std::string& path);  // as Shard<T>
  bool Saved(uint64_t number) { return saver_.Done(number); }
  void Load(const std::string& path) { loaded_ = ReadFile(FileOf(path)); }
  void Commit();

 private:
  using Content = RowsContent<T>;

  TableShard(const TableSetup& setup, const std::vector<ActorHandle<TableReplica<K, T>>>& replica);
  std::string FileOf(const std::string& path) const;
  std::shared_ptr<Content> ReadFile(const std::string& file) const;
  void Restore();
  void Counted();
  void TellReplica(TableEvent<K, T> event);
  bool FillReplica(uint64_t events);
  bool TakeFromReplica();  // false where it has nothing
  void Watch();

  const TableSetup setup_;
  TableRows<K, T> rows_;
  std::vector<ActorHandle<TableReplica<K, T>>> replica_;
  RecentSequences recent_;
  int64_t replica_pid_ = 0;  // of its process, when it last had an event
  uint64_t events_ = 0;      // that the replica was told
  Saver saver_;
  UpdateCount count_;                // not open without checkpoints
  std::shared_ptr<Content> loaded_;  // between Load and Commit
  uint64_t saved_pushes_ = 0;
  uint64_t updates_lost_ = 0;
  uint64_t restarts_ = 0;
  std::string self_;  // this actor's id; empty: not known yet
  std::optional<ReplicaWatch<TableShard, TableReplica<K, T>>> watch_;
};

}  // namespace ray::ps::internal
