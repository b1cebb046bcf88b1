// RedisControlStore: the control store of a cluster, in a Redis (6 or later; not a Redis Cluster).
// Owned by main; the raylet's loop thread only; never destroyed from inside a `done`. Nothing
// blocks here. While Redis is away, calls wait until their deadline; once it is back, they start
// from the beginning.
//
// A change is WATCH and MGET, the cell's rule, then MULTI, SET or DEL, EXEC. It needs no scripts, so our Redis user may
// run none. Changes of many cells go as one such batch. One batch is under way at a time, because a connection has a
// single set of watched keys. EXEC answers nil where another raylet changed a cell in between. Then the rules are asked
// again, for half as many cells. EXEC's answer may be lost with the connection. Then the rules are asked again too.
// Each cell names its writer, and the epoch or version. So a repeated change has no further effect:
//   leases, bases   the same node and epoch is ours: written again, with the lease prolonged
//   names           the same actor in the same epoch is ours; a release finds nothing of ours left
//   placements      the same node and epoch is ours; to forget finds nothing left
//   pairs           an equal value, a deleted pair: ours, its version stays
//
// Cells are keys "raylet:<kind>:<name>". Listed kinds keep their names in the set
// "raylet:index:<kind>", written in the same EXEC. A raylet that lists a kind removes the names
// whose cells have run out.
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
  void OnRefused() override;  // fails waiting calls at once: they would wait until somebody changes a password

  // Takes a call in. `refused` is called when the call ends without an answer.
  Call* Open(Deadline deadline, std::function<void(Error)> refused);
  std::unique_ptr<Call> Close(CallId id);  // null where the call has ended already
  void End(CallId id, Error why);
  void Begin(Call& call);
  // Sends commands for a call. The answer arrives unless the call has ended or begun again by then.
  // Answers that say that Redis cannot serve now, or not us, are handled here.
  void Ask(Call& call, const std::vector<std::string>& words, Answer answer);
  bool Serves(const RedisReply& reply);  // false: it gave the connection up
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
  std::map<CallId, std::unique_ptr<Call>> calls_;  // in order of arrival
  CallId next_call_ = 1;
  std::deque<CallId> changes_;  // not in the batch under way
  bool batch_under_way_ = false;
  size_t batch_max_;
  uint64_t timed_out_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace raylet
