#include "tools/objstat/sizes.h"

#include <algorithm>
#include <array>
#include <bit>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "tools/objstat/screen.h"

namespace raylet::objstat {

std::vector<SizeClass> SizesOf(const Snapshot& snapshot) {
  std::array<SizeClass, 65> classes{};
  for (const Object& object : snapshot.objects) {
    SizeClass& one = classes[static_cast<size_t>(std::bit_width(object.bytes()))];
    ++one.count;
    one.bytes += object.bytes();
    one.waste_bytes += object.waste_bytes();
  }
  const auto used = [](const SizeClass& one) { return one.count > 0; };
  const auto first = std::ranges::find_if(classes, used);
  const auto last = std::find_if(classes.rbegin(), classes.rend(), used).base();
  std::vector<SizeClass> sizes;
  for (auto it = first; it < last; ++it) {
    const auto width = static_cast<unsigned>(it - classes.begin());
    sizes.push_back(*it);
    sizes.back().from_bytes = width == 0 ? 0 : uint64_t{1} << (width - 1);
    sizes.back().to_bytes = width == 0 ? 0 : (sizes.back().from_bytes - 1) * 2 + 1;
  }
  return sizes;
}

std::string SizesText(const Snapshot& snapshot, const std::vector<SizeClass>& sizes, Look look) {
  std::vector<std::vector<std::string>> rows = {{"UP TO", "OBJECTS", "BYTES", "SHARE", "WASTE", "OF IT"}};
  uint64_t all_bytes = 0;
  for (const SizeClass& one : sizes) all_bytes += one.bytes;
  for (const SizeClass& one : sizes)
    rows.push_back({one.to_bytes < 1024 ? StrCat(one.to_bytes, " B") : FormatBytes(one.to_bytes + 1), StrCat(one.count),
                    FormatBytes(one.bytes), Percent(one.bytes, all_bytes), FormatBytes(one.waste_bytes),
                    Percent(one.waste_bytes, one.bytes + one.waste_bytes)});
  return HeadlineIfDead(snapshot, look) + Table(rows, 0, look);
}

nlohmann::json SizesJson(const std::vector<SizeClass>& sizes) {
  auto out = nlohmann::json::array();
  for (const SizeClass& one : sizes)
    out.push_back({{"from_bytes", one.from_bytes},
                   {"to_bytes", one.to_bytes},
                   {"count", one.count},
                   {"bytes", one.bytes},
                   {"waste_bytes", one.waste_bytes}});
  return out;
}

}  // namespace raylet::objstat
