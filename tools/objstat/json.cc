#include "tools/objstat/json.h"

#include <nlohmann/json.hpp>

namespace raylet::objstat {

namespace {

using nlohmann::json;

json ToJson(const Sum& sum) { return {{"bytes", sum.bytes}, {"count", sum.count}}; }

json ToJson(const Object& object) {
  return {{"id", object.id.hex()},
          {"state", PlaceName(object.place)},
          {"data_bytes", object.data_bytes},
          {"metadata_bytes", object.metadata_bytes},
          {"offset", object.offset},
          {"age_ms", object.age_ms},
          {"pins", object.pins},
          {"holders", object.holders},
          {"creator", object.creator},
          {"owned", object.owned}};
}

json ToJson(const Client& client) {
  return {{"client", client.number},
          {"pid", client.pid},
          {"name", client.name},
          {"connected_ms", client.connected_ms_ago},
          {"created_count", client.created_count},
          {"created_bytes", client.created_bytes},
          {"unsealed_bytes", client.unsealed_bytes},
          {"owned_bytes", client.owned_bytes},
          {"pins", client.pins ? json(*client.pins) : json(nullptr)}};
}

// Names come from other processes and may be invalid UTF-8.
std::string Text(const json& value) { return value.dump(2, ' ', false, json::error_handler_t::replace) + "\n"; }

}  // namespace

std::string DefaultJson(const Snapshot& snapshot) {
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
        {"owned", ToJson(ledger.owned)},
        {"unsealed", ToJson(ledger.unsealed)},
        {"dying", ToJson(ledger.dying)},
        {"free_bytes", ledger.free_bytes},
        {"adds_up", ledger.AddsUp()},
        {"differences", ledger.differences}}},
      {"logical_bytes", counters.sealed_bytes + counters.unsealed_bytes + counters.dying_bytes},
      {"physical_bytes", counters.physical_bytes},
      {"arena_bytes", snapshot.arena_bytes},
      {"lent_bytes", counters.lent_bytes},
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
        {"bytes_received", counters.bytes_received},
        {"bytes_sent", counters.bytes_sent}}},
      {"watched_ids", counters.watched_ids},
  };
  out["oldest_unsealed"] =
      snapshot.oldest_unsealed ? ToJson(snapshot.objects[*snapshot.oldest_unsealed]) : json(nullptr);
  return Text(out);
}

std::string ObjectsJson(const Snapshot& snapshot) {
  json out = json::array();
  for (const Object& object : snapshot.objects) out.push_back(ToJson(object));
  return Text(out);
}

std::string ClientsJson(const Snapshot& snapshot) {
  json out = json::array();
  for (const Client& client : snapshot.clients) out.push_back(ToJson(client));
  return Text(out);
}

}  // namespace raylet::objstat
