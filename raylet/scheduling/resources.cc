#include "raylet/scheduling/resources.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "base/check.h"
#include "base/strings.h"
#include "raylet/scheduling/bundle_resources.h"

namespace raylet {

namespace {

// The name by which the resource's units are known: that of the machine's resource.
std::string_view BaseOf(std::string_view name) {
  const auto parsed = ParseGroupResource(name);
  return parsed ? parsed->base : name;
}

}  // namespace

std::string FormatUnits(std::string_view name, int64_t units) {
  const int64_t whole = UnitsPerWhole(BaseOf(name));
  std::string text = units < 0 ? "-" : "";
  const int64_t magnitude = units < 0 ? -units : units;
  text += std::to_string(magnitude / whole);
  int64_t fraction = magnitude % whole;
  if (fraction == 0) return text;
  std::string digits = std::to_string(fraction + whole).substr(1);
  digits.erase(digits.find_last_not_of('0') + 1);
  return text + "." + digits;
}

Result<void> ResourceSet::Add(std::string_view name, int64_t units) {
  if (name.empty()) return Fail(ErrorCode::kInvalid, "a resource needs a name, and one of this request has none");
  if (name.size() > kResourceNameBytesMax) {
    return Fail(ErrorCode::kInvalid, StrCat("a resource's name has ", name.size(), " bytes and the limit is ",
                                            kResourceNameBytesMax, ": choose a shorter one"));
  }
  if (units <= 0) {
    return Fail(ErrorCode::kInvalid, StrCat("resource ", name, " is asked for with ", FormatUnits(name, units),
                                            ", and an amount must be above zero: leave it out instead"));
  }
  const std::string_view base = BaseOf(name);
  if (units > UnitsPerWhole(base) && units % UnitsPerWhole(base) != 0) {
    return Fail(ErrorCode::kInvalid, StrCat("resource ", name, " is asked for with ", FormatUnits(name, units),
                                            ": an amount above 1 must be a whole number"));
  }
  if (units / UnitsPerWhole(base) > WholeMax(base)) {
    return Fail(ErrorCode::kInvalid, StrCat("resource ", name, " is asked for with ", FormatUnits(name, units),
                                            ", and the limit is ", WholeMax(base)));
  }
  if (amounts_.size() >= kResourceNamesMax) {
    return Fail(ErrorCode::kInvalid,
                StrCat("a request may name ", kResourceNamesMax, " resources, and this one names more"));
  }
  const auto at = From(name);
  if (at != amounts_.end() && at->name == name)
    return Fail(ErrorCode::kInvalid, StrCat("resource ", name, " is named twice in one request"));
  amounts_.insert(at, Amount{std::string(name), units});
  return {};
}

Result<void> ResourceSet::AddWhole(std::string_view name, double amount) {
  if (!(std::abs(amount) <= static_cast<double>(WholeMax(name))))
    return Fail(ErrorCode::kInvalid,
                StrCat("resource ", name, " has the amount ", amount, ", and the limit is ", WholeMax(name)));
  if (amount > 0 && amount < LeastAmount(name))
    return Fail(ErrorCode::kInvalid,
                StrCat("resource ", name, " has the amount ", amount, ", and the least is ", FormatUnits(name, 1)));
  if (CountsBytes(name) && amount != std::floor(amount))
    return Fail(ErrorCode::kInvalid,
                StrCat("resource ", name, " has the amount ", amount, ", and bytes are a whole number"));
  return Add(name, UnitsOf(name, amount));
}

std::vector<ResourceSet::Amount>::iterator ResourceSet::From(std::string_view name) {
  return std::lower_bound(amounts_.begin(), amounts_.end(), name,
                          [](const Amount& amount, std::string_view wanted) { return amount.name < wanted; });
}

void ResourceSet::Deduct(std::string_view name, int64_t units) {
  const auto at = From(name);
  if (at == amounts_.end() || at->name != name) return;
  at->units -= units;
  if (at->units <= 0) amounts_.erase(at);
}

void ResourceSet::Accumulate(std::string_view name, int64_t units) {
  const auto at = From(name);
  if (at != amounts_.end() && at->name == name) {
    AddUnits(at->units, units);
  } else if (units > 0) {
    amounts_.insert(at, Amount{std::string(name), units});
  }
}

int64_t ResourceSet::units(std::string_view name) const {
  for (const Amount& amount : amounts_)
    if (amount.name == name) return amount.units;
  return 0;
}

std::string ResourceSet::ToString() const {
  if (amounts_.empty()) return "nothing";
  std::string text;
  for (const Amount& amount : amounts_) {
    if (!text.empty()) text += ", ";
    text += StrCat(amount.name, " ", FormatUnits(amount.name, amount.units));
  }
  return text;
}

Result<ResourceSet> ParseResources(std::string_view json) {
  std::set<std::string> names;
  std::string twice;
  const auto note = [&](int depth, nlohmann::json::parse_event_t event, nlohmann::json& name) {
    const bool is_name = depth == 1 && event == nlohmann::json::parse_event_t::key;
    if (is_name && !names.insert(name.get<std::string>()).second) twice = name.get<std::string>();
    return true;
  };
  const auto parsed = nlohmann::json::parse(json, note, /*allow_exceptions=*/false);
  if (!parsed.is_object()) {
    return Fail(
        ErrorCode::kInvalid,
        StrCat("resources are a JSON object of names and amounts, such as {\"gpu\": 2}, and this is not: ", json));
  }
  if (!twice.empty())
    return Fail(ErrorCode::kInvalid, StrCat("resource ", twice, " is there twice: give one amount for it"));
  ResourceSet set;
  for (const auto& [name, amount] : parsed.items()) {
    if (!amount.is_number())
      return Fail(ErrorCode::kInvalid, StrCat("resource ", name, " needs a number, and got ", amount.dump()));
    RAYLET_RETURN_IF_ERROR(set.AddWhole(name, amount.get<double>()));
  }
  return set;
}

ResourceLedger::ResourceLedger(const ResourceSet& total) {
  for (const auto& amount : total.amounts()) {
    if (amount.name == kCpu) {
      cpu_index_ = lines_.size();
      cpu_total_ = amount.units;
    }
    if (amount.name == kGpu) {
      gpu_index_ = lines_.size();
      devices_ = DevicesTable(amount.units / kUnitsPerWhole);
    }
    lines_.push_back({amount.name, amount.units, amount.units});
  }
}

size_t ResourceLedger::IndexOf(std::string_view name) const {
  for (size_t i = 0; i < lines_.size(); ++i)
    if (lines_[i].name == name) return i;
  if (group_names_->by_name.empty()) return kNone;
  const auto found = group_names_->by_name.find(std::string(name));
  if (found == group_names_->by_name.end() || group_lines_[found->second].closed) return kNone;
  return kFirstOfGroups + found->second;
}

int64_t ResourceLedger::Total(size_t index) const {
  return index < kFirstOfGroups ? lines_[index].total_units : group_lines_[index - kFirstOfGroups].total_units;
}

std::optional<ResourceNeeds> ResourceLedger::ResolveAmounts(const ResourceSet& request) const {
  auto resolved = Resolve(request);
  if (resolved) resolved->device_units_ = 0;
  return resolved;
}

std::optional<ResourceNeeds> ResourceLedger::Resolve(const ResourceSet& request) const {
  ResourceNeeds resolved;
  resolved.needs_.reserve(request.amounts().size());
  for (const auto& amount : request.amounts()) {
    const size_t index = IndexOf(amount.name);
    if (index == kNone || Total(index) < amount.units) return std::nullopt;
    const GroupLine* const of_group = index >= kFirstOfGroups ? &group_lines_[index - kFirstOfGroups] : nullptr;
    const bool is_cpu = index == cpu_index_ || (of_group != nullptr && of_group->is_cpu);
    if (is_cpu) resolved.cpu_units_ = amount.units;
    if (index == gpu_index_ || (of_group != nullptr && of_group->is_gpu)) resolved.device_units_ = amount.units;
    resolved.needs_.push_back({index, amount.units, is_cpu});
  }
  return resolved;
}

bool ResourceLedger::CanEverMeet(const ResourceSet& request) const {
  return std::all_of(request.amounts().begin(), request.amounts().end(), [this](const ResourceSet::Amount& amount) {
    const size_t index = IndexOf(amount.name);
    return index != kNone && Total(index) >= amount.units;
  });
}

bool ResourceLedger::Fits(const ResourceNeeds& needs) const {
  return std::all_of(needs.needs_.begin(), needs.needs_.end(),
                     [this](const ResourceNeeds::Need& need) { return Free(need.index) >= need.units; }) &&
         (needs.device_units_ == 0 || devices_.Fits(needs.device_units_));
}

DeviceIndexes ResourceLedger::Take(const ResourceNeeds& needs) {
  RAYLET_CHECK(Fits(needs), "a task was given resources that are not free");
  for (const auto& need : needs.needs_) Free(need.index) -= need.units;
  return needs.device_units_ == 0 ? DeviceIndexes() : devices_.Take(needs.device_units_);
}

void ResourceLedger::Give(const ResourceNeeds& needs, const DeviceIndexes& devices) {
  ++gives_;
  if (needs.device_units_ > 0) devices_.Give(devices, needs.device_units_);
  for (const auto& need : needs.needs_) {
    Free(need.index) += need.units;
    RAYLET_CHECK(Free(need.index) <= Total(need.index), "more came back than was given");
  }
}

void ResourceLedger::GiveCpu(const ResourceNeeds& needs) {
  ++gives_;
  for (const auto& need : needs.needs_) {
    if (!need.is_cpu) continue;
    Free(need.index) += need.units;
    RAYLET_CHECK(Free(need.index) <= Total(need.index), "more CPU came back than was given");
  }
}

void ResourceLedger::TakeCpuAnyway(const ResourceNeeds& needs) {
  for (const auto& need : needs.needs_)
    if (need.is_cpu) Free(need.index) -= need.units;
}

ResourceLedger::GroupNames& ResourceLedger::ChangeNames() {
  if (group_names_.use_count() > 1) group_names_ = std::make_shared<GroupNames>(*group_names_);
  return *group_names_;
}

void ResourceLedger::AddToGroup(const PlacementGroupId& group, const ResourceSet& more) {
  GroupNames& names = ChangeNames();
  auto& of_group = names.by_group[group];
  for (const auto& amount : more.amounts()) {
    const auto [entry, is_new] =
        names.by_name.try_emplace(amount.name, names.unused.empty() ? group_lines_.size() : names.unused.back());
    const size_t slot = entry->second;
    if (is_new) {
      if (names.unused.empty())
        group_lines_.emplace_back();
      else
        names.unused.pop_back();
      of_group.emplace_back(amount.name, slot);
      const auto parsed = ParseGroupResource(amount.name);
      const std::string_view base = parsed ? parsed->base : "";
      group_lines_[slot] = {group, 0, 0, base == kCpu, base == kGpu, false};
    }
    group_lines_[slot].total_units += amount.units;
    group_lines_[slot].free_units += amount.units;
  }
}

void ResourceLedger::CloseGroup(const PlacementGroupId& group) {
  const auto found = group_names_->by_group.find(group);
  if (found == group_names_->by_group.end()) return;
  for (const auto& [name, slot] : found->second) group_lines_[slot].closed = true;
}

bool ResourceLedger::AllIsBack(const PlacementGroupId& group) const {
  const auto found = group_names_->by_group.find(group);
  return found == group_names_->by_group.end() ||
         std::all_of(found->second.begin(), found->second.end(), [this](const auto& line) {
           return group_lines_[line.second].free_units == group_lines_[line.second].total_units;
         });
}

void ResourceLedger::DropGroup(const PlacementGroupId& group) {
  RAYLET_CHECK(AllIsBack(group), "placement group ", group.hex(), " is dropped while it is in use");
  GroupNames& names = ChangeNames();
  const auto found = names.by_group.find(group);
  if (found == names.by_group.end()) return;
  for (const auto& [name, slot] : found->second) {
    names.by_name.erase(name);
    names.unused.push_back(slot);
    group_lines_[slot] = {};
  }
  names.by_group.erase(found);
}

bool ResourceLedger::AreOf(const ResourceNeeds& needs, const PlacementGroupId& group) const {
  return std::any_of(needs.needs_.begin(), needs.needs_.end(), [&](const ResourceNeeds::Need& need) {
    return need.index >= kFirstOfGroups && group_lines_[need.index - kFirstOfGroups].group == group;
  });
}

ResourceSet ResourceLedger::OfMachine(const ResourceNeeds& needs) const {
  ResourceSet set;
  for (const auto& need : needs.needs_)
    if (need.index < kFirstOfGroups) set.Accumulate(lines_[need.index].name, need.units);
  return set;
}

std::string ResourceLedger::WhatDevicesLack(const ResourceSet& request) const {
  const auto needs = Resolve(request);
  if (!needs || needs->device_units_ == 0 || devices_.Fits(needs->device_units_)) return {};
  return StrCat(kGpu, " ", FormatUnits(kGpu, needs->device_units_),
                " (others hold parts of them: ", devices_.WholeOnes(), " are whole, and the most that one has free is ",
                FormatUnits(kGpu, devices_.MostOfOne()), ")");
}

std::string ResourceLedger::WhatLacks(const ResourceSet& request) const {
  std::string text;
  for (const auto& amount : request.amounts()) {
    const size_t index = IndexOf(amount.name);
    const int64_t total = index == kNone ? 0 : Total(index);
    const int64_t free = index == kNone ? 0 : Free(index);
    if (free >= amount.units) continue;
    const auto within = ParseGroupResource(amount.name);
    if (within && within->bundle == kAnyBundle && !text.empty()) continue;  // its bundle has been named
    const std::string name = !within                ? amount.name
                             : within->base.empty() ? "its placement group"
                                                    : StrCat(within->base, " of its placement group");
    if (!text.empty()) text += ", ";
    text += StrCat(name, " ", FormatUnits(amount.name, amount.units), " (free ", FormatUnits(amount.name, free), " of ",
                   FormatUnits(amount.name, total), ")");
  }
  return text.empty() ? WhatDevicesLack(request) : text;
}

}  // namespace raylet
