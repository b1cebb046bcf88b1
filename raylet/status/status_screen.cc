#include "raylet/status/status_screen.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/counted.h"
#include "base/strings.h"

namespace raylet {
namespace {

using nlohmann::json;
using Row = std::vector<std::string>;

constexpr size_t kRowsMax = 20;  // of one table
constexpr size_t kHeadingWidth = 15;

std::string Printable(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return text;
}

// ---- from JSON, whatever it holds
const json& At(const json& object, const char* key) {
  static const json nothing;
  if (!object.is_object()) return nothing;
  const auto found = object.find(key);
  return found == object.end() ? nothing : *found;
}
std::string Text(const json& object, const char* key) {
  const json& value = At(object, key);
  return value.is_string() ? Printable(value.get<std::string>()) : "";
}
uint64_t Number(const json& object, const char* key) {
  const json& value = At(object, key);
  return value.is_number_unsigned() ? value.get<uint64_t>() : 0;
}
int64_t Signed(const json& object, const char* key) {
  const json& value = At(object, key);
  return value.is_number_integer() ? value.get<int64_t>() : 0;
}
bool Flag(const json& object, const char* key) {
  const json& value = At(object, key);
  return value.is_boolean() && value.get<bool>();
}
std::string Amount(const json& object, const char* key) {
  const json& value = At(object, key);
  char text[32];
  std::snprintf(text, sizeof text, "%.10g", value.is_number() ? value.get<double>() : 0.0);
  return text;
}
std::string OrDash(std::string text) { return text.empty() ? "-" : text; }
std::string Pid(const json& object, const char* key) {
  const int64_t pid = Signed(object, key);
  return pid > 0 ? std::to_string(pid) : "-";
}

// ---- to text
size_t Width(const std::string& text) {  // in code points
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}
std::string Pad(const std::string& text, size_t width) {
  const size_t own = Width(text);
  return own >= width ? text : text + std::string(width - own, ' ');
}
std::string Section(const char* heading, const std::string& text) {
  return StrCat(Pad(heading, kHeadingWidth), text, "\n");
}
// The first row has the column names. Each column is as wide as its widest cell.
std::string Table(const std::vector<Row>& rows) {
  if (rows.size() < 2) return "";
  const size_t shown = std::min(rows.size(), kRowsMax + 1);
  std::vector<size_t> widths(rows.front().size(), 0);
  for (size_t r = 0; r < shown; ++r) {
    for (size_t i = 0; i < widths.size(); ++i) widths[i] = std::max(widths[i], Width(rows[r][i]));
  }
  std::string out;
  for (size_t r = 0; r < shown; ++r) {
    std::string line = "  ";
    for (size_t i = 0; i < widths.size(); ++i) line += Pad(rows[r][i], widths[i] + 2);
    line.resize(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  if (shown < rows.size()) out += StrCat("  … and ", rows.size() - shown, " more; --json lists them\n");
  return out;
}

std::string Headline(const json& status) {
  const std::string address = Text(status, "address");
  return StrCat("raylet ", Text(status, "build"), " pid ", Pid(status, "pid"), " at ", Text(status, "serves"), "\n") +
         Section("node",
                 StrCat(Text(status, "node"), address.empty() ? ", alone" : ", other raylets reach it at ", address)) +
         Section("store", Text(status, "store_socket")) + Section("logs", Text(status, "logs_folder"));
}

// Amounts of memory are bytes.
std::string AmountOf(const std::string& name, const json& line, const char* which) {
  const json& value = At(line, which);
  if ((name != "memory" && name != "object_store_memory") || !value.is_number()) return Amount(line, which);
  return FormatBytes(static_cast<uint64_t>(std::clamp(value.get<double>(), 0.0, 1e18)));
}

std::string Resources(const json& status) {
  std::vector<Row> rows = {{"RESOURCE", "TOTAL", "FREE"}};
  const json& resources = At(status, "resources");
  for (const auto& [name, line] : resources.items())
    rows.push_back({Printable(name), AmountOf(name, line, "total"), AmountOf(name, line, "free")});
  return Section("resources", Counted(resources.size(), "kind")) + Table(rows);
}

std::string WhatItRuns(const json& worker) {
  if (const std::string actor = Text(worker, "actor"); !actor.empty()) return StrCat("actor ", actor);
  if (worker.contains("leased_to"))
    return StrCat("tasks that process ", Number(worker, "leased_to"), " sends it: ", Number(worker, "calls"),
                  " so far");
  return OrDash(Text(worker, "task"));
}

std::string Workers(const json& status) {
  std::map<std::string, size_t> by_state = {{"starting", 0}, {"idle", 0}, {"busy", 0}, {"stopping", 0}};
  size_t blocked = 0;
  std::vector<Row> rows = {{"WORKER", "JOB", "PID", "STATE", "RUNS"}};
  const json& workers = At(status, "workers");
  for (const json& worker : workers) {
    ++by_state[Text(worker, "state")];
    blocked += Flag(worker, "blocked") ? 1 : 0;
    rows.push_back({std::to_string(Number(worker, "worker")), std::to_string(Number(worker, "job")), Pid(worker, "pid"),
                    Text(worker, "state") + (Flag(worker, "blocked") ? ", blocked" : ""), WhatItRuns(worker)});
  }
  std::string summary = StrCat(workers.size(), " of at most ", Number(status, "workers_max"), ":");
  for (const char* state : {"starting", "idle", "busy", "stopping"})
    summary += StrCat(" ", by_state[state], " ", state, ",");
  return Section("workers", StrCat(summary, " ", blocked, " blocked in Get or Wait")) + Table(rows);
}

std::string Queues(const json& status) {
  uint64_t queued = 0;
  std::vector<Row> rows = {{"JOB", "WHAT", "EACH NEEDS", "FIRST", "WHY THEY WAIT"}};
  for (const json& queue : At(status, "queues")) {
    queued += Number(queue, "count");
    rows.push_back({std::to_string(Number(queue, "job")),
                    Counted(Number(queue, "count"), Text(queue, "what") == "actors" ? "actor" : "task"),
                    OrDash(Text(queue, "resources")), OrDash(Text(queue, "first")), Text(queue, "why")});
  }
  const uint64_t without_room = Number(status, "processes_without_room");
  const std::string waiting =
      without_room == 0 ? std::string()
                        : StrCat("; ", Counted(without_room, "submitter"), " without room: one program may have ",
                                 Counted(Number(status, "tasks_max"), "task"), " (--max-tasks)");
  return Section("queues",
                 StrCat(queued, " ready to run; ", Counted(Number(status, "tasks_waiting_for_objects"), "task"),
                        " waiting for ", Counted(Number(status, "objects_waited_for"), "object"), "; ",
                        Counted(Number(status, "tasks"), "task"), " in all", waiting)) +
         Table(rows);
}

// Actors of other machines that run here.
std::string HostedActors(const json& status) {
  std::vector<Row> rows = {{"ACTOR", "NAME", "CREATED BY", "HOME", "PID"}};
  const json& hosted = At(status, "actors_of_others");
  if (hosted.empty()) return "";
  for (const json& actor : hosted)
    rows.push_back({Text(actor, "actor"), OrDash(Text(actor, "name")), Text(actor, "function"), Text(actor, "home"),
                    Pid(actor, "pid")});
  return Section("  for others", std::to_string(hosted.size())) + Table(rows);
}

std::string Actors(const json& status) {
  std::vector<Row> rows = {{"ACTOR", "NAME", "CREATED BY", "JOB", "PID, OR MACHINE", "STATE", "RESTARTS", "CALLERS"}};
  for (const json& actor : At(status, "actors")) {
    const std::string state = Text(actor, "state");
    rows.push_back(
        {Text(actor, "actor"), OrDash(Text(actor, "name")), Text(actor, "function"),
         std::to_string(Number(actor, "job")),
         Text(actor, "machine").empty() ? Pid(actor, "pid") : Text(actor, "machine"),
         StrCat(state, Flag(actor, "leaving") ? ", leaving" : "", Flag(actor, "detached") ? ", detached" : ""),
         std::to_string(Number(actor, "restarts")), std::to_string(Number(actor, "channels"))});
  }
  return Section("actors",
                 StrCat(Number(status, "actors_living"), " living, ", Number(status, "actors_dead"), " dead")) +
         Table(rows) + HostedActors(status);
}

// A group of another home shows what it has reserved here.
std::string PlacementGroups(const json& status) {
  std::vector<Row> rows = {{"GROUP", "NAME", "JOB", "STRATEGY", "STATE", "BUNDLES", "WHERE, OR WHY NOT YET"}};
  const json& groups = At(status, "placement_groups");
  const json& others = At(status, "bundles_of_others");
  for (const json& group : groups) {
    std::map<std::string, size_t> places;
    for (const json& bundle : At(group, "bundles")) ++places[Text(bundle, "machine")];
    std::string where = Text(group, "reason");
    if (where.empty())
      for (const auto& [machine, count] : places) where += StrCat(where.empty() ? "" : ", ", count, " ", machine);
    rows.push_back({Text(group, "group"), OrDash(Text(group, "name")), std::to_string(Number(group, "job")),
                    Text(group, "strategy"), Text(group, "state"), std::to_string(At(group, "bundles").size()), where});
  }
  std::vector<Row> reserved = {{"GROUP", "BUNDLE", "RESOURCES", "HOME"}};
  for (const json& bundle : others)
    reserved.push_back({Text(bundle, "group"), std::to_string(Number(bundle, "bundle")), Text(bundle, "resources"),
                        Text(bundle, "home")});
  if (rows.size() == 1 && reserved.size() == 1) return "";
  std::string text = Section("groups", Counted(rows.size() - 1, "placement group")) + Table(rows);
  if (reserved.size() > 1) text += Section("  for others", Counted(reserved.size() - 1, "bundle")) + Table(reserved);
  return text;
}

std::string Jobs(const json& status) {
  std::vector<Row> rows = {{"JOB", "DRIVER", "FROM", "WORKERS", "NAMESPACE", "PROGRAM"}};
  const json& jobs = At(status, "jobs");
  for (const json& job : jobs) {
    rows.push_back({std::to_string(Number(job, "job")), Pid(job, "driver_pid"), OrDash(Text(job, "from")),
                    std::to_string(Number(job, "workers")), OrDash(Text(job, "namespace")), Text(job, "executable")});
  }
  return Section("jobs", std::to_string(jobs.size())) + Table(rows);
}

std::string Load(const json& load) {
  if (!load.is_object()) return "not heard yet";
  std::string out;
  for (const auto& [name, line] : At(load, "resources").items()) {
    // Every node has these: they are worth a word once somebody asks for them.
    const bool usual = name == "memory" || name == "object_store_memory" || name.starts_with("node:");
    if (usual && At(line, "free") == At(line, "total") && Amount(line, "queued") == "0") continue;
    out += StrCat(Printable(name), " ", AmountOf(name, line, "free"), " of ", AmountOf(name, line, "total"), " free");
    if (Amount(line, "queued") != "0") out += StrCat(" and ", AmountOf(name, line, "queued"), " asked for");
    out += ", ";
  }
  return StrCat(out, Number(load, "queued_tasks"), " queued, ", Number(load, "running_tasks"), " running, store ",
                FormatBytes(Number(load, "store_free_bytes")), " of ",
                FormatBytes(Number(load, "store_capacity_bytes")), " free");
}

std::string Peers(const json& status) {
  std::map<std::string, size_t> by_state;
  std::vector<Row> rows = {{"NODE", "ADDRESS", "STATE", "LOAD, OR WHY IT IS DEAD"}};
  for (const json& peer : At(status, "peers")) {
    const std::string state = Text(peer, "state");
    ++by_state[state];
    rows.push_back({Text(peer, "node"), Text(peer, "address"),
                    StrCat(state, state != "dead" && !Flag(peer, "connected") ? ", not connected" : ""),
                    state == "dead" ? Text(peer, "why") : Load(At(peer, "load"))});
  }
  return Section("peers", StrCat(by_state["up"], " up, ", by_state["silent"], " silent, ", by_state["dead"], " dead")) +
         Table(rows);
}

std::string Control(const json& status) {
  const json& control = At(status, "control");
  if (!control.is_object()) return Section("control store", "none");
  std::string text = StrCat(Text(control, "address"), Flag(control, "connected") ? ", connected" : ", not connected");
  text += Flag(control, "joined") ? ", joined" : ", not joined";
  if (Signed(control, "renewed_ms_ago") >= 0)
    text += StrCat(", lease renewed ", Signed(control, "renewed_ms_ago"), " ms ago");
  const std::string problem = Text(control, "problem");
  if (!problem.empty()) text += StrCat("; ", problem);
  std::vector<Row> rows = {{"NODE", "ADDRESS", "VERSION", ""}};
  for (const json& node : At(status, "nodes")) {
    rows.push_back(
        {Text(node, "node"), Text(node, "address"), Text(node, "version"), Flag(node, "this") ? "this one" : ""});
  }
  return Section("control store", text) + Section("nodes", StrCat(rows.size() - 1, " with a lease")) + Table(rows);
}

std::string Transfers(const json& status) {
  const json& transfers = At(status, "transfers");
  if (!transfers.is_object()) return Section("transfers", "none: this raylet knows no other machine");
  const auto moved = [&](const char* objects, const char* bytes) {
    return StrCat(Counted(Number(transfers, objects), "object"), ", ", FormatBytes(Number(transfers, bytes)));
  };
  std::string received = moved("objects_received", "bytes_received");
  if (const uint64_t resumed = Number(transfers, "bytes_resumed"); resumed > 0)
    received += StrCat(", ", FormatBytes(resumed), " of partial copies taken up again");
  if (const uint64_t corrupt = Number(transfers, "chunks_corrupt"); corrupt > 0)
    received += StrCat(", ", Counted(corrupt, "corrupt chunk"), " sent again");
  return Section("transfers", StrCat(Counted(Number(transfers, "objects_wanted"), "object"), " wanted, ",
                                     Counted(Number(transfers, "pulls"), "pull"), " under way, ",
                                     FormatBytes(Number(transfers, "pulled_bytes")))) +
         Section("  received", received) + Section("  sent", moved("objects_sent", "bytes_sent")) +
         Section("  kept", StrCat(Counted(Number(transfers, "kept_for_others"), "object"),
                                  " for other machines; other machines have ",
                                  Counted(Number(transfers, "remote_copies"), "object"), " of ours"));
}

}  // namespace

Result<std::string> StatusScreen(const std::string& text) {
  const json status = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!status.is_object())
    return Fail(ErrorCode::kProtocolError,
                StrCat("the answer has ", Counted(text.size(), "byte"), " and is no JSON object"));
  return Headline(status) + Resources(status) + Workers(status) + Queues(status) + Actors(status) +
         PlacementGroups(status) + Jobs(status) + Peers(status) + Control(status) + Transfers(status);
}

}  // namespace raylet
