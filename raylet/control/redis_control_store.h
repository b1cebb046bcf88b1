// RedisControlStore: the control store of a cluster, in a Redis (6 or later; not a Redis Cluster). Owned by main; the
// raylet's loop thread only; not destroyed from inside a `done`. Nothing waits here: while Redis is away, calls wait
// until their deadline, and are made from the start once it is back.
//
// A change is WATCH and MGET, the cell's rule, then MULTI, SET or DEL, EXEC: no scripts, so that our Redis user needs
// none. Changes of many cells go as one such batch, and one batch is under way at a time, because what a connection
// watches is one set. EXEC answers nil where somebody else changed a cell in between: then the rules are asked again,
// for half as many cells. EXEC's answer may be lost with the connection: then the rules are asked again, too, and find
// in each cell who wrote it, in which epoch or version, so that doing it twice is doing it once:
//   leases, bases   the same node and epoch is ours: written again, with the lease prolonged
//   names           the same actor in the same epoch is ours; a release finds nothing of ours left
//   placements      the same node and epoch is ours; to forget finds nothing left
//   pairs           an equal value, a deleted pair: ours, its version stays
//
// Cells are keys "raylet:<kind>:<name>"; kinds that are listed have their names in the set "raylet:index:<kind>",
// written in the same EXEC. A name whose cell has run out is swept from the set by whoever lists it.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "raylet/control/control_store.h"
#include "raylet/control/redis_connection.h"

namespace raylet {

constexpr size_t kControlCallsMax = 16'384;  // waiting

class RedisControlStore final : public ControlStore, private RedisConnection::Handler {
 public:
  RedisControlStore(Loop& loop, const ControlAddress& address, RedisConnectionOptions options = {});
  ~RedisControlStore() override;

  State state() const override;

 protected:
  void Change(Cell cell, CellRule rule, Deadline deadline, Done<Changed> done) override;
  void Read(Cell cell, Deadline deadline, Done<CellText> done) override;
  void List(std::string_view kind, std::string prefix, Pick pick, Deadline deadline,
            Done<std::vector<std::string>> done) override;
  void Later(std::function<void()> work) override;

 private:
  using CallId = uint64_t;
  struct Call;
  struct Listing;
  using Answer = std::function<void(Call&, RedisReply)>;

  void OnUp() override;
  void OnDown() override;
  void OnRefused() override;  // what waits is told at once: it would wait for somebody to change a password

  // Takes a call in: `refused` hears of its end without an answer.
  Call* Open(Deadline deadline, std::function<void(Error)> refused);
  std::unique_ptr<Call> Close(CallId id);  // null where it has ended already
  void End(CallId id, Error why);
  void Begin(Call& call);
  // Sends for a call; its answer comes unless the call has ended or is begun again by then. Answers that say that Redis
  // cannot serve now, or not us, are dealt with here.
  void Ask(Call& call, const std::vector<std::string>& words, Answer answer);
  bool Serves(const RedisReply& reply);  // false: the connection was given up
  static Error Refusal(const std::string& text);
  Error NotInTime() const;

  // Changes
  void Pump();
  void TookStock(const std::vector<CallId>& batch, RedisReply values);
  void Executed(const std::vector<CallId>& batch, RedisReply reply);
  void BatchDone();

  // Lists
  void Scan(Call& call, const std::shared_ptr<Listing>& listing);
  void Collect(Call& call, const std::shared_ptr<Listing>& listing);

  Loop& loop_;
  const std::string shown_;
  RedisConnection connection_;
  std::map<CallId, std::unique_ptr<Call>> calls_;  // in the order in which they were made
  CallId next_call_ = 1;
  std::deque<CallId> changes_;  // not in the batch under way
  bool batch_under_way_ = false;
  size_t batch_max_;
  uint64_t timed_out_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace raylet
