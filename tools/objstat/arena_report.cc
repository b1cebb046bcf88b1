#include "tools/objstat/arena_report.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/counted.h"
#include "base/strings.h"
#include "tools/objstat/screen.h"

namespace raylet::objstat {
namespace {

constexpr uint64_t kPage = 4096;
constexpr size_t kCells = 72;
constexpr size_t kRunsShown = 8;
constexpr std::string_view kLetters = "pe#ud";  // in the order of Place

uint64_t PageUp(uint64_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }
uint64_t PageDown(uint64_t bytes) { return bytes / kPage * kPage; }

// The runs between the objects that `stays` chooses.
template <class Stays>
std::vector<ArenaRun> RunsBetween(const Snapshot& snapshot, uint64_t end, const Stays& stays) {
  std::vector<ArenaRun> runs;
  uint64_t covered = 0;
  const Object* before = nullptr;
  const auto add = [&](uint64_t until, const Object* after) {
    const uint64_t from = PageUp(covered), to = PageDown(until);
    if (to > from) runs.push_back({from, to - from, before, after});
  };
  for (const Object& object : snapshot.objects) {
    if (object.place == Place::kSpilled || !stays(object)) continue;
    add(object.offset, &object);
    if (object.offset + object.physical_bytes() <= covered) continue;
    covered = object.offset + object.physical_bytes();
    before = &object;
  }
  add(end, nullptr);
  std::ranges::stable_sort(runs, [](const ArenaRun& a, const ArenaRun& b) { return a.bytes > b.bytes; });
  return runs;
}

std::string Picture(const Snapshot& snapshot) {
  std::array<std::array<uint64_t, kLetters.size()>, kCells> used{};
  const uint64_t cell_bytes = std::max<uint64_t>((snapshot.arena_bytes + kCells - 1) / kCells, 1);
  for (const Object& object : snapshot.objects) {
    if (object.place == Place::kSpilled) continue;
    const uint64_t end = std::min(snapshot.arena_bytes, object.offset + object.physical_bytes());
    for (uint64_t at = object.offset; at < end;) {
      const uint64_t next = std::min(end, (at / cell_bytes + 1) * cell_bytes);
      used[at / cell_bytes][static_cast<size_t>(object.place)] += next - at;
      at = next;
    }
  }
  std::string picture;
  for (const auto& cell : used) {
    const auto most = std::ranges::max_element(cell);
    picture += *most == 0 ? '.' : kLetters[static_cast<size_t>(most - cell.begin())];
  }
  return picture;
}

std::string Neighbour(const Object* object, const char* none) {
  return object == nullptr ? none : StrCat(object->id.hex(), " (", PlaceName(object->place), ")");
}

}  // namespace

ArenaReport MakeArenaReport(const Snapshot& snapshot) {
  ArenaReport report;
  report.arena_bytes = snapshot.arena_bytes;
  report.physical_bytes = snapshot.counters.physical_bytes;
  report.lent_bytes = snapshot.counters.lent_bytes;
  for (const Object& object : snapshot.objects) report.waste_bytes += object.waste_bytes();
  // The index takes its pages from the arena's end.
  const uint64_t end = snapshot.arena_bytes - std::min(snapshot.arena_bytes, report.lent_bytes);
  report.runs = RunsBetween(snapshot, end, [](const Object&) { return true; });
  for (const ArenaRun& run : report.runs) report.free_run_bytes += run.bytes;
  const auto without =
      RunsBetween(snapshot, end, [](const Object& object) { return object.place != Place::kEvictable; });
  report.run_bytes_after_eviction = without.empty() ? 0 : without.front().bytes;
  report.picture = Picture(snapshot);
  return report;
}

std::string ArenaText(const Snapshot& snapshot, const ArenaReport& report, Look look) {
  std::string out = HeadlineIfDead(snapshot, look);
  out += StrCat("arena of ", FormatBytes(report.arena_bytes), ": ", FormatBytes(report.physical_bytes),
                " are objects', ", FormatBytes(report.waste_bytes), " of that rounding (",
                Percent(report.waste_bytes, report.physical_bytes), ")\n");
  if (report.lent_bytes > 0) out += StrCat("  ", FormatBytes(report.lent_bytes), " of pages went to the index\n");
  out += StrCat("  free between objects: ", FormatBytes(report.free_run_bytes), " in ",
                Counted(report.runs.size(), "run"), ", the longest ", FormatBytes(report.longest()), " (",
                Percent(report.longest(), report.free_run_bytes), ")\n");
  out += StrCat(
      "  the longest run once all evictable objects have gone: ", FormatBytes(report.run_bytes_after_eviction), "\n");
  out += StrCat("[", report.picture, "]\n",
                "  p pinned, e evictable, # protected, u unsealed, d dying, . free; each letter is ",
                FormatBytes((report.arena_bytes + kCells - 1) / kCells), "\n");
  if (report.runs.empty()) return out;
  std::vector<std::vector<std::string>> rows = {{"BEFORE", "AFTER", "RUN", "OFFSET"}};
  for (size_t i = 0; i < std::min(kRunsShown, report.runs.size()); ++i) {
    const ArenaRun& run = report.runs[i];
    rows.push_back({Neighbour(run.before, "the start"), Neighbour(run.after, "the end"), FormatBytes(run.bytes),
                    StrCat(run.offset)});
  }
  return out + Table(rows, 2, look);
}

nlohmann::json ArenaJson(const ArenaReport& report) {
  auto runs = nlohmann::json::array();
  const auto id = [](const Object* object) {
    return object == nullptr ? nlohmann::json(nullptr) : nlohmann::json(object->id.hex());
  };
  for (const ArenaRun& run : report.runs)
    runs.push_back(
        {{"offset", run.offset}, {"bytes", run.bytes}, {"before", id(run.before)}, {"after", id(run.after)}});
  return {{"arena_bytes", report.arena_bytes},
          {"physical_bytes", report.physical_bytes},
          {"waste_bytes", report.waste_bytes},
          {"lent_bytes", report.lent_bytes},
          {"free_run_bytes", report.free_run_bytes},
          {"longest_run_bytes", report.longest()},
          {"run_bytes_after_eviction", report.run_bytes_after_eviction},
          {"picture", report.picture},
          {"runs", runs}};
}

}  // namespace raylet::objstat
