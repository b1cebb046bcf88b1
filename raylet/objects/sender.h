// ObjectSender: sends objects of this machine's store to the raylets that dialed a bulk connection,
// from the arena's mapping straight to the socket. Owned by ObjectTransfer, on its thread. It waits for nothing: the
// store's client makes no system call here, and another thread waits for spilled objects.
// Always holds: an object is pinned from its first byte in a batch to the last that the kernel has
// taken. A connection holds one batch of chunks at a time, so nothing piles up for a slow reader.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "base/counter.h"
#include "base/loop.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "client/plasma/store_client.h"
#include "raylet/objects/chunk.h"
#include "raylet/objects/restorer.h"

namespace raylet {

struct ObjectSenderLimits {
  size_t pulls_per_connection_max = kPullsPerConnectionMax;  // one more is refused
  std::chrono::milliseconds stall{30'000};                   // a reader that takes nothing for so long is dropped
};

class ObjectSender {
 public:
  struct Counters {        // may be read by any thread
    Counter objects_sent;  // to their last byte
    Counter bytes_sent;    // of objects
    Counter pulls_refused;
    Counter system_calls;  // to send
  };

  // `loop` outlives the sender.
  ObjectSender(Loop& loop, std::shared_ptr<client::StoreClient> store, ObjectSenderLimits limits = {});
  ~ObjectSender();

  // A connected, authenticated stream socket. That node pulls over it until it closes it.
  void Serve(const NodeId& node, UniqueFd fd);
  void Disconnect(const NodeId& node, const Error& why);  // all of its connections

  size_t connections() const { return connections_.size(); }
  size_t pulls() const;  // not sent to their end yet
  const Counters& counters() const { return counters_; }

 private:
  class Connection;
  void Restore(uint64_t key, uint64_t pull, const ObjectId& object);
  void Remove(uint64_t key, const Error& why);
  void WatchForStalls();
  void DropStalled();

  Loop& loop_;
  const std::shared_ptr<client::StoreClient> store_;
  const ObjectSenderLimits limits_;
  Counters counters_;
  std::map<uint64_t, std::unique_ptr<Connection>> connections_;
  uint64_t next_key_ = 1;
  Restorer restorer_;
  Timer stall_timer_;  // only while pulls are under way
};

}  // namespace raylet
