// StoreClient: this process's connection to one plasma_store: the verbs, and gets that need no daemon. Owned by the
// object that connected (the ray:: runtime, the raylet, a plasma::PlasmaClient); one per process and store is enough.
// Every method is safe from several threads at once, also while another thread waits in Get or Create. Views keep what
// they need alive, so they may outlive the StoreClient. The daemon hears that this client has gone once the last of
// them is gone too. A writer that outlives both keeps its memory alone: its object is aborted. Half a second after the
// daemon's end, at the latest, every method says kDisconnected.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "client/plasma/object_writer.h"
#include "client/plasma/pinned_object.h"
#include "fbs/ids.h"

namespace raylet::client {

class StoreSession;

// Options of Create.
struct CreateOptions {
  bool evict_if_full = true;
  bool owned = false;      // never evicted; deleted or inherited when its owner's socket closes
  uint32_t owner = 0;      // a client's number; 0 means this client
  int64_t timeout_ms = 0;  // how long to wait for room: 0 does not wait, -1 for ever
  // With a daemon that does not answer, where this is less than the connection's patience.
  Duration answer_patience = Duration::max();
};

// An object as the index showed it at one moment.
struct ObjectInfo {
  ObjectId id;
  bool sealed = false;  // otherwise being written by its creator
  bool owned = false;
  uint32_t creator = 0;  // a client's number
  uint64_t data_bytes = 0;
  uint64_t metadata_bytes = 0;
  uint64_t created_ms = 0;  // since the daemon started
};

class StoreClient {
 public:
  // kNotRunning when nobody serves `socket`; tried again until the deadline only where `retry`. `name` is for people.
  // `heir` is the number of another client, which inherits what this one owns at its end; 0: it is deleted then.
  // `patience` is with a daemon that takes or answers nothing, beyond what a request itself may take.
  static Result<std::shared_ptr<StoreClient>> Connect(const std::string& socket, const std::string& name,
                                                      Deadline deadline, bool retry, uint32_t heir = 0,
                                                      Duration patience = std::chrono::seconds(30));
  ~StoreClient();
  StoreClient(const StoreClient&) = delete;
  StoreClient& operator=(const StoreClient&) = delete;

  uint32_t client_number() const;  // never 0, never reused while the daemon lives
  const std::string& socket_path() const;
  uint64_t capacity_bytes() const;
  uint64_t free_bytes() const;       // bytes of no object; evictable objects do not count as free. Never a system call
  uint64_t started_unix_ms() const;  // when the daemon started; ObjectInfo::created_ms counts from here
  bool Disconnected() const;         // the daemon has gone; views can still be read
  // Ends every wait of other threads within a moment, aborts what is not sealed, and makes all later calls
  // kDisconnected, also of writers. Views stay valid.
  void Disconnect();

  // ---- read ----
  // A pinned, read-only view, as by TryGet when the object is sealed and there. Otherwise waits until it is sealed:
  // kTimedOut at the deadline, kDisconnected soon after the daemon went.
  Result<PinnedObject> Get(const ObjectId& id, Deadline deadline);
  // As above, and asks `alive` at least every 100 ms while waiting. False ends the wait with kCancelled, for example
  // when the object's owner died or the process shuts down.
  Result<PinnedObject> Get(const ObjectId& id, Deadline deadline, const std::function<bool()>& alive);
  // Get of all `ids`, of which some may be equal: fills the empty ones of `views`, which are as many. Each object is
  // pinned as soon as it is seen, so that what is there stays while this thread waits for the others. After an error
  // some views may be filled; kTimedOut says that the others' objects were not there.
  Result<void> GetAll(std::span<const ObjectId> ids, std::span<PinnedObject> views, Deadline deadline);
  // Does not wait: nothing when there is no sealed object of this id. Never a system call, except that it looks at the
  // socket twice a second.
  Result<std::optional<PinnedObject>> TryGet(const ObjectId& id);
  // Sealed and not deleted. Does not pin and does not count as a use. As few system calls as TryGet.
  Result<bool> Contains(const ObjectId& id) const;
  // Nothing unless the object is sealed or being written.
  Result<std::optional<ObjectInfo>> Describe(const ObjectId& id) const;
  Result<std::vector<ObjectInfo>> List() const;  // sealed and unsealed

  // ---- write ----
  // Space for one object, writable until sealed. kFull (StoreFull: need, free, largest run, pinned), kTooLarge,
  // kAlreadyExists.
  Result<ObjectWriter> Create(const ObjectId& id, uint64_t data_bytes, std::span<const std::byte> metadata,
                              const CreateOptions& options);
  // Returns when the object is visible to all. Small ones travel in the request, large ones are written in place. After
  // kTimedOut a small one may be there yet: only its caller knows whether the id was free, and may delete it.
  Result<void> CreateAndSeal(const ObjectId& id, std::span<const std::byte> data, std::span<const std::byte> metadata,
                             const CreateOptions& options);
  // By id, for callers that gave up their ObjectWriter with Detach(); otherwise use the writer's own methods.
  Result<void> Seal(const ObjectId& id);       // returns when the object is visible to all
  Result<void> SealAsync(const ObjectId& id);  // visible soon; in order with this client's other requests
  Result<void> Abort(const ObjectId& id);

  // ---- manage ----
  // One outcome for each id: kOk or kNotFound when it is gone, kWrongState while another client writes it.
  // Pinned memory is freed at its last release.
  Result<std::vector<ErrorCode>> Delete(std::span<const ObjectId> ids);
  Result<void> DeleteAsync(std::span<const ObjectId> ids);  // in order with this client's other requests
  Result<uint64_t> Evict(uint64_t bytes);                   // bytes freed
  Result<void> SetOwner(std::span<const ObjectId> ids, uint32_t owner);
  Result<void> Touch(std::span<const ObjectId> ids);  // counts as a use of each; as few system calls as TryGet

  // Bytes over the socket since Connect.
  uint64_t bytes_sent() const;
  uint64_t bytes_received() const;

 private:
  explicit StoreClient(std::shared_ptr<StoreSession> session);
  std::shared_ptr<StoreSession> session_;
};

}  // namespace raylet::client
