#include "tools/objstat/pins.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "tools/objstat/screen.h"

namespace raylet::objstat {

std::vector<Pin> PinsOf(const Snapshot& snapshot, uint64_t older_ms) {
  std::vector<Pin> pins;
  for (const Object& object : snapshot.objects) {
    for (const uint32_t holder : object.holders) {
      const Client* const client = snapshot.FindClient(holder);
      if (client == nullptr) continue;
      const uint64_t held_at_most_ms = std::min(object.age_ms, client->connected_ms_ago);
      if (held_at_most_ms >= older_ms) pins.push_back({&object, client, held_at_most_ms});
    }
  }
  std::ranges::stable_sort(pins, [](const Pin& a, const Pin& b) { return a.object->bytes() > b.object->bytes(); });
  return pins;
}

std::string PinsText(const Snapshot& snapshot, const std::vector<Pin>& pins, Look look) {
  std::vector<std::vector<std::string>> rows = {
      {"ID", "STATE", "PROGRAM", "NAME", "PID", "CLIENT", "BYTES", "HELD AT MOST"}};
  for (const Pin& pin : pins) {
    rows.push_back({pin.object->id.hex(), PlaceName(pin.object->place), NameOr(pin.client->program, "-"),
                    NameOr(pin.client->name, "-"), StrCat(pin.client->pid), StrCat(pin.client->number),
                    FormatBytes(pin.object->bytes()), FormatAge(pin.held_at_most_ms)});
  }
  return HeadlineIfDead(snapshot, look) + Table(rows, 4, look);
}

nlohmann::json PinsJson(const std::vector<Pin>& pins) {
  auto out = nlohmann::json::array();
  for (const Pin& pin : pins)
    out.push_back({{"id", pin.object->id.hex()},
                   {"state", PlaceName(pin.object->place)},
                   {"bytes", pin.object->bytes()},
                   {"client", pin.client->number},
                   {"pid", pin.client->pid},
                   {"name", pin.client->name},
                   {"program", pin.client->program},
                   {"held_at_most_ms", pin.held_at_most_ms}});
  return out;
}

}  // namespace raylet::objstat
