#include "tools/objstat/events.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "tools/objstat/screen.h"

namespace raylet::objstat {
namespace {

const char* HeldName(HeldAs held_as) {
  switch (held_as) {
    case HeldAs::kPinned: return "pinned";
    case HeldAs::kOwned: return "owned";
    case HeldAs::kUnsealed: return "unsealed";
    case HeldAs::kNothing: break;
  }
  return "?";
}

std::string Who(const Event& event) {
  const std::string name = Printable(event.program);
  return StrCat(name.empty() ? StrCat("client ", event.client) : name, " (pid ", event.pid, ")");
}

std::string Holder(const Event& event) {
  const std::string name = Printable(event.holder_program);
  const char* verb = event.held_as == HeldAs::kPinned ? "pinned" : event.held_as == HeldAs::kOwned ? "owned" : "wrote";
  return StrCat(name.empty() ? "a client" : name, " (pid ", event.holder_pid, ") ", verb, " ",
                FormatBytes(event.holder_bytes));
}

size_t FirstOf(const Snapshot& snapshot, size_t most) {
  return snapshot.events.size() - std::min(most, snapshot.events.size());
}

}  // namespace

const char* EventName(EventKind kind) {
  switch (kind) {
    case EventKind::kFull: return "full";
    case EventKind::kEvicted: return "evicted";
    case EventKind::kClientLeft: return "client_left";
    case EventKind::kSpilled: return "spilled";
    case EventKind::kRestored: return "restored";
    case EventKind::kSpillFailed: return "spill_failed";
    case EventKind::kLost: return "lost";
  }
  return "?";
}

std::string EventSentence(const Event& event) {
  std::string out;
  switch (event.kind) {
    case EventKind::kFull:
      out =
          StrCat(Who(event), " found no room for ", FormatBytes(event.bytes), ": free ", FormatBytes(event.free_bytes),
                 ", largest run ", FormatBytes(event.largest_run_bytes), ", pinned ", FormatBytes(event.pinned_bytes));
      if (event.held_as != HeldAs::kNothing) out += StrCat("; ", Holder(event));
      break;
    case EventKind::kEvicted:
      out = StrCat(Objects(event.objects), " of ", FormatBytes(event.bytes), " in all evicted to make room");
      break;
    case EventKind::kClientLeft:
      out = StrCat(Who(event), " ended and left ", FormatBytes(event.bytes), " of unsealed and owned objects");
      break;
    case EventKind::kSpilled:
      out = StrCat(Objects(event.objects), " of ", FormatBytes(event.bytes), " in all written to disk to make room");
      break;
    case EventKind::kRestored:
      out = StrCat(Objects(event.objects), " of ", FormatBytes(event.bytes), " in all read back from disk");
      break;
    case EventKind::kSpillFailed:
      out = "a file of spilled objects could not be written: the log of plasma_store says why";
      break;
    case EventKind::kLost:
      out = StrCat(Objects(event.objects), " of ", FormatBytes(event.bytes),
                   " in all lost: their bytes on disk cannot be read any more");
      break;
  }
  if ((event.kind == EventKind::kFull || event.kind == EventKind::kSpillFailed) && event.count > 1)
    out += StrCat("; ", event.count, " times within a second");
  return out;
}

const Happened* LastEvent(const Snapshot& snapshot, EventKind kind) {
  const auto it = std::find_if(snapshot.events.rbegin(), snapshot.events.rend(),
                               [kind](const Happened& each) { return each.event.kind == kind; });
  return it == snapshot.events.rend() ? nullptr : &*it;
}

std::string EventsText(const Snapshot& snapshot, size_t most, Look look) {
  const std::string headline = HeadlineIfDead(snapshot, look);
  if (snapshot.events.empty()) return headline + "the store was not full, and evicted nothing, since its start\n";
  std::vector<std::vector<std::string>> rows = {{"AGO", "EVENT", "WHAT HAPPENED"}};
  for (size_t i = FirstOf(snapshot, most); i < snapshot.events.size(); ++i) {
    const Happened& each = snapshot.events[i];
    rows.push_back({FormatAge(each.ago_ms), EventName(each.event.kind), EventSentence(each.event)});
  }
  return headline + Table(rows, 3, look);
}

nlohmann::json EventJson(const Happened& happened) {
  const Event& event = happened.event;
  const bool full = event.kind == EventKind::kFull, of_client = full || event.kind == EventKind::kClientLeft;
  const auto only_if = [](bool has, auto value) { return has ? nlohmann::json(value) : nlohmann::json(nullptr); };
  ObjectId id;
  std::copy(std::begin(event.id), std::end(event.id), id.mutable_data());
  nlohmann::json out = {{"number", happened.number},
                        {"ago_ms", happened.ago_ms},
                        {"kind", EventName(event.kind)},
                        {"count", event.count},
                        {"bytes", event.bytes},
                        {"objects", only_if(!of_client, event.objects)},
                        {"client", only_if(of_client, event.client)},
                        {"pid", only_if(of_client, event.pid)},
                        {"name", only_if(of_client, event.program)},
                        {"id", only_if(full || event.kind == EventKind::kLost, id.hex())},
                        {"free_bytes", only_if(full, event.free_bytes)},
                        {"largest_run_bytes", only_if(full, event.largest_run_bytes)},
                        {"pinned_bytes", only_if(full, event.pinned_bytes)}};
  out["holder"] = event.held_as == HeldAs::kNothing ? nlohmann::json(nullptr)
                                                    : nlohmann::json{{"pid", event.holder_pid},
                                                                     {"name", event.holder_program},
                                                                     {"as", HeldName(event.held_as)},
                                                                     {"bytes", event.holder_bytes}};
  return out;
}

nlohmann::json EventsJson(const Snapshot& snapshot, size_t most) {
  auto out = nlohmann::json::array();
  for (size_t i = FirstOf(snapshot, most); i < snapshot.events.size(); ++i)
    out.push_back(EventJson(snapshot.events[i]));
  return out;
}

}  // namespace raylet::objstat
