// StoreClient: this process's connection to one plasma_store: the verbs, and gets that need no daemon. Owned by the
// object that connected (the ray:: runtime, the raylet, a plasma::PlasmaClient); one per process and store is enough.
// Every method is safe from several threads at once, also while another thread waits in Get or Create. Views keep what
// they need alive, so they may outlive the StoreClient. The daemon hears that this client has gone once the last of
// them is gone too. A writer that outlives both keeps its memory alone: its object is aborted.
// When the store's server dies and its keeper starts another, every method goes on with that one. Views, holds and
// waits stay. An unsealed object is written again at its seal. Half a second after the end of both, at the latest,
// every method says kDisconnected.
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
#include "base/unique_fd.h"
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
  uint64_t entry = 0;    // its number in the index
  bool sealed = false;   // otherwise being written by its creator
  bool spilled = false;  // sealed, and on disk
  bool owned = false;
  bool deleted = false;  // it goes at its last release
  uint32_t creator = 0;  // a client's number
  uint64_t data_bytes = 0;
  uint64_t metadata_bytes = 0;
  uint64_t created_ms = 0;     // since the daemon started
  uint64_t constructed_s = 0;  // from its create to its seal
  uint32_t clients = 0;        // that use it; only after ListWithUses
};

// One object of a batch.
struct BatchObject {
  ObjectId id;
  std::span<const std::byte> data, metadata;
};

class StoreClient {
 public:
  // kNotRunning when nobody serves `socket`. With `retry`, Connect tries again until the deadline. `name` is for
  // people. `heir`: the client of that number inherits the objects that this one owns at its end. With 0 they are
  // deleted. `patience`: how long to wait for a daemon that takes or answers nothing, beyond the time that a request
  // itself may take.
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
  bool Disconnected() const;         // the store has gone for good; views can still be read
  Result<void> CheckUsable() const;  // why no request can be made, at most half a second late
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
  // socket twice a second, and asks the daemon about an object that was deleted a moment ago.
  // A spilled object is none, and sets `on_disk`.
  Result<std::optional<PinnedObject>> TryGet(const ObjectId& id, bool* on_disk = nullptr);
  // As TryGet, but waits for an object that is on disk. kTimedOut: it did not come into memory before the deadline.
  // kNotFound: it is lost.
  Result<std::optional<PinnedObject>> GetHere(const ObjectId& id, Deadline deadline);
  // Sealed and not deleted, in memory or on disk, and not lost. Does not pin and does not count as a use. As few system
  // calls as TryGet.
  Result<bool> Contains(const ObjectId& id) const;
  bool IsLost(const ObjectId& id) const;  // it was spilled, and its bytes cannot be read any more; never a system call
  // Nothing unless the object is sealed or being written.
  Result<std::optional<ObjectInfo>> Describe(const ObjectId& id) const;
  Result<std::vector<ObjectInfo>> List() const;          // sealed and unsealed
  Result<std::vector<ObjectInfo>> ListWithUses() const;  // asks the daemon how many clients use each
  // Whether this client pins the sealed object of this id.
  Result<bool> Pins(const ObjectId& id) const;

  // ---- write ----
  // Space for one object, writable until sealed. kFull (StoreFull: need, free, largest run, pinned), kTooLarge,
  // kAlreadyExists.
  Result<ObjectWriter> Create(const ObjectId& id, uint64_t data_bytes, std::span<const std::byte> metadata,
                              const CreateOptions& options);
  // Returns when the object is visible to all. Small ones travel in the request, large ones are written in place. After
  // kTimedOut a small one may be there yet: only its caller knows whether the id was free, and may delete it.
  Result<void> CreateAndSeal(const ObjectId& id, std::span<const std::byte> data, std::span<const std::byte> metadata,
                             const CreateOptions& options);
  // As above, and returns at once: visible soon, in order with this client's other requests. The caller may write over
  // `data` then. It waits only while so many small puts are under way that this client has no room for another one; a
  // large one returns when it is visible. AwaitPuts reports a small one that fails later.
  Result<void> CreateAndSealAsync(const ObjectId& id, std::span<const std::byte> data,
                                  std::span<const std::byte> metadata, const CreateOptions& options);
  // Returns when all asynchronous puts before it are visible, or have failed: the first failure since the last call.
  Result<void> AwaitPuts(Deadline deadline);
  // All of them, or after an error none. They become visible in order.
  Result<void> CreateAndSealBatch(std::span<const BatchObject> objects, const CreateOptions& options);
  // By id, for callers that gave up their ObjectWriter with Detach(); otherwise use the writer's own methods.
  Result<void> Seal(const ObjectId& id);       // returns when the object is visible to all
  Result<void> SealAsync(const ObjectId& id);  // visible soon; in order with this client's other requests
  Result<void> Abort(const ObjectId& id);

  // ---- manage ----
  // One outcome for each id: kOk or kNotFound when it is gone, kWrongState while another client writes it.
  // Pinned memory is freed at its last release.
  Result<std::vector<ErrorCode>> Delete(std::span<const ObjectId> ids);
  Result<void> DeleteAsync(std::span<const ObjectId> ids);  // in order with this client's other requests
  // The same for kObjectsPerMessage ids at most. kTimedOut: the store has taken nothing of it.
  Result<void> DeleteAsync(std::span<const ObjectId> ids, Deadline deadline);
  Result<bool> Flush();  // true when the store has taken all that was sent; it does not wait
  // As Plasma deletes: what somebody holds stays, and others get it, until its last release. What is being written goes
  // once it is sealed and nobody holds it.
  Result<std::vector<ErrorCode>> DeleteAtLastRelease(std::span<const ObjectId> ids);
  Result<uint64_t> Evict(uint64_t bytes);  // bytes freed
  Result<void> SetOwner(std::span<const ObjectId> ids, uint32_t owner);
  Result<void> Touch(std::span<const ObjectId> ids);  // counts as a use of each; as few system calls as TryGet

  // This client's name for people, and its quota of created bytes; 0: none. kFull: it has one, or there is no room for
  // it.
  Result<void> SetOptions(const std::string& name, uint64_t quota_bytes);
  Result<std::string> DebugText();  // what the daemon says of room, orders of eviction and quotas
  // A socket on which the daemon tells of each object's seal and end (fbs/object_notice.h).
  Result<UniqueFd> Subscribe();

  // Bytes over the socket since Connect.
  uint64_t bytes_sent() const;
  uint64_t bytes_received() const;

 private:
  enum class DeleteVerb { kNow, kAtLastRelease };
  explicit StoreClient(std::shared_ptr<StoreSession> session);
  // A sealed object of this id has these bytes.
  bool IsThere(const BatchObject& object);
  Result<std::vector<ErrorCode>> DeleteBy(DeleteVerb verb, std::span<const ObjectId> ids);
  std::shared_ptr<StoreSession> session_;
};

}  // namespace raylet::client
