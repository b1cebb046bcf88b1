// EventLog: writes the store's last events into the index, for those who ask later what happened. The ObjectStore owns
// it; loop thread only.
// Always holds: like events of one client within a second are one, so that a client which retries drives no others out.
#pragma once

#include <cstdint>
#include <string>

#include "fbs/ids.h"
#include "fbs/segment_layout.h"
#include "store/client_table.h"
#include "store/full_numbers.h"

namespace raylet::store {

class EventLog {
 public:
  explicit EventLog(IndexHeader& header);  // outlives this; goes on after the events that are there

  // `client` found no room for the object. Names the client that pins, owns or writes the most.
  void Full(uint64_t now_ms, uint32_t client, const ObjectId& id, const FullNumbers& numbers,
            const ClientTable& clients);
  void Evicted(uint64_t now_ms, uint64_t objects, uint64_t bytes) {
    Moved(EventKind::kEvicted, now_ms, objects, bytes);
  }
  void Spilled(uint64_t now_ms, uint64_t objects, uint64_t bytes) {
    Moved(EventKind::kSpilled, now_ms, objects, bytes);
  }
  void Restored(uint64_t now_ms, uint64_t objects, uint64_t bytes) {
    Moved(EventKind::kRestored, now_ms, objects, bytes);
  }
  void SpillFailed(uint64_t now_ms);  // a file could not be written
  // The bytes of a spilled object cannot be read any more.
  void Lost(uint64_t now_ms, const ObjectId& id, uint64_t bytes);
  // Says nothing of a client that neither writes nor owns an object.
  void ClientLeft(uint64_t now_ms, uint32_t client, const ClientRow& row);

 private:
  void Moved(EventKind kind, uint64_t now_ms, uint64_t objects, uint64_t bytes);
  void Write(Event event);

  IndexHeader& header_;
  uint64_t number_;        // of the last event
  uint64_t first_ms_ = 0;  // when the last event happened first
  Event last_;
};

}  // namespace raylet::store
