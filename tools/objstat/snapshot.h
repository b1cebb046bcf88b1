// Snapshot: the contents of one store at one moment. Read from its index segment and its clients' pin pages, read-only
// and without the daemon's help. So it also works when the daemon hangs or has died. One thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "client/plasma/mapped_index.h"
#include "fbs/event_log.h"
#include "fbs/ids.h"
#include "fbs/segment_layout.h"

namespace raylet::objstat {

// The part of the ledger in which an object counts.
enum class Place { kPinned, kEvictable, kProtected, kUnsealed, kDying, kSpilled };  // a spilled one has no memory
const char* PlaceName(Place place);

struct Object {
  ObjectId id;
  uint64_t entry = 0;  // of the index
  Place place = Place::kEvictable;
  bool owned = false;
  bool deleted = false;  // it goes at its last release
  uint32_t creator = 0;  // a client's number
  uint64_t data_bytes = 0;
  uint64_t metadata_bytes = 0;
  uint64_t offset = 0;                 // 0: it has no memory
  std::optional<uint64_t> spill_file;  // the number of its file on disk
  bool lost = false;                   // its bytes cannot be read any more
  uint64_t created_ms = 0;             // since the daemon started
  uint64_t age_ms = 0;
  uint64_t constructed_s = 0;     // from the create to the seal
  uint32_t pins = 0;              // slots that name it
  std::vector<uint32_t> holders;  // clients' numbers
  uint64_t bytes() const { return data_bytes + metadata_bytes; }
  uint64_t physical_bytes() const;  // in the arena, rounding included
  uint64_t waste_bytes() const { return place == Place::kSpilled ? 0 : physical_bytes() - bytes(); }
};

struct Client {
  uint32_t number = 0;
  pid_t pid = 0;
  std::string name;
  std::string program;  // of the process; empty: it has ended, or belongs to another user
  bool alive = false, stopped = false;
  uint64_t connected_ms_ago = 0;
  uint64_t created_count = 0, created_bytes = 0, unsealed_bytes = 0, owned_bytes = 0;
  std::optional<uint32_t> pins;                 // nothing where its pin page could not be found
  uint64_t pinned_count = 0, pinned_bytes = 0;  // objects that it pins, each once
};

// An event of the store.
struct Happened {
  uint64_t number = 0;
  uint64_t ago_ms = 0;
  Event event;
};

struct Sum {
  uint64_t bytes = 0, count = 0;
};

// capacity = pinned + evictable + protected + unsealed + dying + restoring + free, where the daemon's own counters
// give restoring and free. Spilled objects are beside the capacity. docs/memory.md says what each means.
struct Ledger {
  uint64_t capacity_bytes = 0;
  Sum pinned, evictable, protected_objects, unsealed, dying, spilled;
  uint64_t restoring_bytes = 0, free_bytes = 0;
  // False: a busy store changed during each look. Then the objects are counted as they were seen, one after the other,
  // and are not compared with the daemon's counters.
  bool of_one_moment = true;
  std::vector<std::string> differences;  // sentences; empty: it adds up
  bool AddsUp() const { return differences.empty(); }
};

struct Counters {
  uint64_t sealed_bytes, sealed_count, unsealed_bytes, unsealed_count, dying_bytes, dying_count, physical_bytes,
      creates, seals, deletes, evictions, evicted_bytes, full_failures, clients, bytes_received, bytes_sent,
      watched_ids, lent_bytes, leased_bytes, restoring_bytes, spilled_bytes, spilled_count, spill_file_bytes, spills,
      spilled_out_bytes, restores, restored_bytes, spill_failures, lost_objects;
};

struct Snapshot {
  std::string socket_path, build;
  pid_t daemon_pid = 0;
  bool daemon_alive = false;
  bool daemon_stopped = false;  // by SIGSTOP or a debugger: it lives but does not answer
  bool consistent = false;      // counters, objects and clients are of one moment
  uint64_t up_ms = 0;
  uint64_t entry_bound = 0, entries_max = 0;  // entries ever used, and places for them
  uint64_t arena_bytes = 0;
  std::optional<std::string> arena_path;    // a descriptor of it in /proc; nothing where none may be opened
  std::optional<uint64_t> resident_bytes;   // of the arena
  uint64_t largest_run_bytes = 0;           // the largest object that fits without evicting any
  std::optional<uint64_t> oldest_unsealed;  // index into objects
  uint32_t unknown_pin_pages = 0;           // clients whose pins could not be read
  Counters counters{};
  std::vector<Object> objects;  // in the order of their offsets; the spilled ones are the last
  std::vector<Client> clients;
  std::vector<Happened> events;  // the oldest first
  Ledger ledger;

  const Client* FindClient(uint32_t number) const;  // null: it has ended
};

// The bytes that the arena takes for a request, rounding included.
uint64_t PhysicalBytes(uint64_t data_bytes, uint64_t metadata_bytes);

// The path of the socket, as the store names it; the index that the store has there. The descriptor tells whether the
// store lives. kNotRunning when there is no index segment for this socket path, kNotAllowed when it belongs to
// another user.
struct OpenIndex {
  std::string socket_path;
  UniqueFd segment;
  client::MappedIndex index;
};
Result<OpenIndex> OpenIndexOf(const std::string& socket_path);

Snapshot TakeSnapshot(const OpenIndex& open);
Result<Snapshot> TakeSnapshot(const std::string& socket_path);

}  // namespace raylet::objstat
