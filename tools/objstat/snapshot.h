// Snapshot: the contents of one store at one moment. Read from its index segment and its clients' pin pages, read-only
// and without the daemon's help. So it also works when the daemon hangs or has died. One thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "fbs/ids.h"
#include "fbs/segment_layout.h"

namespace raylet::objstat {

// The part of the ledger in which an object counts.
enum class Place { kPinned, kEvictable, kOwned, kUnsealed, kDying };
const char* PlaceName(Place place);

struct Object {
  ObjectId id;
  Place place = Place::kEvictable;
  bool owned = false;
  uint32_t creator = 0;  // a client's number
  uint64_t data_bytes = 0;
  uint64_t metadata_bytes = 0;
  uint64_t offset = 0;
  uint64_t age_ms = 0;
  uint32_t pins = 0;              // slots that name it
  std::vector<uint32_t> holders;  // clients' numbers
  uint64_t bytes() const { return data_bytes + metadata_bytes; }
};

struct Client {
  uint32_t number = 0;
  pid_t pid = 0;
  std::string name;
  uint64_t connected_ms_ago = 0;
  uint64_t created_count = 0, created_bytes = 0, unsealed_bytes = 0, owned_bytes = 0;
  std::optional<uint32_t> pins;  // nothing where its pin page could not be found
};

struct Sum {
  uint64_t bytes = 0, count = 0;
};

// capacity = pinned + evictable + owned + unsealed + dying + free, where the daemon's own counters
// give free.
struct Ledger {
  uint64_t capacity_bytes = 0;
  Sum pinned, evictable, owned, unsealed, dying;
  uint64_t free_bytes = 0;
  std::vector<std::string> differences;  // sentences; empty: it adds up
  bool AddsUp() const { return differences.empty(); }
};

struct Counters {
  uint64_t sealed_bytes, sealed_count, unsealed_bytes, unsealed_count, dying_bytes, dying_count, physical_bytes,
      creates, seals, deletes, evictions, evicted_bytes, full_failures, clients, bytes_received, bytes_sent,
      watched_ids, lent_bytes;
};

struct Snapshot {
  std::string socket_path, build;
  pid_t daemon_pid = 0;
  bool daemon_alive = false;
  bool daemon_stopped = false;  // by SIGSTOP or a debugger: it lives but does not answer
  bool consistent = false;      // counters, objects and clients are of one moment
  uint64_t up_ms = 0;
  uint64_t arena_bytes = 0;
  std::optional<uint64_t> resident_bytes;   // of the arena
  uint64_t largest_run_bytes = 0;           // the largest stretch of the arena without an object
  std::optional<uint64_t> oldest_unsealed;  // index into objects
  uint32_t unknown_pin_pages = 0;           // clients whose pins could not be read
  Counters counters{};
  std::vector<Object> objects;  // in the order of their offsets
  std::vector<Client> clients;
  Ledger ledger;
};

// kNotRunning when there is no index segment for this socket path, kNotAllowed when it belongs to
// another user.
Result<Snapshot> TakeSnapshot(const std::string& socket_path);

}  // namespace raylet::objstat
