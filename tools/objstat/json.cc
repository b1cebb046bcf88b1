#include "tools/objstat/json.h"

#include <nlohmann/json.hpp>

#include "tools/objstat/events.h"

namespace raylet::objstat {

namespace {

using nlohmann::json;

json ToJson(const Sum& sum) { return {{"bytes", sum.bytes}, {"count", sum.count}}; }

}  // namespace

json DefaultJson(const Snapshot& snapshot, const Rates& rates) {
  const Ledger& ledger = snapshot.ledger;
  const Counters& counters = snapshot.counters;
  json out = {
      {"socket", snapshot.socket_path},
      {"build", snapshot.build},
      {"daemon",
       {{"pid", snapshot.daemon_pid},
        {"alive", snapshot.daemon_alive},
        {"stopped", snapshot.daemon_stopped},
        {"up_ms", snapshot.up_ms}}},
      {"ledger",
       {{"capacity_bytes", ledger.capacity_bytes},
        {"pinned", ToJson(ledger.pinned)},
        {"evictable", ToJson(ledger.evictable)},
        {"protected", ToJson(ledger.protected_objects)},
        {"unsealed", ToJson(ledger.unsealed)},
        {"dying", ToJson(ledger.dying)},
        {"restoring_bytes", ledger.restoring_bytes},
        {"free_bytes", ledger.free_bytes},
        {"spilled", ToJson(ledger.spilled)},
        {"adds_up", ledger.AddsUp()},
        {"of_one_moment", ledger.of_one_moment},
        {"differences", ledger.differences}}},
      {"logical_bytes", counters.sealed_bytes + counters.unsealed_bytes + counters.dying_bytes},
      {"physical_bytes", counters.physical_bytes},
      {"arena_bytes", snapshot.arena_bytes},
      {"lent_bytes", counters.lent_bytes},
      {"leased_bytes", counters.leased_bytes},
      {"spill_file_bytes", counters.spill_file_bytes},
      {"resident_bytes", snapshot.resident_bytes ? json(*snapshot.resident_bytes) : json(nullptr)},
      {"largest_run_bytes", snapshot.largest_run_bytes},
      {"unknown_pin_pages", snapshot.unknown_pin_pages},
      {"clients", snapshot.clients.size()},
      {"counters",
       {{"creates", counters.creates},
        {"seals", counters.seals},
        {"deletes", counters.deletes},
        {"evictions", counters.evictions},
        {"evicted_bytes", counters.evicted_bytes},
        {"full_failures", counters.full_failures},
        {"spills", counters.spills},
        {"spilled_bytes", counters.spilled_out_bytes},
        {"restores", counters.restores},
        {"restored_bytes", counters.restored_bytes},
        {"spill_failures", counters.spill_failures},
        {"lost_objects", counters.lost_objects},
        {"bytes_received", counters.bytes_received},
        {"bytes_sent", counters.bytes_sent}}},
      {"watched_ids", counters.watched_ids},
  };
  out["rates"] = RatesJson(rates);
  const Happened* const full = LastEvent(snapshot, EventKind::kFull);
  out["last_full"] = full == nullptr ? json(nullptr) : EventJson(*full);
  out["oldest_unsealed"] =
      snapshot.oldest_unsealed ? ObjectJson(snapshot.objects[*snapshot.oldest_unsealed]) : json(nullptr);
  return out;
}

json ObjectJson(const Object& object) {
  return {{"id", object.id.hex()},
          {"state", PlaceName(object.place)},
          {"data_bytes", object.data_bytes},
          {"metadata_bytes", object.metadata_bytes},
          {"waste_bytes", object.waste_bytes()},
          {"offset", object.place == Place::kSpilled ? json(nullptr) : json(object.offset)},
          {"spill_file", object.spill_file ? json(*object.spill_file) : json(nullptr)},
          {"lost", object.lost},
          {"entry", object.entry},
          {"age_ms", object.age_ms},
          {"constructed_s", object.constructed_s},
          {"pins", object.pins},
          {"holders", object.holders},
          {"creator", object.creator},
          {"owned", object.owned},
          {"deleted", object.deleted}};
}

json ObjectsJson(const std::vector<const Object*>& objects) {
  json out = json::array();
  for (const Object* object : objects) out.push_back(ObjectJson(*object));
  return out;
}

json ClientsJson(const Snapshot& snapshot) {
  json out = json::array();
  for (const Client& client : snapshot.clients)
    out.push_back({{"client", client.number},
                   {"pid", client.pid},
                   {"name", client.name},
                   {"program", client.program},
                   {"process", !client.alive    ? "ended"
                               : client.stopped ? "stopped"
                                                : "runs"},
                   {"connected_ms", client.connected_ms_ago},
                   {"created_count", client.created_count},
                   {"created_bytes", client.created_bytes},
                   {"unsealed_bytes", client.unsealed_bytes},
                   {"owned_bytes", client.owned_bytes},
                   {"pins", client.pins ? json(*client.pins) : json(nullptr)},
                   {"pinned_count", client.pins ? json(client.pinned_count) : json(nullptr)},
                   {"pinned_bytes", client.pins ? json(client.pinned_bytes) : json(nullptr)}});
  return out;
}

std::string JsonText(const json& value, bool one_line) {
  return value.dump(one_line ? -1 : 2, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace raylet::objstat
