// Shard<T>: the actor that holds one run of parameters. It puts the policy, the optimiser and the store together, and
// answers each call at once. Its process runs one method at a time.
// Gradients that count are kept, pinned, until somebody reads or many are kept. Then one pass over memory makes the
// next version from all of them. Where the store has no room for it, it waits in ahead_, in the process's own memory.
// Always holds: the newest version is ahead_, or values_ where that is empty, with all steps_ done. `round_` has the
// gradients of the round under way, which no version has yet.
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
#include "client/parameter_server/kernels.h"
#include "client/parameter_server/messages.h"
#include "client/parameter_server/policy_core.h"
#include "client/parameter_server/saver.h"
#include "client/parameter_server/version_cell.h"

namespace ray::ps::internal {

// Gradients that one pass may have, and bytes of them that are kept pinned meanwhile. One gradient may be larger.
constexpr size_t kKeptGradientsMax = 8;
constexpr size_t kKeptBytesMax = size_t{1} << 30;

template <class T>
class Shard {
 public:
  // `initial`: of the setup's size, or empty for zeros.
  static Shard* Create(const ShardSetup& setup, const Array<T>& initial) { return new Shard(setup, initial); }

  // `known`: the version that the reader has, or kNoVersion. Not ready where the policy says to wait: the reader asks
  // again. kNoRank is never told to wait, unless for the version `wanted`.
  ReadReply<T> Read(uint64_t rank, uint64_t wanted, uint64_t known);
  PushReply Push(const PushArguments& arguments, const Array<T>& gradient);
  PushReply PushPacked(const PushArguments& arguments, const WireCompression& compression,
                       const Array<uint8_t>& packed);
  // Returns the policy's text with this number of workers.
  std::string SetWorkers(uint64_t workers);
  // Makes a version of all that is kept, so that no gradient stays pinned.
  void Flush() { MakeVersion(); }
  ShardStats Stats();

  // Begins to write a checkpoint, beside other calls. Returns its number, for Saved; 0 while another is under way.
  uint64_t Save(const std::string& path);
  bool Saved(uint64_t number) { return saver_.Done(number); }  // throws why it could not be written

  // Reads a checkpoint and checks it. Nothing changes before Commit, which takes it as this version. Gradients that no
  // version has yet are forgotten then.
  uint64_t Load(const std::string& path);
  void Commit(uint64_t version);

 private:
  struct Kept {
    Array<T> values;
    double scale = 1;
  };

  struct Loaded {
    CheckpointOf of;
    Array<T> values;
    std::vector<std::vector<T>> slots;
  };

  Shard(const ShardSetup& setup, const Array<T>& initial);
  CheckpointOf Description() const;
  void OpenCount();
  void Restore();
  void SaveWhenDue();
  Loaded ReadFile(const std::string& file) const;
  void Take(Loaded loaded);
  void Counted();  // the version has changed
  void CloseRound();
  void Keep(std::vector<Kept> step);
  void Do(std::span<T> next);  // steps_
  void MakeVersion();          // throws where the store has no room

  const ShardSetup setup_;
  const uint64_t machine_;
  PolicyCore core_;
  Optimiser<T> optimiser_;
  Array<T> values_;
  std::vector<T> ahead_;
  std::vector<std::vector<Kept>> steps_;
  size_t kept_ = 0;                 // gradients in steps_
  std::map<uint64_t, Kept> round_;  // by rank
  uint64_t reads_ = 0;
  uint64_t packed_ = 0;
  uint64_t passes_ = 0;
  std::optional<Loaded> loaded_;  // between Load and Commit
  Saver saver_;
  VersionCell cell_;
  UpdateCount count_;  // not open without checkpoints
  uint64_t saved_version_ = 0;
  uint64_t updates_lost_ = 0;
};

}  // namespace ray::ps::internal
