// StoreLink: the raylet's connections to its store. It tells which objects have been sealed, and which
// the raylet has inherited. It also looks at objects and deletes them. Owned by main; loop thread only.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/loop.h"
#include "base/result.h"
#include "client/plasma/store_client.h"
#include "fbs/ids.h"
#include "raylet/objects/watch_list.h"

namespace raylet {

class StoreLink {
 public:
  class Handler {
   public:
    virtual ~Handler() = default;
    virtual void OnSealed(const ObjectId& object) = 0;
    // The raylet owns these objects now, because the store's client `client`, their owner, has ended. `last` ends the
    // sequence of the client's objects, which may be empty.
    virtual void OnInherited(uint32_t client, std::span<const ObjectId> objects, bool last) = 0;
    virtual void OnStoreGone(const Error& reason) = 0;  // once; nothing after it
  };

  virtual ~StoreLink() = default;
  // Each object gets one OnSealed, from the loop, at once where it is sealed already. OnSealed ends the watch for every
  // reason.
  virtual void Watch(std::span<const ObjectId> objects, WatchFor reason) = 0;
  virtual void Unwatch(std::span<const ObjectId> objects, WatchFor reason) = 0;
  // The caller knows that the object is sealed here. A watched one gets its OnSealed at the end of this turn.
  virtual void SealedHere(const ObjectId& object) = 0;
  virtual size_t watched() const = 0;  // at the store, and in the queue for it
  // Deletes those of the objects that this client of the store created: at once if it has gone,
  // otherwise at its end.
  virtual void DeleteMadeBy(uint32_t client, std::span<const ObjectId> objects) = 0;
  // The client of the store that gets OnInherited: processes name it as their heir. Never 0.
  virtual uint32_t heir() const = 0;

  // Another connection of the raylet, for calls that wait.
  virtual Result<std::shared_ptr<client::StoreClient>> NewClient(const std::string& name) const = 0;
  // The raylet's client that owns the copies of other machines' objects. Never 0.
  virtual uint32_t client_number() const = 0;
  // Data and metadata of a sealed object; nothing where there is none. Never a system call.
  virtual std::optional<uint64_t> BytesOf(const ObjectId& object) const = 0;
  // It was spilled, and its bytes cannot be read any more. BytesOf says nothing of it. Never a system call.
  virtual bool IsLost(const ObjectId& object) const = 0;
  // A copy of a sealed object's metadata, of at most 1 MiB; nothing where there is none. No value that names other
  // objects is on disk, and of others on disk this returns nothing.
  virtual std::optional<std::string> MetadataOf(const ObjectId& object) const = 0;
  virtual void Delete(std::span<const ObjectId> objects) = 0;
  struct Room {
    uint64_t capacity_bytes = 0, free_bytes = 0;
  };
  virtual Room room() const = 0;  // never a system call
  // False while the store's server is being started again, and once it is gone.
  virtual bool Serves() const = 0;

  virtual void SetHandler(Handler& handler) = 0;  // before the loop runs
};

// Opens two connections: one for the store's notices, one for objects. kNotRunning, with the command that starts a
// store, where nobody serves `socket`.
Result<std::unique_ptr<StoreLink>> ConnectStoreLink(Loop& loop, const std::string& socket);

}  // namespace raylet
