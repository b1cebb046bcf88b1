// RestoreQueue: the requests for spilled objects that are not answered yet. Pure. The StoreServer owns it; loop thread
// only.
// Always holds: an object is tried in the order in which it was asked for first, until it is here, lost, or nobody
// waits for it. The queue is bounded for each client, and holds nothing of a client that has gone.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "fbs/ids.h"
#include "fbs/messages.h"

namespace raylet::store {

constexpr uint32_t kRestoreRequestsPerClientMax = 64;

class RestoreQueue {
 public:
  struct Request {
    uint32_t client = 0;
    uint64_t request_id = 0;
    TimePoint deadline = TimePoint::max();
  };
  struct Answer {
    Request request;
    Result<void> outcome;
  };

  // kLimit where the client has too many requests here, or this one too many ids. `ids` are the objects that are not
  // here yet; none is named twice.
  Result<void> Add(const Request& request, const std::vector<ObjectId>& ids);
  bool Empty() const { return requests_.empty(); }
  // The objects that somebody waits for and whose read has not begun, the first one first.
  std::optional<ObjectId> Next() const;
  void Begun(const ObjectId& id);
  // It is here, or it failed. The requests that are answered by that.
  std::vector<Answer> Ended(const ObjectId& id, const Result<void>& outcome);
  // Requests whose deadline has passed: kTimedOut is the caller's to explain.
  std::vector<Request> TakeExpired(TimePoint now);
  void DropClient(uint32_t client);
  // No request has an earlier one.
  TimePoint NextDeadline() const { return Empty() ? TimePoint::max() : next_deadline_; }

 private:
  struct Waiting {
    Request request;
    size_t left = 0;  // objects
  };
  struct Object {
    std::vector<uint64_t> requests;  // their numbers
    bool begun = false;
  };
  void Forget(uint64_t number);

  std::map<uint64_t, Waiting> requests_;  // by number
  uint64_t next_number_ = 1;
  std::unordered_map<ObjectId, Object> objects_;
  std::deque<ObjectId> order_;  // of those that have not begun, and of some that nobody waits for any more
  std::unordered_map<uint32_t, uint32_t> of_client_;
  TimePoint next_deadline_ = TimePoint::max();
};

}  // namespace raylet::store
