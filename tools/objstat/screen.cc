#include "tools/objstat/screen.h"

#include <algorithm>
#include <vector>

#include "base/counted.h"
#include "base/strings.h"
#include "tools/objstat/choice.h"
#include "tools/objstat/events.h"

namespace raylet::objstat {

namespace {

// A dead or stopped daemon is the first thing to show.
std::string Headline(const Snapshot& snapshot, Look look) {
  if (!snapshot.daemon_alive)
    return Paint(StrCat("plasma_store pid ", snapshot.daemon_pid, " is dead; this is what it left at ",
                        snapshot.socket_path),
                 Colour::kRed, look) +
           "\n";
  if (snapshot.daemon_stopped)
    return Paint(StrCat("plasma_store ", snapshot.build, " pid ", snapshot.daemon_pid, " at ", snapshot.socket_path,
                        " is stopped and answers nobody; kill -CONT ", snapshot.daemon_pid, " lets it go on"),
                 Colour::kRed, look) +
           "\n";
  return Paint(StrCat("plasma_store ", snapshot.build, " pid ", snapshot.daemon_pid, " at ", snapshot.socket_path,
                      ", up ", FormatAge(snapshot.up_ms)),
               Colour::kBold, look) +
         "\n";
}

// The name, the amount and the meaning of each part.
std::string Row(const char* what, const std::string& value, const std::string& count, const char* meaning) {
  return StrCat("  ", PadRight(what, 11), PadLeft(value, 11), "  ", PadRight(count, 14), meaning, "\n");
}
std::string Row(const char* what, const Sum& sum, const char* meaning) {
  return Row(what, FormatBytes(sum.bytes), Objects(sum.count), meaning);
}

std::string LedgerLine(const Ledger& ledger, Look look) {
  const bool exact = ledger.AddsUp();
  std::string out = StrCat(
      "ledger: capacity ", FormatBytes(ledger.capacity_bytes), " = pinned ", FormatBytes(ledger.pinned.bytes),
      " + evictable ", FormatBytes(ledger.evictable.bytes), " + protected ",
      FormatBytes(ledger.protected_objects.bytes), " + unsealed ", FormatBytes(ledger.unsealed.bytes), " + dying ",
      FormatBytes(ledger.dying.bytes),
      ledger.restoring_bytes > 0 ? StrCat(" + restoring ", FormatBytes(ledger.restoring_bytes)) : "", " + free ",
      FormatBytes(ledger.free_bytes),
      ledger.spilled.count > 0
          ? StrCat(", and ", FormatBytes(ledger.spilled.bytes), " of ", Objects(ledger.spilled.count), " on disk")
          : "",
      ": ", Paint(exact ? "adds up" : "does not add up", exact ? Colour::kGreen : Colour::kRed, look), "\n");
  if (!ledger.of_one_moment && exact)
    out += "  the store changed during each look: its objects were seen one after the other\n";
  for (const std::string& difference : ledger.differences) out += StrCat("  ", difference, "\n");
  return out;
}

// The clients that keep the most memory, and the last one that found the store full.
std::string HolderLines(const Snapshot& snapshot) {
  constexpr size_t kNamed = 3;
  std::string out;
  const std::vector<TopRow> rows = TopClients(nullptr, snapshot);
  for (size_t i = 0; i < std::min(kNamed, rows.size()) && rows[i].kept_bytes > 0; ++i) {
    const Client& client = *rows[i].client;
    out += StrCat("  ", ClientText(snapshot, client.number), ": pins ", FormatBytes(client.pinned_bytes), ", owns ",
                  FormatBytes(client.owned_bytes), ", writes ", FormatBytes(client.unsealed_bytes), "\n");
  }
  if (const Happened* const full = LastEvent(snapshot, EventKind::kFull))
    out += StrCat("  full ", FormatAge(full->ago_ms), " ago: ", EventSentence(full->event), "\n");
  return out;
}

}  // namespace

std::string HeadlineIfDead(const Snapshot& snapshot, Look look) {
  return snapshot.daemon_alive && !snapshot.daemon_stopped ? "" : Headline(snapshot, look);
}

std::string NameOr(const std::string& name, const char* none) { return name.empty() ? none : Printable(name); }

std::string DefaultScreen(const Snapshot& snapshot, Look look) {
  return DefaultScreen(snapshot, RatesBetween(nullptr, snapshot), look);
}

std::string DefaultScreen(const Snapshot& snapshot, const Rates& rates, Look look) {
  const Ledger& ledger = snapshot.ledger;
  const Counters& counters = snapshot.counters;
  std::string out = Headline(snapshot, look);
  const uint64_t logical_bytes = counters.sealed_bytes + counters.unsealed_bytes + counters.dying_bytes;
  out += Row("capacity", FormatBytes(ledger.capacity_bytes), "", "what -m allows, in bytes as users count them");
  out += Row("pinned", ledger.pinned, "a process holds them");
  out += Row("evictable", ledger.evictable, "nobody holds them: they go, oldest release first, when room is needed");
  out +=
      Row("protected", ledger.protected_objects, "nobody holds them, and they stay until their owner lets go of them");
  out += Row("unsealed", ledger.unsealed, "being written");
  out += Row("dying", ledger.dying, "deleted or evicted; a process holds them still");
  if (ledger.restoring_bytes > 0)
    out += Row("restoring", FormatBytes(ledger.restoring_bytes), "", "for objects that come back from disk");
  out += Row("free", FormatBytes(ledger.free_bytes), "", "no object's");
  if (ledger.spilled.count > 0 || counters.spill_file_bytes > 0)
    out += Row("spilled", ledger.spilled, "on disk, beside the capacity: a get brings them back");
  out += Row("largest run", FormatBytes(snapshot.largest_run_bytes), "",
             "the largest object that fits without evicting any");
  out += Row("logical", FormatBytes(logical_bytes), "", "all objects, in bytes as users count them");
  out += Row("physical", FormatBytes(counters.physical_bytes), "", "all objects, with what rounding costs");
  if (counters.leased_bytes > 0)
    out +=
        Row("leased", FormatBytes(counters.leased_bytes), "", "of these: runs that clients may put small objects into");
  if (counters.lent_bytes > 0)
    out += Row("lent", FormatBytes(counters.lent_bytes), "", "pages that went from the objects to the index");
  out += Row("resident", snapshot.resident_bytes ? FormatBytes(*snapshot.resident_bytes) : "unknown", "",
             "memory of the machine that is reserved for them");
  out += StrCat(
      "  ", Counted(snapshot.clients.size(), "client"), "; since the start ", Counted(counters.creates, "create"), ", ",
      Counted(counters.seals, "seal"), ", ", Counted(counters.deletes, "delete"), ", ",
      Counted(counters.evictions, "eviction"), " of ", FormatBytes(counters.evicted_bytes), ", ",
      Counted(counters.full_failures, "time"), " full; over the socket ", FormatBytes(counters.bytes_received), " in, ",
      FormatBytes(counters.bytes_sent), " out; waiting for the seals of ", Objects(counters.watched_ids), "\n");
  if (counters.spills > 0 || counters.spill_failures > 0 || counters.lost_objects > 0)
    out += StrCat("  spilling since the start: ", Objects(counters.spills), " of ",
                  FormatBytes(counters.spilled_out_bytes), " written, ", Objects(counters.restores), " of ",
                  FormatBytes(counters.restored_bytes), " read back, ",
                  Counted(counters.spill_failures, "failed write"), ", ", Objects(counters.lost_objects),
                  " lost; the files have ", FormatBytes(counters.spill_file_bytes), "\n");
  out += "  " + RatesText(rates);
  out += HolderLines(snapshot);
  if (snapshot.oldest_unsealed) {
    const Object& oldest = snapshot.objects[*snapshot.oldest_unsealed];
    out += StrCat("  oldest unsealed: ", oldest.id.hex(), ", ", FormatBytes(oldest.bytes()), ", written by ",
                  ClientText(snapshot, oldest.creator), " for ", FormatAge(oldest.age_ms), "\n");
  }
  if (snapshot.unknown_pin_pages > 0)
    out += StrCat("  the pins of ", Counted(snapshot.unknown_pin_pages, "client"),
                  " could not be read: what they hold counts as evictable or protected\n");
  return out + LedgerLine(ledger, look);
}

std::string ObjectList(const Snapshot& snapshot, const std::vector<const Object*>& objects, Look look) {
  std::vector<std::vector<std::string>> rows = {
      {"ID", "STATE", "HOLDERS", "DATA", "META", "WASTE", "AGE", "PINS", "CREATOR", "OWNED", "PLACE"}};
  for (const Object* object : objects) {
    std::string holders;
    for (const uint32_t holder : object->holders) holders += StrCat(holders.empty() ? "" : ",", holder);
    rows.push_back({object->id.hex(), PlaceName(object->place), holders.empty() ? "-" : holders,
                    FormatBytes(object->data_bytes), FormatBytes(object->metadata_bytes),
                    FormatBytes(object->waste_bytes()), FormatAge(object->age_ms), StrCat(object->pins),
                    StrCat(object->creator), object->owned ? "yes" : "no",
                    object->lost         ? "lost"
                    : object->spill_file ? StrCat("file ", *object->spill_file)
                                         : StrCat(object->offset)});
  }
  return HeadlineIfDead(snapshot, look) + Table(rows, 3, look);
}

std::string ObjectText(const Snapshot& snapshot, const Object& object, Look look) {
  std::string out = HeadlineIfDead(snapshot, look);
  const auto row = [&out](const char* name, const std::string& value) {
    out += StrCat("  ", PadRight(name, 11), value, "\n");
  };
  out += Paint(object.id.hex(), Colour::kBold, look) + "\n";
  row("state", StrCat(PlaceName(object.place), object.deleted ? ", deleted: it goes at its last release" : "",
                      object.owned ? ", owned" : ""));
  row("data", StrCat(FormatBytes(object.data_bytes), " (", Counted(object.data_bytes, "byte"), ")"));
  row("metadata", StrCat(FormatBytes(object.metadata_bytes), " (", Counted(object.metadata_bytes, "byte"), ")"));
  if (object.place == Place::kSpilled)
    row("place", StrCat(object.lost ? "lost: its bytes on disk cannot be read any more"
                                    : StrCat("file ", *object.spill_file, " on disk"),
                        "; entry ", object.entry, " of the index"));
  else
    row("place", StrCat("bytes ", object.offset, " to ", object.offset + object.physical_bytes(), " of the arena, ",
                        FormatBytes(object.physical_bytes() - object.bytes()), " of that rounding; entry ",
                        object.entry, " of the index"));
  row("age", object.place == Place::kUnsealed
                 ? FormatAge(object.age_ms)
                 : StrCat(FormatAge(object.age_ms), ", sealed after ", object.constructed_s, " s"));
  row("creator", ClientText(snapshot, object.creator));
  if (object.holders.empty()) row("held by", "nobody");
  for (const uint32_t holder : object.holders) row("held by", ClientText(snapshot, holder));
  return out;
}

std::string ClientList(const Snapshot& snapshot, Look look) {
  std::vector<std::vector<std::string>> rows = {{"NAME", "PROGRAM", "CLIENT", "PID", "SINCE", "CREATED", "BYTES",
                                                 "UNSEALED", "OWNED", "PINS", "PINNED", "PROCESS"}};
  for (const Client& client : snapshot.clients) {
    rows.push_back({NameOr(client.name, "-"), NameOr(client.program, "-"), StrCat(client.number), StrCat(client.pid),
                    FormatAge(client.connected_ms_ago), StrCat(client.created_count), FormatBytes(client.created_bytes),
                    FormatBytes(client.unsealed_bytes), FormatBytes(client.owned_bytes),
                    client.pins ? StrCat(*client.pins) : "unknown",
                    client.pins ? FormatBytes(client.pinned_bytes) : "unknown",
                    !client.alive    ? "ended"
                    : client.stopped ? "stopped"
                                     : "runs"});
  }
  return HeadlineIfDead(snapshot, look) + Table(rows, 2, look);
}

}  // namespace raylet::objstat
