// Shard<T>: the actor that holds one run of parameters. It puts the policy, the optimiser and the store together, and
// answers each call at once. Its process runs one method at a time.
// Always holds: the run has a step for each version. `round_` has the gradients of the round under way, which no
// version has yet. With a replica: it has all gradients that were answered for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <ray/api.h>
#include <ray/parameter_server/parameters.h>

#include "client/parameter_server/checkpoint.h"
#include "client/parameter_server/door.h"
#include "client/parameter_server/messages.h"
#include "client/parameter_server/parameter_run.h"
#include "client/parameter_server/policy_core.h"
#include "client/parameter_server/replica.h"
#include "client/parameter_server/replica_watch.h"
#include "client/parameter_server/resized_shard.h"
#include "client/parameter_server/saver.h"
#include "client/parameter_server/version_cell.h"

namespace ray::ps::internal {

template <class T>
class Shard : public ResizedShard<Server<T>, Door<T>> {
 public:
  // `initial`: of the setup's size, or empty for zeros. `replica`: one, or none.
  static Shard* Create(const ShardSetup& setup, const Array<T>& initial,
                       const std::vector<ActorHandle<Replica<T>>>& replica) {
    return new Shard(setup, initial, replica);
  }

  // `known`: the version that the reader has, or kNoVersion. Not ready where the policy says to wait: the reader asks
  // again. kNoRank is never told to wait, unless for the version `wanted`.
  ReadReply<T> Read(uint64_t rank, uint64_t wanted, uint64_t known);
  PushReply Push(const PushArguments& arguments, const Array<T>& gradient);
  PushReply PushPacked(const PushArguments& arguments, const WireCompression& compression,
                       const Array<uint8_t>& packed);
  // Returns the policy's text with this number of workers.
  std::string SetWorkers(uint64_t workers);
  // Makes a version of all that is kept, so that no gradient stays pinned.
  void Flush() { run_.Make(); }
  ShardStats Stats();
  void Know(const std::string& self);  // this actor's id, where there is a replica
  void Refill();                       // the replica, which has nothing

  // Begins to write a checkpoint, beside other calls. Returns its number, for Saved; 0 while another is under way.
  uint64_t Save(const std::string& path);
  bool Saved(uint64_t number) { return saver_.Done(number); }  // throws why it could not be written

  // Reads a checkpoint and checks it. Nothing changes before Commit, which takes it as this version. Gradients that no
  // version has yet are forgotten then.
  uint64_t Load(const std::string& path);
  void Commit(uint64_t version);

  // A Resize, in this order. From Close until Open or Move the shard takes only gradients that others have already.
  ClosedReply Close(uint64_t resize);
  ClosedReply Admit(const std::vector<uint64_t>& others_have);
  ClosedReply Settle(uint64_t version);  // another shard has this one. No gradient is taken from here on
  ShardState<T> Export() { return State(); }
  void Inherit(const Inheritance<T>& inheritance);       // of a new shard, once
  void Open(uint64_t resize);                            // where this one has closed it; 0: whichever
  MoveReply Move(const Server<T>& to, uint64_t resize);  // as MoveDoor

 private:
  using Base = ResizedShard<Server<T>, Door<T>>;
  using Base::door_;
  using Base::FileOf;
  using Base::Now;
  using Base::RequireClosed;
  using Base::RequireHere;
  using Base::RequireOpen;
  struct Loaded {
    CheckpointOf of;
    Array<T> values;
    std::vector<std::vector<T>> slots;
  };

  Shard(const ShardSetup& setup, const Array<T>& initial, const std::vector<ActorHandle<Replica<T>>>& replica);
  CheckpointOf Description() const;
  void OpenCount();
  void Restore();
  void SaveWhenDue();
  Loaded ReadFile(const std::string& file) const;
  void Take(Loaded loaded);
  void Counted();  // the version has changed
  std::vector<SentGradient<T>> TakeRound();
  void CloseRound();
  void Keep(std::vector<SentGradient<T>> step);
  void TellReplica(uint64_t before, std::vector<SentGradient<T>> gradients, bool is_step);
  bool FillReplica(uint64_t version);  // with all that this shard has, as what it has at this version
  void Watch();
  ShardState<T> State();
  bool TakeFromReplica();  // false where it has nothing
  void KeepDoor();
  ClosedReply Closed() const;

  const ShardSetup setup_;
  const uint64_t machine_;
  bool has_parameters_;  // false: Inherit is still to come
  PolicyCore core_;
  ParameterRun<T> run_;
  std::map<uint64_t, SentGradient<T>> round_;  // by rank
  std::vector<ActorHandle<Replica<T>>> replica_;
  int64_t replica_pid_ = 0;  // of its process, when it last had an event
  uint64_t reads_ = 0;
  uint64_t packed_ = 0;
  std::optional<Loaded> loaded_;  // between Load and Commit
  Saver saver_;
  VersionCell cell_;
  UpdateCount count_;  // not open without checkpoints
  uint64_t saved_version_ = 0;
  uint64_t updates_lost_ = 0;
  bool forgetful_ = false;  // this process came back from a checkpoint, which has no sequences
  uint64_t restarts_ = 0;
  std::string self_;  // this actor's id; empty: not known yet
  std::optional<ReplicaWatch<Shard, Replica<T>>> watch_;
};

}  // namespace ray::ps::internal
