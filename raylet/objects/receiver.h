// ObjectReceiver: pulls objects of other machines into this machine's store, from the socket straight into the arena.
// Owned by ObjectTransfer, which gives it a thread of its own, because its calls to the store wait for the answer.
// Always holds: an object is sealed only when each of its chunks has come and passed its checksum. When a pull ends
// early, its bytes stay, unsealed, and the next pull goes on behind them; Stop drops them. When this process dies, the
// store frees them.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>

#include "base/counter.h"
#include "base/loop.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "client/plasma/store_client.h"
#include "raylet/objects/arena_pages.h"
#include "raylet/objects/chunk.h"
#include "raylet/objects/pull_queue.h"

namespace raylet {

struct ObjectReceiverLimits {
  uint64_t kept_bytes_max = uint64_t{512} << 20;  // of the objects whose pulls ended early
  std::chrono::milliseconds stall{10'000};        // a sender that is silent for so long is dropped
};

class ObjectReceiver {
 public:
  // Called from the loop, or from inside Pull, Connect and Disconnect. A handler may call Pull, Raise and Stop of the
  // receiver, and nothing else.
  class Handler {
   public:
    virtual ~Handler() = default;
    virtual void OnPullSized(PullNumber pull, const ObjectId& object, uint64_t bytes) = 0;
    // Sealed, and pinned while `view` lives. The view is empty where the object was evicted or spilled at
    // once, or was here already.
    virtual void OnPullSealed(PullNumber pull, const ObjectId& object, client::PinnedObject view) = 0;
    // With the codes of PullQueue::PullEnded.
    virtual void OnPullEnded(PullNumber pull, const ObjectId& object, const Error& why, uint64_t good_bytes) = 0;
    // Once, after its pulls have ended.
    virtual void OnConnectionGone(const NodeId& node, const Error& why) = 0;
  };
  struct Counters {  // may be read by any thread
    Counter objects_received;
    Counter bytes_received;  // of objects, checksums good
    Counter bytes_resumed;   // that were kept from an earlier pull
    Counter chunks_corrupt;
    Counter system_calls;  // to receive
  };

  // `loop` and `handler` outlive the receiver.
  ObjectReceiver(Loop& loop, std::shared_ptr<client::StoreClient> store, Handler& handler,
                 ObjectReceiverLimits limits = {});
  ~ObjectReceiver();  // calls nobody

  // A connected, authenticated stream socket to that node's ObjectSender. It replaces an earlier
  // one.
  void Connect(const NodeId& node, UniqueFd fd);
  bool Connected(const NodeId& node) const { return connections_.contains(node); }
  void Disconnect(const NodeId& node, const Error& why);
  void CloseIdle(const NodeId& node);  // does nothing while a pull uses it; no callback

  // Ends with kDisconnected where there is no connection to that node.
  void Pull(PullNumber pull, const ObjectId& object, const NodeId& from, PullPriority priority);
  void Raise(PullNumber pull, PullPriority priority);
  void Stop(const ObjectId& object);  // drops the bytes that have come

  size_t pulls() const { return pulls_.size(); }
  uint64_t kept_bytes() const { return kept_bytes_; }
  const Counters& counters() const { return counters_; }

 private:
  class Connection;
  // The part of an object that has come. It is pulled, or waits for its next pull.
  struct Arriving {
    ObjectSizes sizes;
    uint64_t good_bytes = 0;
    client::ObjectWriter writer;
    // A small object has this instead of the writer. It is created and sealed in one step, with others of its turn.
    std::unique_ptr<std::byte[]> small;
    bool kept = false;  // counted in kept_bytes_
    std::byte* At(uint64_t offset) const;
  };
  struct UnderWay {
    ObjectId object;
    Connection* connection = nullptr;
    bool begun = false;  // its header has come
  };

  Result<void> OnHeader(PullNumber pull, const wire::PullHeaderT& header);
  Result<std::span<std::byte>> PlaceFor(PullNumber pull, uint64_t offset, uint64_t bytes);
  Result<void> OnChunk(PullNumber pull, uint64_t offset, std::span<const std::byte> bytes, uint64_t checksum);
  void OnRefused(PullNumber pull, const Error& why);
  Result<void> MakeRoom(const ObjectId& object, const ObjectSizes& sizes);
  void Seal(PullNumber pull, const ObjectId& object);
  void SealSoon(PullNumber pull);
  void SealWhole();
  void SealBatch(std::span<const PullNumber> pulls);
  void Sealed(PullNumber pull, const ObjectId& object, client::PinnedObject view);
  void StopPull(const ObjectId& object);
  void End(PullNumber pull, const Error& why, bool tell_sender);
  void Drop(const ObjectId& object);
  void ConnectionGone(Connection& connection, Error why);
  void WatchForStalls();
  void DropStalled();

  Loop& loop_;
  const std::shared_ptr<client::StoreClient> store_;
  Handler& handler_;
  const ObjectReceiverLimits limits_;
  Counters counters_;
  std::map<NodeId, std::unique_ptr<Connection>> connections_;
  std::unordered_map<PullNumber, UnderWay> pulls_;
  std::unordered_map<ObjectId, Arriving> arriving_;
  std::vector<PullNumber> whole_;  // small objects, all of whose bytes have come in this turn
  uint64_t kept_bytes_ = 0;
  ArenaPages pages_;
  Timer stall_timer_;  // only while pulls are under way
  const std::shared_ptr<int> life_ = std::make_shared<int>();
};

}  // namespace raylet
