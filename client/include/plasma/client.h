// PlasmaClient: a program's connection to plasma_store, the machine's store of immutable objects. Owned by the program.
// Copies are the same client, which ends with the last of them.
// Every method is safe from several threads at once. A get of a sealed object asks no daemon and makes no system call,
// except that it looks twice a second whether the daemon still lives. Half a second after the daemon's end, at the
// latest, every method says Disconnected.
// Buffers, views and writers may outlive the client: their memory stays mapped. Views and the buffers of the first Get
// also keep their objects.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <plasma/buffer.h>
#include <plasma/common.h>
#include <plasma/export.h>
#include <plasma/object_view.h>

namespace plasma {

class RAYLET_API PlasmaClient {
 public:
  PlasmaClient();
  ~PlasmaClient();  // of the last copy: as Disconnect
  PlasmaClient(const PlasmaClient& other);
  PlasmaClient& operator=(const PlasmaClient& other);

  // Tries again num_retries times, 100 ms apart; a negative number means 80 times. The two parameters in between have
  // no effect; older programs pass them.
  Status Connect(const std::string& store_socket_name, const std::string& manager_socket_name = "",
                 int release_delay = 0, int num_retries = -1);
  // The client's name for people, and its quota: the bytes of objects that it may create. 0: no quota. Objects under a
  // quota never make room for those of other clients, nor others' for them. Once the quota is used up, the client's own
  // oldest object goes. An object that is held then becomes everybody's. PlasmaStoreFull where the client has a quota,
  // and where all quotas would have more than 70 % of the store.
  Status SetClientOptions(const std::string& client_name, int64_t output_memory_quota);
  // Aborts unsealed objects, whoever still has their buffers and writers, and drops all holds. Ends the waits of other
  // threads, within a tenth of a second, with Disconnected. Views, and buffers of the first Get, stay valid until they
  // go. The store counts this client as connected until then. Buffers of Create and of the manual Get may be written
  // over. A second call does nothing.
  Status Disconnect();

  // ---- write ----
  // Space for an object. Write to *data, then Seal. PlasmaStoreFull, ObjectTooLarge, PlasmaObjectExists. The object is
  // held from here on until Release(id). The buffer stays mapped after that, and its bytes may be written over.
  Status Create(const ObjectID& object_id, int64_t data_size, const uint8_t* metadata, int64_t metadata_size,
                std::shared_ptr<Buffer>* data, int device_num = 0, bool evict_if_full = true);
  Status Seal(const ObjectID& object_id);  // returns when the object is visible to all
  // Invalid while the caller holds the buffer: drop it or call Release(id) first. The id may be used again afterwards.
  Status Abort(const ObjectID& object_id);
  Status CreateAndSeal(const ObjectID& object_id, const std::string& data, const std::string& metadata,
                       bool evict_if_full = true);
  // As CreateAndSeal, and returns at once: the object is visible soon, and data and metadata are the caller's again. It
  // waits only while this client has no room for one more of its size under way. An object of more than 4 KiB is
  // visible on return. Flush reports one that fails later.
  Status CreateAndSealAsync(const ObjectID& object_id, const std::string& data, const std::string& metadata,
                            bool evict_if_full = true);
  // Returns when all that CreateAndSealAsync took before is visible, or has failed: the first failure since the last
  // Flush. -1 waits for ever. TimedOut where the store does not answer in time; a later Flush goes on.
  Status Flush(int64_t timeout_ms = -1);
  // In order. All of them, or after an error none.
  Status CreateAndSealBatch(const std::vector<ObjectID>& object_ids, const std::vector<std::string>& data,
                            const std::vector<std::string>& metadata, bool evict_if_full = true);
  // Waits up to timeout_ms for room; 0 does not wait, -1 waits for ever. TimedOut, within a second of the deadline,
  // where the store does not answer.
  ObjectWriter CreateWriter(const ObjectID& object_id, int64_t data_size, std::span<const std::byte> metadata = {},
                            int64_t timeout_ms = 0);

  // ---- read ----
  // Objects that are not sealed by the deadline come back with null data. -1 waits for ever, 0 does not wait. An id may
  // be there more than once. Each object is held as soon as it is seen, and released when its buffers go.
  Status Get(const std::vector<ObjectID>& object_ids, int64_t timeout_ms, std::vector<ObjectBuffer>* object_buffers);
  // The manual form: each object that was there is held until Release(id), once for each time it was got.
  Status Get(const ObjectID* object_ids, int64_t num_objects, int64_t timeout_ms, ObjectBuffer* object_buffers);
  // Drops one hold, of a Create or of the manual form; a deleted object goes with the last one. A program of `ray::`
  // may remove an object and create its id again. If the client holds both, the hold of the older one goes first.
  // PlasmaObjectNotFound where this client has none; OK after Disconnect.
  Status Release(const ObjectID& object_id);
  ObjectView GetView(const ObjectID& object_id, int64_t timeout_ms = -1);
  Status Contains(const ObjectID& object_id, bool* has_object);
  Status List(ObjectTable* objects);
  // Whether this client holds the object or writes it.
  bool IsInUse(const ObjectID& object_id);
  // kDigestSize bytes that depend on data and metadata. PlasmaObjectNotFound unless it is sealed.
  Status Hash(const ObjectID& object_id, uint8_t* digest);

  // ---- manage ----
  // An object that somebody holds goes at its last release. Until then it exists, others get it, and its id is taken.
  // An object that is being written goes once it is sealed and nobody holds it, or aborted. Deleting an absent object
  // is no error.
  Status Delete(const ObjectID& object_id);
  Status Delete(const std::vector<ObjectID>& object_ids);
  Status Evict(int64_t num_bytes, int64_t& num_bytes_evicted);
  Status Refresh(const std::vector<ObjectID>& object_ids);  // counts as a use of each

  // ---- be told ----
  // A socket that reads notices: of each object at its seal, and again when it has gone (sizes -1). First come the
  // objects that are there already. Each notice is 8 bytes with a length, and so many bytes for DecodeNotifications.
  // The caller closes the socket. A reader that stays more than 65,536 notices behind is cut off: it reads what was
  // sent, and then the end. Subscribe anew then. PlasmaStoreFull where this client has four subscriptions already.
  Status Subscribe(int* fd);
  // The next notice of a socket of Subscribe; waits for it. Disconnected at the socket's end and after Disconnect.
  Status GetNotification(int fd, ObjectID* object_id, int64_t* data_size, int64_t* metadata_size);
  // `buffer` begins right after a length.
  Status DecodeNotifications(const uint8_t* buffer, std::vector<ObjectID>* object_ids, std::vector<int64_t>* data_sizes,
                             std::vector<int64_t>* metadata_sizes);

  std::string DebugString();
  int64_t store_capacity();  // bytes; 0 when not connected

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace plasma
