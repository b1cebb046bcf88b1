#include "tools/objstat/snapshot.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <unordered_map>
#include <utility>

#include "base/shm_segment.h"
#include "base/strings.h"
#include "client/plasma/mapped_index.h"

namespace raylet::objstat {

namespace {

constexpr int kTries = 200;                 // tries, a millisecond apart, to see the store between two changes
constexpr uint64_t kTryNs = 2'000'000'000;  // in all: reading millions of entries takes a while

uint64_t MonotonicNs() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

// Whether a process is stopped: its state in /proc/PID/stat stands behind the name in parentheses.
bool IsStopped(pid_t pid) {
  std::ifstream file(StrCat("/proc/", pid, "/stat"));
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const size_t name_end = text.rfind(") ");
  return name_end != std::string::npos && name_end + 2 < text.size() &&
         (text[name_end + 2] == 'T' || text[name_end + 2] == 't');
}

// Calls look(path, name of the memfd) for every memfd that a process has open.
template <class Look>
void ForEachMemfd(pid_t pid, const Look& look) {
  const std::string folder = StrCat("/proc/", pid, "/fd");
  DIR* const open = ::opendir(folder.c_str());
  if (open == nullptr) return;
  while (const dirent* entry = ::readdir(open)) {
    const std::string path = folder + "/" + entry->d_name;
    char target[256];
    const ssize_t size = ::readlink(path.c_str(), target, sizeof target);
    constexpr std::string_view kPrefix = "/memfd:", kSuffix = " (deleted)";
    std::string_view name(target, size < 0 ? 0 : static_cast<size_t>(size));
    if (!name.starts_with(kPrefix)) continue;
    name.remove_prefix(kPrefix.size());
    if (name.ends_with(kSuffix)) name.remove_suffix(kSuffix.size());
    look(path, name);
  }
  ::closedir(open);
}

// The pin page of `client`, mapped read-only, if exactly one of the process's descriptors can be
// it.
std::optional<Mapping> FindPinPage(pid_t pid, uint32_t client) {
  const std::string wanted = PinPageName(client);
  std::map<ino_t, Mapping> pages;
  ForEachMemfd(pid, [&](const std::string& path, std::string_view name) {
    if (name != wanted) return;
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat status {};
    if (!fd || ::fstat(fd.get(), &status) < 0 || static_cast<size_t>(status.st_size) < sizeof(PinPage)) return;
    auto mapping = Mapping::Map(fd.get(), sizeof(PinPage), Mapping::Access::kReadOnly);
    if (!mapping) return;
    const auto* page = mapping->As<PinPage>();
    if (page->magic == kPinsMagic && page->layout_version == kLayoutVersion && page->client == client)
      pages.emplace(status.st_ino, *std::move(mapping));
  });
  if (pages.size() != 1) return std::nullopt;
  return std::move(pages.begin()->second);
}

struct Pins {
  std::unordered_map<uint64_t, std::vector<uint32_t>> holders;  // entry number -> client of each slot
  uint32_t unknown_pages = 0;
};

Pins ReadPins(pid_t daemon, std::vector<Client>& clients) {
  Pins pins;
  for (Client& client : clients) {
    // All of the daemon's descriptors are this store's. A client may have connected to several
    // stores.
    auto page = FindPinPage(daemon, client.number);
    if (!page) page = FindPinPage(client.pid, client.number);
    if (!page) {
      // A process that has ended holds nothing.
      if (::access(StrCat("/proc/", client.pid).c_str(), F_OK) == 0) {
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
      if (pinned == 0) continue;
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
    out.push_back(StrCat(what, " objects have ", counted.bytes, " bytes, and the daemon counts ", bytes));
  if (counted.count != count)
    out.push_back(StrCat("there are ", counted.count, " ", what, " objects, and the daemon counts ", count));
}

Ledger MakeLedger(const Snapshot& snapshot, uint64_t capacity_bytes) {
  Ledger ledger;
  ledger.capacity_bytes = capacity_bytes;
  for (const Object& object : snapshot.objects) {
    Sum* sum = nullptr;
    switch (object.place) {
      case Place::kPinned: sum = &ledger.pinned; break;
      case Place::kEvictable: sum = &ledger.evictable; break;
      case Place::kOwned: sum = &ledger.owned; break;
      case Place::kUnsealed: sum = &ledger.unsealed; break;
      case Place::kDying: sum = &ledger.dying; break;
    }
    sum->bytes += object.bytes();
    ++sum->count;
  }
  const Counters& counters = snapshot.counters;
  const Sum sealed{ledger.pinned.bytes + ledger.evictable.bytes + ledger.owned.bytes,
                   ledger.pinned.count + ledger.evictable.count + ledger.owned.count};
  Compare(ledger.differences, "sealed", sealed, counters.sealed_bytes, counters.sealed_count);
  Compare(ledger.differences, "unsealed", ledger.unsealed, counters.unsealed_bytes, counters.unsealed_count);
  Compare(ledger.differences, "dying", ledger.dying, counters.dying_bytes, counters.dying_count);
  const uint64_t used = counters.sealed_bytes + counters.unsealed_bytes + counters.dying_bytes;
  ledger.free_bytes = capacity_bytes - std::min(capacity_bytes, used);
  if (used > capacity_bytes)
    ledger.differences.push_back(StrCat("objects have ", used, " bytes, more than the capacity of ", capacity_bytes));
  if (!snapshot.consistent)
    ledger.differences.push_back(!snapshot.daemon_alive    ? "the daemon died in the middle of a change"
                                 : snapshot.daemon_stopped ? "the daemon was stopped in the middle of a change"
                                                           : "the store changed during each attempt to read it");
  return ledger;
}

}  // namespace

const char* PlaceName(Place place) {
  switch (place) {
    case Place::kPinned: return "pinned";
    case Place::kEvictable: return "evictable";
    case Place::kOwned: return "owned";
    case Place::kUnsealed: return "unsealed";
    case Place::kDying: return "dying";
  }
  return "?";
}

Result<Snapshot> TakeSnapshot(const std::string& socket_path) {
  std::error_code ignored;
  const std::string path = std::filesystem::absolute(socket_path, ignored).lexically_normal().string();
  const auto segment = OpenNamedSegmentReadOnly(IndexSegmentName(path));
  if (!segment && segment.error().code == ErrorCode::kNotFound)
    return Fail(ErrorCode::kNotRunning,
                StrCat("no plasma_store serves ", path, ": start one with plasma_store -m 1G -s ", path));
  if (!segment) return Fail(segment.error());
  const auto index = client::MappedIndex::Open(segment->get());
  if (!index) return Fail(index.error());
  const IndexHeader& header = index->header();

  Snapshot out;
  out.socket_path = path;
  out.build.assign(header.build, ::strnlen(header.build, sizeof header.build));
  out.daemon_pid = header.daemon_pid;
  out.daemon_alive = LockedByOwner(segment->get());
  out.daemon_stopped = out.daemon_alive && IsStopped(out.daemon_pid);
  out.arena_bytes = header.arena_bytes;
  const uint64_t now_ns = MonotonicNs();
  const uint64_t up_ms = (now_ns - std::min(now_ns, header.started_monotonic_ns)) / 1'000'000;
  out.up_ms = up_ms;
  auto entries = ReadConsistently(*index, up_ms, out);
  std::ranges::sort(entries, {}, &client::EntrySnapshot::offset);

  const Pins pins = ReadPins(out.daemon_alive ? out.daemon_pid : -1, out.clients);
  out.unknown_pin_pages = pins.unknown_pages;
  uint64_t covered = 0;  // of the arena, up to here
  for (const client::EntrySnapshot& entry : entries) {
    Object object;
    object.id = entry.id;
    object.owned = entry.owned;
    object.creator = entry.creator;
    object.data_bytes = entry.data_bytes;
    object.metadata_bytes = entry.metadata_bytes;
    object.offset = entry.offset;
    object.age_ms = up_ms - std::min(up_ms, entry.created_ms);
    if (const auto it = pins.holders.find(entry.entry); it != pins.holders.end()) {
      object.pins = static_cast<uint32_t>(it->second.size());
      object.holders = it->second;
      object.holders.erase(std::unique(object.holders.begin(), object.holders.end()), object.holders.end());
    }
    switch (entry.state()) {
      case EntryState::kUnsealed: object.place = Place::kUnsealed; break;
      case EntryState::kDying: object.place = Place::kDying; break;
      default: object.place = object.pins > 0 ? Place::kPinned : object.owned ? Place::kOwned : Place::kEvictable;
    }
    if (entry.offset > covered) out.largest_run_bytes = std::max(out.largest_run_bytes, entry.offset - covered);
    covered = std::max(covered, MetadataOffset(entry.offset, entry.data_bytes) + AlignUp(entry.metadata_bytes));
    if (object.place == Place::kUnsealed &&
        (!out.oldest_unsealed || object.age_ms > out.objects[*out.oldest_unsealed].age_ms))
      out.oldest_unsealed = out.objects.size();
    out.objects.push_back(std::move(object));
  }
  // The index takes its pages from the arena's end.
  const uint64_t end = out.arena_bytes - std::min(out.arena_bytes, out.counters.lent_bytes);
  if (end > covered) out.largest_run_bytes = std::max(out.largest_run_bytes, end - covered);

  // The arena is the memfd of that size among the descriptors of the daemon, or of a client.
  const auto look_at = [&](pid_t pid) {
    ForEachMemfd(pid, [&](const std::string& fd_path, std::string_view) {
      struct stat status {};
      if (::stat(fd_path.c_str(), &status) == 0 && static_cast<uint64_t>(status.st_size) == out.arena_bytes)
        out.resident_bytes = static_cast<uint64_t>(status.st_blocks) * 512;
    });
  };
  if (out.daemon_alive) look_at(out.daemon_pid);
  for (size_t i = 0; i < out.clients.size() && !out.resident_bytes; ++i) look_at(out.clients[i].pid);
  out.ledger = MakeLedger(out, header.capacity_bytes);
  return out;
}

}  // namespace raylet::objstat
