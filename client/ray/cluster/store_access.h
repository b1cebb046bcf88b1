// StoreAccess: this machine's store, as the ray:: layer writes, reads and deletes objects there. Owned by ClusterParts;
// any thread. After Close every method fails, because Ray was shut down.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "base/mutex.h"
#include "client/plasma/store_client.h"
#include "client/ray/cluster/blocked_threads.h"
#include "client/ray/cluster/ownership.h"
#include "client/ray/cluster/progress.h"
#include "client/ray/cluster/raylet_link.h"
#include "client/ray/cluster/wanted_objects.h"

namespace raylet::client {

constexpr int64_t kRoomPatienceMs = 2000;  // how long a create waits for room before it fails with StoreFull

// The bytes of a value, in two pieces.
struct ValueBytes {
  std::string_view first, rest;
  size_t size() const { return first.size() + rest.size(); }
};

class StoreAccess {
 public:
  StoreAccess(std::shared_ptr<StoreClient> client, RayletLink& link, const Ownership& ownership,
              BlockedThreads& blocked, Progress& progress, WantedObjects& wanted)
      : client_number_(client->client_number()),
        link_(link),
        ownership_(ownership),
        blocked_(blocked),
        progress_(progress),
        wanted_(wanted),
        client_(std::move(client)) {}
  // The store hears that this process has gone once its last view, writer and call have ended. Views stay readable.
  void Close() RAYLET_EXCLUDES(mutex_);

  uint32_t client_number() const { return client_number_; }
  bool Disconnected() const;  // the store has gone

  // fbs/stored_value.h describes `metadata`. `owner_client` 0: this process owns the object.
  Result<void> Write(const ObjectId& id, const ValueBytes& value, std::string_view metadata, uint32_t owner_client = 0,
                     int64_t room_patience_ms = kRoomPatienceMs);
  Result<ObjectWriter> CreateArray(const ObjectId& id, size_t bytes);
  // A view of a stored object. `may_be_sealed`: waits for one that its owner makes still, or that another machine has.
  // kTimedOut. kNotFound, with the reason, where it is lost. Not from the io thread.
  Result<PinnedObject> Fetch(const ObjectId& id, Deadline deadline, bool may_be_sealed);
  Result<bool> Contains(const ObjectId& id) const;
  bool IsLost(const ObjectId& id) const;  // not here, and lost; call it for wanted objects
  void Delete(const ObjectId& id);        // on every machine
  // Deletes it in this machine's store only. kOk, kNotFound, or kWrongState where the object is unsealed.
  Result<ErrorCode> DeleteHere(const ObjectId& id);

 private:
  std::shared_ptr<StoreClient> Client() const RAYLET_EXCLUDES(mutex_);  // null once closed
  template <class Create>
  auto CreateWithPatience(CreateOptions& options, int64_t room_patience_ms, Create create);

  const uint32_t client_number_;
  RayletLink& link_;
  const Ownership& ownership_;
  BlockedThreads& blocked_;
  Progress& progress_;
  WantedObjects& wanted_;
  mutable Mutex mutex_;
  std::shared_ptr<StoreClient> client_ RAYLET_GUARDED_BY(mutex_);
};

}  // namespace raylet::client
