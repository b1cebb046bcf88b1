// A newer plasma_store takes the objects of a running one over: its memory, its socket and its clients, as descriptors.
// TakeOver is the newer one's side, and HandOver the older server's. To the clients it is as if the server had died.
// Always holds: the older server goes on until the newer one has everything, and does nothing from then on. The newer
// one begins once the older server has ended. A layout of the memory that it does not know is refused before that.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/loop.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "fbs/messages.h"
#include "store/kept.h"

namespace raylet::store {

// What a store has to have in common with the one that takes it over.
struct StoreFacts {
  uint64_t capacity_bytes = 0;
  bool strict = false;       // --isolation
  std::string spill_folder;  // empty: it does not spill
};

// ---- the newer one

struct TakenOver {
  uint64_t capacity_bytes = 0;
  Kept kept;
};
// Asks the store at `socket`, and waits until its server has ended. `wanted` is what this one is started with; a
// capacity of 0 is the other's. kNotRunning; kVersionMismatch: another layout; kInvalid: other facts. After any of
// these the other store serves on.
Result<TakenOver> TakeOver(const std::string& socket, const StoreFacts& wanted);

// ---- the older one

class HandOver {
 public:
  // `give` sends all that the keeper keeps to a channel. `end` tells the keeper that another has it, and ends this
  // process.
  HandOver(Loop& loop, StoreFacts facts, std::function<Result<void>(int channel)> give, std::function<void()> end)
      : loop_(loop), facts_(std::move(facts)), give_(std::move(give)), end_(std::move(end)) {}

  // The answer to a newer store. A good one goes with the descriptor `channel`, over which the rest follows.
  wire::TakeOverReplyT Answer(const wire::TakeOverRequestT& request, UniqueFd& channel);

 private:
  void Read();
  Result<void> Give();

  Loop& loop_;
  const StoreFacts facts_;
  const std::function<Result<void>(int)> give_;
  const std::function<void()> end_;
  UniqueFd channel_;   // to the newer store that asked last
  FdWatcher watcher_;  // after channel_
};

}  // namespace raylet::store
