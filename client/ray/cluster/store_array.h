// StoreArray: an array's memory in the store. An array made here is writable, then sealed and pinned, and leaves the
// store with its last holder on any machine. A borrowed array is pinned, and its lend goes back with the last holder
// here. Shared; reading is thread-safe.
#pragma once

#include <memory>
#include <string>

#include <ray/internal/runtime.h>

#include "client/plasma/object_writer.h"
#include "client/plasma/pinned_object.h"
#include "client/ray/cluster/link_use.h"
#include "fbs/ids.h"

namespace raylet::client {

struct ObjectParts;

class StoreArray final : public ray::internal::ArrayStorage {
 public:
  StoreArray(const ObjectParts& parts, ObjectWriter writer);
  StoreArray(const ObjectParts& parts, PinnedObject view, ray::internal::Hold lend);
  ~StoreArray() override;

  const ObjectId& id() const { return id_; }
  bool sealed() const { return static_cast<bool>(view_); }

  const void* data() const override;
  void* mutable_data() override;
  size_t size_bytes() const override;
  void Seal() override;

 private:
  const LinkUse use_;  // first: the parts are there until all else has gone
  const ObjectParts& parts_;
  const ObjectId id_;
  const bool owned_;
  ObjectWriter writer_;  // until sealed
  bool tried_ = false;   // to seal it: the writer has it no more
  PinnedObject view_;    // from then on
  const ray::internal::Hold lend_;
};

}  // namespace raylet::client
