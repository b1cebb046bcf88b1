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
#include "client/parameter_server/gate.h"
#include "client/parameter_server/replica_watch.h"
#include "client/parameter_server/resized_shard.h"
#include "client/parameter_server/saver.h"
#include "client/parameter_server/table_messages.h"
#include "client/parameter_server/table_replica.h"
#include "client/parameter_server/table_rows.h"

namespace ray::ps::internal {

template <class K, class T>
class TableShard : public ResizedShard<TableServer<K, T>, Gate<TableServer<K, T>>> {
 public:
  using Keys = typename TravellingKeys<K>::Type;

  // `replica`: one, or none.
  static TableShard* Create(const TableSetup& setup, const std::vector<ActorHandle<TableReplica<K, T>>>& replica) {
    return new TableShard(setup, replica);
  }

  // The keys are all different here.
  PullReply<T> Pull(const Keys& keys);
  // The same sequence counts once. No keys: nothing of `push.from` comes to this shard.
  TableReply Push(const Keys& keys, const Array<T>& gradients, const TablePush& push);
  uint64_t Size();
  TableReply Erase(const Keys& keys);
  TablePage<K, T> Page(uint64_t from, uint64_t count);
  TableStats Stats();
  void Know(const std::string& self);  // this actor's id, where there is a replica
  void Refill();                       // the replica, which has nothing

  uint64_t Save(const std::string& path);  // as Shard<T>
  bool Saved(uint64_t number) { return saver_.Done(number); }
  void Load(const std::string& path);
  void Commit();

  // A Resize, in this order. From Close until Open or Move the shard takes no change.
  // False: a Load is half done, and may end first.
  bool Close(uint64_t resize);
  // For each of so many shards what it takes over.
  std::vector<TableState<K, T>> Export(uint64_t shards);
  void Inherit(const TableInheritance<K, T>& inheritance);       // of a new shard, once
  void Open(uint64_t resize);                                    // where this one has closed it; 0: whichever
  MoveReply Move(const TableServer<K, T>& to, uint64_t resize);  // as MoveDoor

 private:
  using Content = RowsContent<T>;
  using Base = ResizedShard<TableServer<K, T>, Gate<TableServer<K, T>>>;
  using Base::door_;

  TableShard(const TableSetup& setup, const std::vector<ActorHandle<TableReplica<K, T>>>& replica);
  std::string CheckpointOfPath(const std::string& path) const;
  TableState<K, T> StateOf(const Content& content) const;
  void KeepDoor();
  std::shared_ptr<Content> ReadFile(const std::string& file) const;
  void Restore();
  void Counted();
  void TellReplica(TableEvent<K, T> event);
  bool FillReplica(uint64_t events);
  bool TakeFromReplica();  // false where it has nothing
  void Watch();

  const TableSetup setup_;
  TableRows<K, T> rows_;
  bool has_rows_;  // false: Inherit is still to come
  std::vector<ActorHandle<TableReplica<K, T>>> replica_;
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
