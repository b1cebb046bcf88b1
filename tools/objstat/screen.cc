#include "tools/objstat/screen.h"

#include <algorithm>
#include <vector>

#include "base/strings.h"

namespace raylet::objstat {

namespace {

constexpr const char* kBold = "\033[1m";
constexpr const char* kGreen = "\033[32m";
constexpr const char* kRed = "\033[31m";

std::string Paint(const std::string& text, const char* colour, Look look) {
  return look.colours ? StrCat(colour, text, "\033[0m") : text;
}

std::string FormatAge(uint64_t ms) {
  if (ms < 1000) return StrCat(ms, " ms");
  const uint64_t s = ms / 1000;
  if (s < 120) return StrCat(s, " s");
  if (s < 7200) return StrCat(s / 60, " min");
  if (s < 48 * 3600) return StrCat(s / 3600, " h");
  return StrCat(s / 86400, " d");
}

std::string Objects(uint64_t count) { return StrCat(count, count == 1 ? " object" : " objects"); }

// A dead or stopped daemon is the first thing to show.
std::string Headline(const Snapshot& snapshot, Look look) {
  if (!snapshot.daemon_alive)
    return Paint(StrCat("plasma_store pid ", snapshot.daemon_pid, " is dead; this is what it left at ",
                        snapshot.socket_path),
                 kRed, look) +
           "\n";
  if (snapshot.daemon_stopped)
    return Paint(StrCat("plasma_store ", snapshot.build, " pid ", snapshot.daemon_pid, " at ", snapshot.socket_path,
                        " is stopped and answers nobody; kill -CONT ", snapshot.daemon_pid, " lets it go on"),
                 kRed, look) +
           "\n";
  return Paint(StrCat("plasma_store ", snapshot.build, " pid ", snapshot.daemon_pid, " at ", snapshot.socket_path,
                      ", up ", FormatAge(snapshot.up_ms)),
               kBold, look) +
         "\n";
}

std::string PadLeft(const std::string& text, size_t width) {
  return text.size() >= width ? text : std::string(width - text.size(), ' ') + text;
}
std::string PadRight(const std::string& text, size_t width) {
  return text.size() >= width ? text : text + std::string(width - text.size(), ' ');
}

// The name, the amount and the meaning of each part.
std::string Row(const char* what, const std::string& value, const std::string& count, const char* meaning) {
  return StrCat("  ", PadRight(what, 11), PadLeft(value, 11), "  ", PadRight(count, 14), meaning, "\n");
}
std::string Row(const char* what, const Sum& sum, const char* meaning) {
  return Row(what, FormatBytes(sum.bytes), Objects(sum.count), meaning);
}

// Columns as wide as their widest cell; the first `left` columns are aligned to the left.
std::string Table(const std::vector<std::vector<std::string>>& rows, size_t left, Look look) {
  std::vector<size_t> widths(rows.front().size(), 0);
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (size_t r = 0; r < rows.size(); ++r) {
    std::string line;
    for (size_t i = 0; i < rows[r].size(); ++i) {
      if (i > 0) line += "  ";
      line += i < left ? PadRight(rows[r][i], widths[i]) : PadLeft(rows[r][i], widths[i]);
    }
    line.resize(line.find_last_not_of(' ') + 1);
    out += (r == 0 ? Paint(line, kBold, look) : line) + "\n";
  }
  return out;
}

std::string LedgerLine(const Ledger& ledger, Look look) {
  const bool exact = ledger.AddsUp();
  std::string out =
      StrCat("ledger: capacity ", FormatBytes(ledger.capacity_bytes), " = pinned ", FormatBytes(ledger.pinned.bytes),
             " + evictable ", FormatBytes(ledger.evictable.bytes), " + owned ", FormatBytes(ledger.owned.bytes),
             " + unsealed ", FormatBytes(ledger.unsealed.bytes), " + dying ", FormatBytes(ledger.dying.bytes),
             " + free ", FormatBytes(ledger.free_bytes), ": ",
             Paint(exact ? "adds up" : "does not add up", exact ? kGreen : kRed, look), "\n");
  for (const std::string& difference : ledger.differences) out += StrCat("  ", difference, "\n");
  return out;
}

}  // namespace

std::string DefaultScreen(const Snapshot& snapshot, Look look) {
  const Ledger& ledger = snapshot.ledger;
  const Counters& counters = snapshot.counters;
  std::string out = Headline(snapshot, look);
  const uint64_t logical_bytes = counters.sealed_bytes + counters.unsealed_bytes + counters.dying_bytes;
  out += Row("capacity", FormatBytes(ledger.capacity_bytes), "", "what -m allows, in bytes as users count them");
  out += Row("pinned", ledger.pinned, "a process holds them");
  out += Row("evictable", ledger.evictable, "nobody holds them: they go, oldest release first, when room is needed");
  out += Row("owned", ledger.owned, "stay until their owner lets go of them, or goes");
  out += Row("unsealed", ledger.unsealed, "being written");
  out += Row("dying", ledger.dying, "deleted or evicted; a process holds them still");
  out += Row("free", FormatBytes(ledger.free_bytes), "", "no object's");
  out += Row("largest run", FormatBytes(std::min(snapshot.largest_run_bytes, ledger.free_bytes)), "",
             "the largest object that fits without evicting any");
  out += Row("logical", FormatBytes(logical_bytes), "", "all objects, in bytes as users count them");
  out += Row("physical", FormatBytes(counters.physical_bytes), "", "all objects, with what rounding costs");
  if (counters.lent_bytes > 0)
    out += Row("lent", FormatBytes(counters.lent_bytes), "", "pages that went from the objects to the index");
  out += Row("resident", snapshot.resident_bytes ? FormatBytes(*snapshot.resident_bytes) : "unknown", "",
             "memory of the machine that is reserved for them");
  out +=
      StrCat("  ", snapshot.clients.size(), snapshot.clients.size() == 1 ? " client" : " clients", "; since the start ",
             counters.creates, " creates, ", counters.seals, " seals, ", counters.deletes, " deletes, ",
             counters.evictions, " evictions of ", FormatBytes(counters.evicted_bytes), ", ", counters.full_failures,
             " times full; over the socket ", FormatBytes(counters.bytes_received), " in, ",
             FormatBytes(counters.bytes_sent), " out; they wait for the seals of ", counters.watched_ids, " objects\n");
  if (snapshot.oldest_unsealed) {
    const Object& oldest = snapshot.objects[*snapshot.oldest_unsealed];
    out += StrCat("  oldest unsealed: ", oldest.id.hex(), ", ", FormatBytes(oldest.bytes()), ", written by client ",
                  oldest.creator, " for ", FormatAge(oldest.age_ms), "\n");
  }
  if (snapshot.unknown_pin_pages > 0)
    out += StrCat("  the pins of ", snapshot.unknown_pin_pages,
                  " clients could not be read: what they hold counts as evictable or owned\n");
  return out + LedgerLine(ledger, look);
}

std::string ObjectList(const Snapshot& snapshot, Look look) {
  std::vector<std::vector<std::string>> rows = {
      {"ID", "STATE", "HOLDERS", "DATA", "META", "AGE", "PINS", "CREATOR", "OWNED"}};
  for (const Object& object : snapshot.objects) {
    std::string holders;
    for (const uint32_t holder : object.holders) holders += StrCat(holders.empty() ? "" : ",", holder);
    rows.push_back({object.id.hex(), PlaceName(object.place), holders.empty() ? "-" : holders,
                    FormatBytes(object.data_bytes), FormatBytes(object.metadata_bytes), FormatAge(object.age_ms),
                    StrCat(object.pins), StrCat(object.creator), object.owned ? "yes" : "no"});
  }
  return (snapshot.daemon_alive ? "" : Headline(snapshot, look)) + Table(rows, 3, look);
}

std::string ClientList(const Snapshot& snapshot, Look look) {
  std::vector<std::vector<std::string>> rows = {
      {"NAME", "CLIENT", "PID", "SINCE", "CREATED", "BYTES", "UNSEALED", "OWNED", "PINS"}};
  for (const Client& client : snapshot.clients) {
    rows.push_back({client.name.empty() ? "-" : client.name, StrCat(client.number), StrCat(client.pid),
                    FormatAge(client.connected_ms_ago), StrCat(client.created_count), FormatBytes(client.created_bytes),
                    FormatBytes(client.unsealed_bytes), FormatBytes(client.owned_bytes),
                    client.pins ? StrCat(*client.pins) : "unknown"});
  }
  return (snapshot.daemon_alive ? "" : Headline(snapshot, look)) + Table(rows, 1, look);
}

}  // namespace raylet::objstat
