// PlasmaClient: a program's connection to plasma_store, the machine's store of immutable objects. Owned by the program.
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

constexpr int64_t kDigestSize = sizeof(uint64_t);

class RAYLET_API PlasmaClient {
 public:
  PlasmaClient();
  ~PlasmaClient();  // as Disconnect
  PlasmaClient(const PlasmaClient&) = delete;
  PlasmaClient& operator=(const PlasmaClient&) = delete;

  // Tries again num_retries times, 100 ms apart; a negative number means 80 times. The two parameters in between have
  // no effect; older programs pass them.
  Status Connect(const std::string& store_socket_name, const std::string& manager_socket_name = "",
                 int release_delay = 0, int num_retries = -1);
  // Aborts unsealed objects, whoever still has their buffers and writers, and drops all holds. Ends the waits of other
  // threads, within a tenth of a second, with Disconnected. Objects in views and in buffers of sealed objects stay
  // valid until these go, and the store counts this client as connected until then; those of the manual Get may be
  // written over. A second call does nothing.
  Status Disconnect();

  // ---- write ----
  // Space for an object. Write to *data, then Seal. PlasmaStoreFull, ObjectTooLarge, PlasmaObjectExists. The object is
  // held from here on until Release(id), and as long as the buffer lives.
  Status Create(const ObjectID& object_id, int64_t data_size, const uint8_t* metadata, int64_t metadata_size,
                std::shared_ptr<Buffer>* data, int device_num = 0, bool evict_if_full = true);
  Status Seal(const ObjectID& object_id);  // returns when the object is visible to all
  // Invalid while the caller holds the buffer: drop it or call Release(id) first. The id may be used again afterwards.
  Status Abort(const ObjectID& object_id);
  Status CreateAndSeal(const ObjectID& object_id, const std::string& data, const std::string& metadata,
                       bool evict_if_full = true);
  // In order; stops at the first that fails.
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
  // Drops one hold, of a Create or of the manual form. Where the id was deleted and created anew, the hold of the older
  // object goes first. PlasmaObjectNotFound where this client has none; OK after Disconnect.
  Status Release(const ObjectID& object_id);
  ObjectView GetView(const ObjectID& object_id, int64_t timeout_ms = -1);
  Status Contains(const ObjectID& object_id, bool* has_object);
  Status List(ObjectTable* objects);
  // kDigestSize bytes that depend on data and metadata. PlasmaObjectNotFound unless it is sealed.
  Status Hash(const ObjectID& object_id, uint8_t* digest);

  // ---- manage ----
  // A held object goes at its last release. Deleting an absent object is no error.
  Status Delete(const ObjectID& object_id);
  Status Delete(const std::vector<ObjectID>& object_ids);
  Status Evict(int64_t num_bytes, int64_t& num_bytes_evicted);
  Status Refresh(const std::vector<ObjectID>& object_ids);  // counts as a use of each

  std::string DebugString();
  int64_t store_capacity();  // bytes; 0 when not connected

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace plasma
