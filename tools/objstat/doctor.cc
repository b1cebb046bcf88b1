#include "tools/objstat/doctor.h"

#include <sys/statvfs.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/counted.h"
#include "base/strings.h"
#include "tools/objstat/arena_report.h"
#include "tools/objstat/choice.h"
#include "tools/objstat/events.h"
#include "tools/objstat/leaks.h"

namespace raylet::objstat {
namespace {

constexpr uint64_t kLeakAgeMs = 60'000;
constexpr uint64_t kRecentMs = 10 * 60'000;
constexpr uint64_t kSharedMemoryBytesMin = uint64_t{16} << 20;

Check Fine(const char* name, std::string finding) {
  return {.name = name, .health = Health::kFine, .finding = std::move(finding), .remedy = ""};
}

Check Daemon(const Snapshot& snapshot) {
  Check check = Fine("daemon", "");
  const std::string name = StrCat("plasma_store pid ", snapshot.daemon_pid);
  if (!snapshot.daemon_alive) {
    check.health = Health::kFault;
    check.finding = StrCat(name, " is dead; this is what it left");
    check.remedy = StrCat("start one with plasma_store -m 1G -s ", snapshot.socket_path);
  } else if (snapshot.daemon_stopped) {
    check.health = Health::kFault;
    check.finding = StrCat(name, " is stopped and answers nobody");
    check.remedy = StrCat("kill -CONT ", snapshot.daemon_pid);
  } else {
    check.finding = StrCat(name, " runs since ", FormatAge(snapshot.up_ms));
  }
  return check;
}

Check Index(const Verification& verification) {
  Check check = Fine("index", StrCat("the index of ", Objects(verification.objects), " is right"));
  if (verification.findings.empty()) return check;
  check.health = Health::kFault;
  check.finding =
      StrCat(Counted(verification.findings.size(), "fault"), " in the index, such as: ", verification.findings.front());
  check.remedy = "save what objstat verify says, report it, and start the store again";
  return check;
}

Check LedgerCheck(const Ledger& ledger) {
  Check check = Fine("ledger", "every byte of the capacity is in one place");
  if (ledger.AddsUp()) return check;
  check.health = Health::kFault;
  check.finding = StrCat("the ledger does not add up: ", ledger.differences.front());
  check.remedy = "save the output of objstat --json and objstat verify, and report them";
  return check;
}

Check Room(const Snapshot& snapshot) {
  const Ledger& ledger = snapshot.ledger;
  const uint64_t reach_bytes = ledger.free_bytes + ledger.evictable.bytes;
  Check check =
      Fine("room", StrCat(FormatBytes(ledger.free_bytes), " are free and ", FormatBytes(ledger.evictable.bytes),
                          " can be evicted, of ", FormatBytes(ledger.capacity_bytes)));
  if (reach_bytes >= ledger.capacity_bytes / 5) return check;
  check.health = Health::kWarning;
  check.finding += StrCat(": ", Percent(reach_bytes, ledger.capacity_bytes), " are in reach of a create");
  check.remedy = "objstat top shows who keeps the memory; a larger -m gives more";
  return check;
}

Check Full(const Snapshot& snapshot) {
  Check check = Fine("full", "");
  const Happened* const last = LastEvent(snapshot, EventKind::kFull);
  const uint64_t failures = snapshot.counters.full_failures;
  const std::string refused = StrCat(Counted(failures, "create"), failures == 1 ? " was" : " were");
  if (last == nullptr) {
    check.finding = StrCat(refused, " refused for want of room");
    return check;
  }
  check.health = last->ago_ms < kRecentMs ? Health::kWarning : Health::kFine;
  check.finding = StrCat(refused, " refused for want of room, the last ", FormatAge(last->ago_ms),
                         " ago: ", EventSentence(last->event));
  if (check.health != Health::kFine)
    check.remedy = "release or delete objects sooner, or start plasma_store with a larger -m";
  return check;
}

Check Runs(const Snapshot& snapshot) {
  const ArenaReport arena = MakeArenaReport(snapshot);
  Check check = Fine("runs", StrCat("the largest run is ", FormatBytes(snapshot.largest_run_bytes), " of ",
                                    FormatBytes(snapshot.ledger.free_bytes), " free"));
  if (arena.run_bytes_after_eviction >= snapshot.ledger.capacity_bytes / 10) return check;
  if (snapshot.ledger.free_bytes < snapshot.ledger.capacity_bytes / 5) return check;  // full, not broken up
  check.health = Health::kWarning;
  check.finding +=
      StrCat(", and ", FormatBytes(arena.run_bytes_after_eviction), " once all evictable objects have gone");
  check.remedy = "release the objects that objstat arena shows between the runs";
  return check;
}

Check Leaked(const Snapshot& snapshot) {
  const std::vector<Leak> leaks = FindLeaks(snapshot, kLeakAgeMs);
  Check check = Fine("leaks", "no object looks forgotten");
  if (leaks.empty()) return check;
  uint64_t bytes = 0;
  for (const Leak& leak : leaks) bytes += leak.object->bytes();
  check.health = Health::kWarning;
  check.finding = StrCat(Objects(leaks.size()), " of ", FormatBytes(bytes), " look forgotten");
  check.remedy = "objstat leaks names them, and who keeps them";
  return check;
}

Check Clients(const Snapshot& snapshot) {
  Check check = Fine("clients", StrCat(snapshot.clients.size(), " of at most ", Counted(kClientRowsMax, "client")));
  const auto stopped = std::ranges::find_if(snapshot.clients, &Client::stopped);
  if (stopped != snapshot.clients.end()) {
    check.health = Health::kWarning;
    check.finding += StrCat("; ", ClientText(snapshot, stopped->number));
    check.remedy = StrCat("kill -CONT ", stopped->pid, " lets it go on; ended, it gives back what it holds");
  } else if (snapshot.unknown_pin_pages > 0) {
    check.health = Health::kWarning;
    check.finding += StrCat("; the pins of ", Counted(snapshot.unknown_pin_pages, "client"), " could not be read");
    check.remedy = "run objstat as root, or where it sees the clients' processes";
  } else if (snapshot.clients.size() >= kClientRowsMax / 10 * 9) {
    check.health = Health::kWarning;
    check.remedy = "disconnect clients, or start another store";
  }
  return check;
}

Check Descriptors(const DescriptorUse& use) {
  Check check = Fine("descriptors", StrCat("the daemon has ", use.open, " open, of at most ", use.most));
  if (use.open < use.most / 10 * 9) return check;
  check.health = Health::kWarning;
  check.remedy = "each client takes two: start plasma_store with a higher ulimit -n";
  return check;
}

Check SharedMemory(uint64_t free_bytes) {
  Check check = Fine("shared memory", StrCat("/dev/shm has ", FormatBytes(free_bytes), " free"));
  if (free_bytes >= kSharedMemoryBytesMin) return check;
  check.health = Health::kWarning;
  check.remedy = "the index cannot grow there, and objects go instead: remove files from /dev/shm, or make it larger";
  return check;
}

const char* HealthName(Health health) {
  return health == Health::kFine ? "fine" : health == Health::kWarning ? "warning" : "fault";
}

}  // namespace

Examined Examine(const OpenIndex& open) {
  Examined examined{
      .snapshot = TakeSnapshot(open), .verification = Verify(open), .descriptors = {}, .shared_memory_bytes = {}};
  if (examined.snapshot.daemon_alive) examined.descriptors = DescriptorsOf(examined.snapshot.daemon_pid);
  struct statvfs status {};
  if (::statvfs("/dev/shm", &status) == 0) examined.shared_memory_bytes = uint64_t{status.f_bavail} * status.f_frsize;
  return examined;
}

std::vector<Check> Diagnose(const Examined& examined) {
  const Snapshot& snapshot = examined.snapshot;
  std::vector<Check> checks = {Daemon(snapshot),
                               Index(examined.verification),
                               LedgerCheck(snapshot.ledger),
                               Room(snapshot),
                               Full(snapshot),
                               Runs(snapshot),
                               Leaked(snapshot),
                               Clients(snapshot)};
  if (examined.descriptors) checks.push_back(Descriptors(*examined.descriptors));
  if (examined.shared_memory_bytes) checks.push_back(SharedMemory(*examined.shared_memory_bytes));
  return checks;
}

std::string DoctorText(const std::vector<Check>& checks, Look look) {
  std::string out;
  for (const Check& check : checks) {
    const Colour colour = check.health == Health::kFine      ? Colour::kGreen
                          : check.health == Health::kWarning ? Colour::kYellow
                                                             : Colour::kRed;
    out += StrCat(Paint(PadRight(HealthName(check.health), 8), colour, look), PadRight(check.name, 14), check.finding,
                  "\n");
    if (!check.remedy.empty()) out += StrCat(std::string(22, ' '), "remedy: ", check.remedy, "\n");
  }
  return out;
}

nlohmann::json DoctorJson(const std::vector<Check>& checks) {
  auto out = nlohmann::json::array();
  for (const Check& check : checks)
    out.push_back({{"name", check.name},
                   {"health", HealthName(check.health)},
                   {"finding", check.finding},
                   {"remedy", check.remedy}});
  return out;
}

}  // namespace raylet::objstat
