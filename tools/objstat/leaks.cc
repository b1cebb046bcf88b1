#include "tools/objstat/leaks.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "tools/objstat/choice.h"
#include "tools/objstat/screen.h"

namespace raylet::objstat {
namespace {

constexpr std::array kKinds = {LeakKind::kUnsealed, LeakKind::kDeleted, LeakKind::kStopped, LeakKind::kEnded,
                               LeakKind::kInherited};

const char* Meaning(LeakKind kind) {
  switch (kind) {
    case LeakKind::kUnsealed: return "its client has not sealed it: a get of it waits";
    case LeakKind::kDeleted: return "deleted, and its memory stays until the client releases it";
    case LeakKind::kStopped: return "the client's process is stopped: kill -CONT lets it go on";
    case LeakKind::kEnded: return "the client's process has ended, and the store has not noticed";
    case LeakKind::kInherited: return "owned, and the client that created it has ended: its owner still keeps it";
  }
  return "?";
}

// The first kind that fits, or nothing.
std::optional<LeakKind> KindOf(const Object& object, const Client* client) {
  if (client != nullptr && !client->alive) return LeakKind::kEnded;
  if (client != nullptr && client->stopped) return LeakKind::kStopped;
  if (object.place == Place::kUnsealed) return LeakKind::kUnsealed;
  if (object.place == Place::kDying || object.deleted) return LeakKind::kDeleted;
  return std::nullopt;
}

}  // namespace

const char* LeakName(LeakKind kind) {
  switch (kind) {
    case LeakKind::kUnsealed: return "unsealed";
    case LeakKind::kDeleted: return "deleted";
    case LeakKind::kStopped: return "stopped";
    case LeakKind::kEnded: return "ended";
    case LeakKind::kInherited: return "inherited";
  }
  return "?";
}

std::vector<Leak> FindLeaks(const Snapshot& snapshot, uint64_t older_ms) {
  std::vector<Leak> leaks;
  for (const Object& object : snapshot.objects) {
    if (object.age_ms < older_ms) continue;
    std::vector<uint32_t> keepers = object.holders;
    if (object.place == Place::kUnsealed && std::ranges::find(keepers, object.creator) == keepers.end())
      keepers.push_back(object.creator);
    for (const uint32_t keeper : keepers)
      if (const auto kind = KindOf(object, snapshot.FindClient(keeper))) leaks.push_back({*kind, &object, keeper});
    // A store that lives frees a dying object soon after its last pin.
    if (keepers.empty() && object.place == Place::kDying) leaks.push_back({LeakKind::kDeleted, &object, 0});
    if (keepers.empty() && object.place == Place::kProtected && snapshot.FindClient(object.creator) == nullptr)
      leaks.push_back({LeakKind::kInherited, &object, 0});
  }
  std::ranges::stable_sort(leaks, [](const Leak& a, const Leak& b) { return a.object->bytes() > b.object->bytes(); });
  return leaks;
}

std::string LeaksText(const Snapshot& snapshot, const std::vector<Leak>& leaks, uint64_t older_ms, Look look) {
  const std::string headline = HeadlineIfDead(snapshot, look);
  if (leaks.empty())
    return StrCat(headline, "no object of ", FormatAge(older_ms),
                  " or older looks forgotten (--older looks at younger ones)\n");
  std::vector<std::vector<std::string>> rows = {{"ID", "LEAK", "KEPT BY", "BYTES", "AGE"}};
  std::array<uint64_t, kKinds.size()> counts{};
  for (const Leak& leak : leaks) {
    ++counts[static_cast<size_t>(leak.kind)];
    rows.push_back({leak.object->id.hex(), LeakName(leak.kind),
                    leak.client == 0 ? "-" : ClientText(snapshot, leak.client), FormatBytes(leak.object->bytes()),
                    FormatAge(leak.object->age_ms)});
  }
  std::string out = headline + Table(rows, 3, look);
  for (const LeakKind kind : kKinds)
    if (counts[static_cast<size_t>(kind)] > 0) out += StrCat("  ", PadRight(LeakName(kind), 10), Meaning(kind), "\n");
  return out;
}

nlohmann::json LeaksJson(const Snapshot& snapshot, const std::vector<Leak>& leaks) {
  auto out = nlohmann::json::array();
  for (const Leak& leak : leaks) {
    const Client* const client = snapshot.FindClient(leak.client);
    out.push_back({{"id", leak.object->id.hex()},
                   {"kind", LeakName(leak.kind)},
                   {"bytes", leak.object->bytes()},
                   {"age_ms", leak.object->age_ms},
                   {"client", leak.client == 0 ? nlohmann::json(nullptr) : nlohmann::json(leak.client)},
                   {"pid", client == nullptr ? nlohmann::json(nullptr) : nlohmann::json(client->pid)},
                   {"program", client == nullptr ? nlohmann::json(nullptr) : nlohmann::json(client->program)}});
  }
  return out;
}

}  // namespace raylet::objstat
