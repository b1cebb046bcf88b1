// Recovery: a store goes on with the memory of a daemon that was killed at any instruction. The index says which
// objects there are, where they lie, who owns them and which clients are connected; the pin pages say who holds what.
// Everything else is made anew from these. Approximate: the order of eviction is that of the creates, and then of each
// client's last releases. Quotas, and the deletes that wait for a client's end, are unknown: whoever asked for them
// asks again. On the stack of who needs it; loop thread only.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "fbs/ids.h"
#include "fbs/segment_layout.h"
#include "store/object_store.h"

namespace raylet::store {

class Recovery {
 public:
  explicit Recovery(ObjectStore& store) : store_(store) {}

  // Takes over what an earlier daemon has left in the index and in the arena. The objects that are sealed stay, with
  // their owners and pins; `pages` are those of the clients. Once, before any other call to the store. kProtocolError
  // where this is no memory of ours.
  struct ClientPage {
    uint32_t client = 0;
    PinPage* page = nullptr;
  };
  Result<void> Run(std::span<const ClientPage> pages);
  // What the client was writing is lost. Its memory is free once nobody pins it.
  void LoseUnsealed(uint32_t client);
  std::vector<ObjectId> OwnedBy(uint32_t client) const;  // the sealed ones

 private:
  Result<std::vector<Arena::Place>> PlacesOfAll() const;
  void AddWriting(std::span<const ClientPage> pages, std::vector<Arena::Place>& places);
  void AdoptEntry(uint32_t entry, std::vector<uint32_t>& in_order);

  ObjectStore& store_;
};

}  // namespace raylet::store
