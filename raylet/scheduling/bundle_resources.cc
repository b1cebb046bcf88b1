#include "raylet/scheduling/bundle_resources.h"

#include <charconv>

#include "base/strings.h"

namespace raylet {
namespace {

constexpr std::string_view kMark = "_group_";
constexpr std::string_view kBundle = "bundle";
constexpr size_t kHexBytes = 2 * PlacementGroupId::kSize;

std::string NameIn(std::string_view base, const std::string& group_hex, int32_t bundle) {
  return bundle == kAnyBundle ? StrCat(base, kMark, group_hex) : StrCat(base, kMark, bundle, "_", group_hex);
}

}  // namespace

ResourceSet ResourcesOf(const PlacementGroupId& group, const Bundle& bundle) {
  const std::string hex = group.hex();
  const auto index = static_cast<int32_t>(bundle.index);
  ResourceSet resources;
  const auto add = [&](std::string_view base, int64_t units) {
    resources.Accumulate(NameIn(base, hex, index), units);
    resources.Accumulate(NameIn(base, hex, kAnyBundle), units);
  };
  for (const auto& amount : bundle.resources.amounts()) add(amount.name, amount.units);
  add(kBundle, kBundleUnits);
  return resources;
}

ResourceSet WithinGroup(const ResourceSet& request, const PlacementGroupId& group, int32_t bundle) {
  const std::string hex = group.hex();
  ResourceSet resources;
  const auto add = [&](std::string_view base, int64_t units) {
    resources.Accumulate(NameIn(base, hex, kAnyBundle), units);
    if (bundle != kAnyBundle) resources.Accumulate(NameIn(base, hex, bundle), units);
  };
  for (const auto& amount : request.amounts()) add(amount.name, amount.units);
  add(kBundle, kBundleUnitsOfTask);
  return resources;
}

std::optional<GroupResource> ParseGroupResource(std::string_view name) {
  GroupResource parsed;
  if (name.size() <= kHexBytes ||
      !FromHex(name.substr(name.size() - kHexBytes), parsed.group.mutable_data(), PlacementGroupId::kSize))
    return std::nullopt;
  std::string_view front = name.substr(0, name.size() - kHexBytes);
  if (!front.ends_with(kMark)) {
    const size_t mark = front.rfind(kMark);
    if (mark == std::string_view::npos) return std::nullopt;
    const std::string_view number = front.substr(mark + kMark.size());
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), parsed.bundle);
    if (error != std::errc() || end != number.data() + number.size() - 1 || *end != '_' || parsed.bundle < 0)
      return std::nullopt;
    front = front.substr(0, mark + kMark.size());
  }
  parsed.base = front.substr(0, front.size() - kMark.size());
  if (parsed.base == kBundle) parsed.base = {};
  return parsed;
}

std::string DescribeRequest(const ResourceSet& request) {
  std::string text;
  std::optional<GroupResource> group;
  for (const auto& amount : request.amounts()) {
    const auto parsed = ParseGroupResource(amount.name);
    if (!parsed) return request.ToString();
    if (parsed->bundle != kAnyBundle || !group) group = parsed;
    if (parsed->base.empty() || parsed->bundle != kAnyBundle) continue;  // each resource once
    text += StrCat(text.empty() ? "" : ", ", parsed->base, " ", FormatUnits(amount.name, amount.units));
  }
  if (!group) return request.ToString();
  return StrCat(text.empty() ? "nothing" : text, " in ",
                group->bundle == kAnyBundle ? std::string() : StrCat("bundle ", group->bundle, " of "),
                "placement group ", group->group.hex());
}

Result<void> CheckBundleResource(std::string_view name) {
  if (ParseGroupResource(name))
    return Fail(ErrorCode::kInvalid,
                StrCat("resource ", name, " is of a placement group: use SetPlacementGroup instead"));
  if (name.size() > kBundleResourceNameBytesMax)
    return Fail(ErrorCode::kInvalid,
                StrCat("a resource's name has ", name.size(), " bytes and the limit in a ", "placement group is ",
                       kBundleResourceNameBytesMax, ": choose a shorter one"));
  return {};
}

}  // namespace raylet
