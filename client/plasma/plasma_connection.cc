#include "client/plasma/plasma_connection.h"

#include "base/strings.h"
#include "client/plasma/plasma_status.h"

namespace plasma {

using raylet::ErrorCode;
using raylet::Fail;
using raylet::MutexLock;
using raylet::StrCat;
using raylet::client::FromPublic;

std::shared_ptr<Buffer> PlasmaConnection::BeginWriting(const ObjectID& id, raylet::client::ObjectWriter writer) {
  auto creation = std::make_shared<Creation>();
  creation->writer = std::move(writer);
  auto buffer = BufferOf(creation->writer);
  held.AddCreation(FromPublic(id), creation);
  const MutexLock lock(mutex_);
  unsealed_[id] = {std::move(creation), buffer};
  return buffer;
}

raylet::Result<std::shared_ptr<Creation>> PlasmaConnection::TakeUnsealed(const ObjectID& id, bool only_unheld) {
  {
    const MutexLock lock(mutex_);
    if (const auto it = unsealed_.find(id); it != unsealed_.end()) {
      if (only_unheld && !it->second.buffer.expired() && held.HoldsCreation(FromPublic(id), it->second.creation.get()))
        return Fail(ErrorCode::kInvalid, StrCat("object ", id.hex(), " cannot be aborted while its buffer is ",
                                                "held: drop the buffer or release the object first"));
      auto creation = std::move(it->second.creation);
      unsealed_.erase(it);
      return creation;
    }
  }
  const auto object = store->Describe(FromPublic(id));
  if (!object) return Fail(object.error());
  if (!object->has_value())
    return Fail(ErrorCode::kNotFound, StrCat("there is no object ", id.hex(), ": create it first"));
  if ((*object)->sealed) return Fail(kSealedAlready, StrCat("object ", id.hex(), " is sealed already"));
  return Fail(ErrorCode::kInvalid,
              StrCat("object ", id.hex(), " is being written by client ", (*object)->creator, ", not by this one"));
}

bool PlasmaConnection::Writes(const ObjectID& id) const {
  const MutexLock lock(mutex_);
  return unsealed_.contains(id);
}

size_t PlasmaConnection::writing() const {
  const MutexLock lock(mutex_);
  return unsealed_.size();
}

}  // namespace plasma
