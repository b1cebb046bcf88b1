// PlasmaConnection: one connection of a PlasmaClient, with the objects that the program writes and holds over it. A
// thread that is inside of a call keeps the connection until it returns. Any thread.
#pragma once

#include <plasma/client.h>

#include <cstddef>
#include <memory>
#include <unordered_map>
#include <utility>

#include "base/mutex.h"
#include "client/plasma/held_objects.h"
#include "client/plasma/notice_reader.h"
#include "client/plasma/plasma_buffers.h"
#include "client/plasma/store_client.h"

namespace plasma {

class PlasmaConnection {
 public:
  explicit PlasmaConnection(std::shared_ptr<raylet::client::StoreClient> connected) : store(std::move(connected)) {}

  // The program writes the object from here on, and holds it. Returns what it writes.
  std::shared_ptr<Buffer> BeginWriting(const ObjectID& id, raylet::client::ObjectWriter writer);
  // Takes the creation of `id` out. kNotFound: no such object. kSealedAlready. kInvalid: another client writes it, or
  // `only_unheld` is set and the program holds its buffer.
  raylet::Result<std::shared_ptr<Creation>> TakeUnsealed(const ObjectID& id, bool only_unheld);
  bool Writes(const ObjectID& id) const;
  size_t writing() const;  // objects that are not sealed

  static constexpr raylet::ErrorCode kSealedAlready = raylet::ErrorCode::kWrongState;

  const std::shared_ptr<raylet::client::StoreClient> store;
  raylet::client::HeldObjects held;
  raylet::client::NoticeReader notices;

 private:
  struct Unsealed {
    std::shared_ptr<Creation> creation;
    std::weak_ptr<Buffer> buffer;  // the caller's
  };
  mutable raylet::Mutex mutex_;  // never held while waiting for the daemon
  std::unordered_map<ObjectID, Unsealed> unsealed_ RAYLET_GUARDED_BY(mutex_);
};

}  // namespace plasma
