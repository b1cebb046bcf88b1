#include "tools/objstat/snapshot.h"

#include <sys/stat.h>
#include <time.h>

#include <algorithm>
#include <bit>
#include <filesystem>
#include <unordered_map>
#include <utility>

#include "base/counted.h"
#include "base/shm_segment.h"
#include "base/strings.h"
#include "client/plasma/mapped_index.h"
#include "client/plasma/no_store.h"
#include "tools/objstat/processes.h"

namespace raylet::objstat {

namespace {

constexpr int kTries = 200;               // tries, a millisecond apart, to see the store between two changes
constexpr uint64_t kTryNs = 500'000'000;  // in all: what takes longer to read is never seen so in a busy store

uint64_t MonotonicNs() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

struct Pins {
  std::unordered_map<uint64_t, std::vector<uint32_t>> holders;  // entry number -> client of each slot
  uint32_t unknown_pages = 0;
};

Pins ReadPins(pid_t daemon, std::vector<Client>& clients) {
  Pins pins;
  const Memfds of_daemon = MemfdsOf(daemon);
  for (Client& client : clients) {
    // All of the daemon's descriptors are this store's. A client may have connected to several
    // stores.
    auto page = FindPinPage(of_daemon, client.number);
    if (!page) page = FindPinPage(MemfdsOf(client.pid), client.number);
    if (!page) {
      // A process that has ended holds nothing.
      if (client.alive) {
        ++pins.unknown_pages;
      } else {
        client.pins = 0;
      }
      continue;
    }
    const auto* shared = page->As<PinPage>();
    const uint32_t bound = std::min(shared->slots_high_water.load(std::memory_order_acquire), kPinSlots);
    client.pins = 0;
    for (uint32_t slot = 0; slot < bound; ++slot) {
      const uint32_t pinned = shared->slots[slot].load(std::memory_order_acquire);
      if (pinned == 0 || pinned == kReservedSlot) continue;
      ++*client.pins;
      pins.holders[pinned - 1].push_back(client.number);
    }
  }
  return pins;
}

Counters ReadCounters(const IndexCounters& shared) {
  const auto get = [](const std::atomic<uint64_t>& counter) { return counter.load(std::memory_order_acquire); };
  Counters out{};
  out.sealed_bytes = get(shared.sealed_bytes);
  out.sealed_count = get(shared.sealed_count);
  out.unsealed_bytes = get(shared.unsealed_bytes);
  out.unsealed_count = get(shared.unsealed_count);
  out.dying_bytes = get(shared.dying_bytes);
  out.dying_count = get(shared.dying_count);
  out.physical_bytes = get(shared.physical_bytes);
  out.creates = get(shared.creates);
  out.seals = get(shared.seals);
  out.deletes = get(shared.deletes);
  out.evictions = get(shared.evictions);
  out.evicted_bytes = get(shared.evicted_bytes);
  out.full_failures = get(shared.full_failures);
  out.clients = get(shared.clients);
  out.bytes_received = get(shared.bytes_received);
  out.bytes_sent = get(shared.bytes_sent);
  out.watched_ids = get(shared.watched_ids);
  out.lent_bytes = get(shared.lent_bytes);
  out.leased_bytes = get(shared.leased_bytes);
  out.restoring_bytes = get(shared.restoring_bytes);
  out.spilled_bytes = get(shared.spilled_bytes);
  out.spilled_count = get(shared.spilled_count);
  out.spill_file_bytes = get(shared.spill_file_bytes);
  out.spills = get(shared.spills);
  out.spilled_out_bytes = get(shared.spilled_out_bytes);
  out.restores = get(shared.restores);
  out.restored_bytes = get(shared.restored_bytes);
  out.spill_failures = get(shared.spill_failures);
  out.lost_objects = get(shared.lost_objects);
  return out;
}

std::vector<Client> ReadClients(const IndexHeader& header, uint64_t now_ms) {
  std::vector<Client> clients;
  const ClientRow* const rows = header.clients.get();
  for (uint32_t i = 0; i < kClientRowsMax; ++i) {
    const ClientRow& row = rows[i];
    const uint32_t number = row.number.load(std::memory_order_acquire);  // with the daemon's release: the name is whole
    if (number == 0) continue;
    Client client;
    client.number = number;
    client.pid = row.pid.load(std::memory_order_relaxed);
    client.name.assign(row.name, ::strnlen(row.name, sizeof row.name));
    client.connected_ms_ago = now_ms - std::min(now_ms, row.connected_ms.load(std::memory_order_relaxed));
    client.created_count = row.created_count.load(std::memory_order_relaxed);
    client.created_bytes = row.created_bytes.load(std::memory_order_relaxed);
    client.unsealed_bytes = row.unsealed_bytes.load(std::memory_order_relaxed);
    client.owned_bytes = row.owned_bytes.load(std::memory_order_relaxed);
    clients.push_back(std::move(client));
  }
  std::ranges::sort(clients, {}, &Client::number);
  return clients;
}

std::vector<Happened> ReadEvents(const IndexHeader& header, uint64_t now_ms) {
  std::vector<Happened> events;
  const uint64_t last = header.last_event.load(std::memory_order_acquire);
  for (uint64_t number = last < kEventSlots ? 1 : last - kEventSlots + 1; number <= last && number != 0; ++number) {
    const auto event = ReadEvent(header.events[static_cast<std::ptrdiff_t>(number % kEventSlots)], number);
    if (event) events.push_back({number, now_ms - std::min(now_ms, event->time_ms), *event});
  }
  return events;
}

// Among the descriptors of the daemon, or of a client.
std::optional<std::string> FindArenaOf(const Snapshot& snapshot) {
  std::optional<std::string> path;
  if (snapshot.daemon_alive) path = FindArena(MemfdsOf(snapshot.daemon_pid), snapshot.arena_bytes);
  for (size_t i = 0; i < snapshot.clients.size() && !path; ++i)
    path = FindArena(MemfdsOf(snapshot.clients[i].pid), snapshot.arena_bytes);
  return path;
}

// Reads objects, counters and clients of one moment, if the daemon's changes leave one.
std::vector<client::EntrySnapshot> ReadConsistently(const client::MappedIndex& index, uint64_t now_ms, Snapshot& out) {
  const IndexCounters& shared = index.header().counters;
  std::vector<client::EntrySnapshot> entries;
  const uint64_t start_ns = MonotonicNs();
  for (int i = 0; i < kTries; ++i) {
    const uint64_t before = shared.mutation_seq.load(std::memory_order_acquire);
    entries.clear();
    for (uint64_t number = 0; number < index.entry_bound(); ++number) {
      if (const auto entry = index.Read(number)) entries.push_back(*entry);
    }
    out.counters = ReadCounters(shared);
    out.clients = ReadClients(index.header(), now_ms);
    std::atomic_thread_fence(std::memory_order_acquire);
    const uint64_t after = shared.mutation_seq.load(std::memory_order_acquire);
    out.consistent = before == after && before % 2 == 0;
    if (out.consistent || !out.daemon_alive || out.daemon_stopped || MonotonicNs() - start_ns > kTryNs) break;
    const timespec pause{0, 1'000'000};
    ::nanosleep(&pause, nullptr);
  }
  return entries;
}

void Compare(std::vector<std::string>& out, const char* what, const Sum& counted, uint64_t bytes, uint64_t count) {
  if (counted.bytes != bytes)
    out.push_back(StrCat(what, " objects have ", Counted(counted.bytes, "byte"), ", and the daemon counts ", bytes));
  if (counted.count != count)
    out.push_back(StrCat("there ", counted.count == 1 ? "is " : "are ", Counted(counted.count, StrCat(what, " object")),
                         ", and the daemon counts ", count));
}

Ledger MakeLedger(const Snapshot& snapshot, uint64_t capacity_bytes) {
  Ledger ledger;
  ledger.capacity_bytes = capacity_bytes;
  for (const Object& object : snapshot.objects) {
    Sum* sum = nullptr;
    switch (object.place) {
      case Place::kPinned: sum = &ledger.pinned; break;
      case Place::kEvictable: sum = &ledger.evictable; break;
      case Place::kProtected: sum = &ledger.protected_objects; break;
      case Place::kUnsealed: sum = &ledger.unsealed; break;
      case Place::kDying: sum = &ledger.dying; break;
      case Place::kSpilled: sum = &ledger.spilled; break;
    }
    sum->bytes += object.bytes();
    ++sum->count;
  }
  const Counters& counters = snapshot.counters;
  const Sum sealed{ledger.pinned.bytes + ledger.evictable.bytes + ledger.protected_objects.bytes,
                   ledger.pinned.count + ledger.evictable.count + ledger.protected_objects.count};
  ledger.restoring_bytes = counters.restoring_bytes;
  uint64_t used = counters.sealed_bytes + counters.unsealed_bytes + counters.dying_bytes + counters.restoring_bytes;
  // Nothing was torn where the daemon works on: its counters and its objects are of two moments then.
  ledger.of_one_moment = snapshot.consistent;
  if (snapshot.consistent || !snapshot.daemon_alive || snapshot.daemon_stopped) {
    Compare(ledger.differences, "sealed", sealed, counters.sealed_bytes, counters.sealed_count);
    Compare(ledger.differences, "unsealed", ledger.unsealed, counters.unsealed_bytes, counters.unsealed_count);
    Compare(ledger.differences, "dying", ledger.dying, counters.dying_bytes, counters.dying_count);
    Compare(ledger.differences, "spilled", ledger.spilled, counters.spilled_bytes, counters.spilled_count);
    if (used > capacity_bytes)
      ledger.differences.push_back(
          StrCat("objects have ", Counted(used, "byte"), ", more than the capacity of ", capacity_bytes));
    if (!snapshot.consistent)
      ledger.differences.push_back(!snapshot.daemon_alive ? "the daemon died in the middle of a change"
                                                          : "the daemon was stopped in the middle of a change");
  } else {
    used = sealed.bytes + ledger.unsealed.bytes + ledger.dying.bytes + ledger.restoring_bytes;
  }
  ledger.free_bytes = capacity_bytes - std::min(capacity_bytes, used);
  return ledger;
}

}  // namespace

const char* PlaceName(Place place) {
  switch (place) {
    case Place::kPinned: return "pinned";
    case Place::kEvictable: return "evictable";
    case Place::kProtected: return "protected";
    case Place::kUnsealed: return "unsealed";
    case Place::kDying: return "dying";
    case Place::kSpilled: return "spilled";
  }
  return "?";
}

const Client* Snapshot::FindClient(uint32_t number) const {
  const auto it = std::ranges::lower_bound(clients, number, {}, &Client::number);
  return it == clients.end() || it->number != number ? nullptr : &*it;
}

// Slabs hold objects of at most 14 KiB, in classes: the multiples of 64 up to 512, and then four for each power of two.
// Larger objects take pages.
uint64_t PhysicalBytes(uint64_t data_bytes, uint64_t metadata_bytes) {
  constexpr uint64_t kSlabObjectBytesMax = 14336, kPage = 4096;
  const uint64_t bytes = std::max<uint64_t>(AlignUp(data_bytes) + metadata_bytes, 1);
  if (bytes > kSlabObjectBytesMax) return (bytes + kPage - 1) / kPage * kPage;
  const uint64_t step = std::max(kAlignment, std::bit_ceil(bytes) / 8);
  return (bytes + step - 1) / step * step;
}

uint64_t Object::physical_bytes() const { return PhysicalBytes(data_bytes, metadata_bytes); }

Result<OpenIndex> OpenIndexOf(const std::string& socket_path) {
  std::error_code ignored;
  std::string path = std::filesystem::absolute(socket_path, ignored).lexically_normal().string();
  auto segment = OpenNamedSegmentReadOnly(IndexSegmentName(path));
  if (!segment && segment.error().code == ErrorCode::kNotFound) return client::NoStoreServes(path);
  if (!segment) return Fail(segment.error());
  auto index = client::MappedIndex::Open(segment->get());
  if (!index) return Fail(index.error());
  return OpenIndex{std::move(path), *std::move(segment), *std::move(index)};
}

Result<Snapshot> TakeSnapshot(const std::string& socket_path) {
  const auto open = OpenIndexOf(socket_path);
  if (!open) return Fail(open.error());
  return TakeSnapshot(*open);
}

Snapshot TakeSnapshot(const OpenIndex& open) {
  const IndexHeader& header = open.index.header();
  Snapshot out;
  out.socket_path = open.socket_path;
  out.build.assign(header.build, ::strnlen(header.build, sizeof header.build));
  out.daemon_pid = header.daemon_pid;
  out.daemon_alive = LockedByOwner(open.segment.get());
  out.daemon_stopped = out.daemon_alive && LookAtProcess(out.daemon_pid).stopped;
  out.arena_bytes = header.arena_bytes;
  out.entries_max = header.entries_max;
  const uint64_t now_ns = MonotonicNs();
  const uint64_t up_ms = (now_ns - std::min(now_ns, header.started_monotonic_ns)) / 1'000'000;
  out.up_ms = up_ms;
  auto entries = ReadConsistently(open.index, up_ms, out);
  out.entry_bound = open.index.entry_bound();
  out.events = ReadEvents(header, up_ms);
  std::ranges::sort(entries, {}, &client::EntrySnapshot::offset);
  for (Client& client : out.clients) {
    ProcessInfo process = LookAtProcess(client.pid);
    client.alive = process.alive;
    client.stopped = process.stopped;
    client.program = std::move(process.program);
  }

  const Pins pins = ReadPins(out.daemon_alive ? out.daemon_pid : -1, out.clients);
  out.unknown_pin_pages = pins.unknown_pages;
  uint64_t covered = 0;            // of the arena, up to here
  uint64_t longest_run_bytes = 0;  // of whole pages without an object
  const auto run_until = [&](uint64_t end) {
    constexpr uint64_t kPage = 4096;
    const uint64_t from = (covered + kPage - 1) / kPage * kPage, to = end / kPage * kPage;
    if (to > from) longest_run_bytes = std::max(longest_run_bytes, to - from);
  };
  for (const client::EntrySnapshot& entry : entries) {
    Object object;
    object.id = entry.id;
    object.entry = entry.entry;
    object.owned = entry.owned;
    object.deleted = entry.deleted;
    object.creator = entry.creator;
    object.data_bytes = entry.data_bytes;
    object.metadata_bytes = entry.metadata_bytes;
    // An object that is about to leave is in memory until its offset says otherwise.
    const bool spilled = entry.state() == EntryState::kSpilled && IsOnDisk(entry.offset);
    object.offset = spilled ? 0 : entry.offset;
    object.lost = spilled && entry.offset == kLostWord;
    if (spilled && !object.lost) object.spill_file = DiskPlaceOf(entry.offset).file;
    object.created_ms = entry.created_ms;
    object.age_ms = up_ms - std::min(up_ms, entry.created_ms);
    object.constructed_s = entry.constructed_s;
    if (const auto it = pins.holders.find(entry.entry); it != pins.holders.end()) {
      object.pins = static_cast<uint32_t>(it->second.size());
      object.holders = it->second;
      object.holders.erase(std::unique(object.holders.begin(), object.holders.end()), object.holders.end());
      for (const uint32_t holder : object.holders) {
        const auto client = std::ranges::lower_bound(out.clients, holder, {}, &Client::number);
        ++client->pinned_count;
        client->pinned_bytes += object.bytes();
      }
    }
    switch (entry.state()) {
      case EntryState::kUnsealed: object.place = Place::kUnsealed; break;
      case EntryState::kDeleted:
      case EntryState::kDying: object.place = Place::kDying; break;
      case EntryState::kSpilled:
        if (spilled) {
          object.place = Place::kSpilled;
          break;
        }
        [[fallthrough]];
      default: object.place = object.pins > 0 ? Place::kPinned : object.owned ? Place::kProtected : Place::kEvictable;
    }
    if (spilled) {
      out.objects.push_back(std::move(object));
      continue;
    }
    run_until(entry.offset);
    covered = std::max(covered, MetadataOffset(entry.offset, entry.data_bytes) + AlignUp(entry.metadata_bytes));
    if (object.place == Place::kUnsealed &&
        (!out.oldest_unsealed || object.age_ms > out.objects[*out.oldest_unsealed].age_ms))
      out.oldest_unsealed = out.objects.size();
    out.objects.push_back(std::move(object));
  }
  // The index takes its pages from the arena's end.
  const uint64_t end = out.arena_bytes - std::min(out.arena_bytes, out.counters.lent_bytes);
  run_until(end);
  out.arena_path = FindArenaOf(out);
  struct stat status {};
  if (out.arena_path && ::stat(out.arena_path->c_str(), &status) == 0)
    out.resident_bytes = static_cast<uint64_t>(status.st_blocks) * 512;
  out.ledger = MakeLedger(out, header.capacity_bytes);
  // As the store counts it in what it says when it is full.
  out.largest_run_bytes = std::min(longest_run_bytes, out.ledger.free_bytes);
  return out;
}

}  // namespace raylet::objstat
