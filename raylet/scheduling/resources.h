// Resources: amounts that a task asks for and that this node has, in units (fbs/resource_units.h). Pure; the raylet's
// loop thread. A ResourceSet holds only positive amounts, sorted by name. A ledger's free amount of a resource never
// exceeds its total. It is below zero only while an unblocked worker has taken back a CPU that another task got
// meanwhile. A task takes devices with its GPUs. Bundles reserve GPUs without devices, and their tasks take these.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"
#include "fbs/ids.h"
#include "fbs/resource_units.h"
#include "raylet/scheduling/devices_table.h"

namespace raylet {

constexpr size_t kResourceNamesMax = 64;  // in one request
constexpr size_t kResourceNameBytesMax = 256;
constexpr const char* kCpu = "CPU";
constexpr const char* kNodePrefix = "node:";  // every node has one of node:HOST

// A sum over many requests; it stops at the limit of one.
inline void AddUnits(int64_t& sum, int64_t units) { sum = std::min(sum + units, kUnitsMax); }

class ResourceSet {
 public:
  struct Amount {
    std::string name;
    int64_t units = 0;
    friend bool operator==(const Amount&, const Amount&) = default;
    friend auto operator<=>(const Amount&, const Amount&) = default;
  };

  // kInvalid, with a sentence, for an empty or repeated name, an amount that is zero or negative, and one above 1 that
  // is no whole number.
  Result<void> Add(std::string_view name, int64_t units);
  void Reserve(size_t names) { amounts_.reserve(names); }
  Result<void> AddWhole(std::string_view name, double amount);  // 0.5 becomes 5000 units

  // Adds to the amount that the set has, up to the limit. Sums over many tasks need not follow the rules of one
  // request.
  void Accumulate(std::string_view name, int64_t units);
  // Takes away from the amount that the set has. The name goes with the last unit.
  void Deduct(std::string_view name, int64_t units);

  int64_t units(std::string_view name) const;  // 0 where it is not named
  bool empty() const { return amounts_.empty(); }
  const std::vector<Amount>& amounts() const { return amounts_; }
  std::string ToString() const;  // "CPU 1, gpu 0.5"; "nothing" when empty

  friend bool operator==(const ResourceSet&, const ResourceSet&) = default;
  friend auto operator<=>(const ResourceSet&, const ResourceSet&) = default;

 private:
  std::vector<Amount>::iterator From(std::string_view name);  // the first that is not before the name

  std::vector<Amount> amounts_;
};

// Of this resource, of the machine or of a placement group: 5000 -> "0.5"; of memory 5000 -> "5000".
std::string FormatUnits(std::string_view name, int64_t units);

// {"gpu": 2, "CPU": 4}, as --resources takes it.
Result<ResourceSet> ParseResources(std::string_view json);

// A request resolved against the ledger once, so that dispatching compares numbers and not names. Only a ledger makes
// one, and only of a request that it can meet once all is free. So a task with needs may wait for them, and equal needs
// come from equal requests. Needs within a placement group hold as long as the group is open, and what is taken of it
// may be given afterwards, too.
class ResourceNeeds {
 public:
  ResourceNeeds() = default;  // of a request for nothing
  bool empty() const { return needs_.empty(); }
  int64_t cpu_units() const { return cpu_units_; }
  int64_t device_units() const { return device_units_; }  // of GPUs
  friend bool operator==(const ResourceNeeds&, const ResourceNeeds&) = default;

 private:
  friend class ResourceLedger;
  struct Need {
    size_t index = 0;  // in the ledger
    int64_t units = 0;
    bool is_cpu = false;  // of the machine, or of a placement group
    friend bool operator==(const Need&, const Need&) = default;
  };
  std::vector<Need> needs_;
  int64_t cpu_units_ = 0;
  int64_t device_units_ = 0;
};

class ResourceLedger {
 public:
  explicit ResourceLedger(const ResourceSet& total);

  // None where the node can never meet the request: it has less in total, or no resource of that name.
  std::optional<ResourceNeeds> Resolve(const ResourceSet& request) const;
  bool CanEverMeet(const ResourceSet& request) const;  // whether Resolve gives needs
  // The same for who needs no devices for the GPUs: a bundle.
  std::optional<ResourceNeeds> ResolveAmounts(const ResourceSet& request) const;
  bool Fits(const ResourceNeeds& needs) const;
  bool Fits(const std::optional<ResourceNeeds>& needs) const { return needs.has_value() && Fits(*needs); }
  DeviceIndexes Take(const ResourceNeeds& needs);                            // it fits
  void Give(const ResourceNeeds& needs, const DeviceIndexes& devices = {});  // as Take gave them
  // A blocked worker gives its CPU back. When it goes on it takes the CPU again, even if none is free.
  void GiveCpu(const ResourceNeeds& needs);
  void TakeCpuAnyway(const ResourceNeeds& needs);

  // ---- lines of placement groups, beside those of the machine (see bundle_resources.h)
  void AddToGroup(const PlacementGroupId& group, const ResourceSet& more);
  void CloseGroup(const PlacementGroupId& group);  // no request is resolved against its lines any more
  bool AllIsBack(const PlacementGroupId& group) const;
  void DropGroup(const PlacementGroupId& group);  // all of it is back
  bool AreOf(const ResourceNeeds& needs, const PlacementGroupId& group) const;
  ResourceSet OfMachine(const ResourceNeeds& needs) const;  // those that are of no placement group

  uint64_t gives() const { return gives_; }                     // grows when something comes back
  int64_t cpus() const { return cpu_total_ / kUnitsPerWhole; }  // whole CPUs of the node
  struct Line {
    std::string name;
    int64_t total_units = 0;
    int64_t free_units = 0;
  };
  const std::vector<Line>& lines() const { return lines_; }
  const DevicesTable& devices() const { return devices_; }
  // "CPU 2 (free 0 of 4)": what the request lacks now; empty when it fits.
  std::string WhatLacks(const ResourceSet& request) const;

 private:
  static constexpr size_t kNone = ~size_t{0};
  // Indexes from here on are of group_lines_.
  static constexpr size_t kFirstOfGroups = size_t{1} << 32;
  struct GroupLine {
    PlacementGroupId group;
    int64_t total_units = 0;
    int64_t free_units = 0;
    bool is_cpu = false;
    bool is_gpu = false;
    bool closed = false;
  };
  // The names of group_lines_. Copies of a ledger share them, so that a plan costs no strings.
  struct GroupNames {
    std::unordered_map<std::string, size_t> by_name;
    std::map<PlacementGroupId, std::vector<std::pair<std::string, size_t>>> by_group;
    std::vector<size_t> unused;
  };
  size_t IndexOf(std::string_view name) const;  // kNone: there is none that is open
  int64_t Total(size_t index) const;
  int64_t& Free(size_t index) {
    return index < kFirstOfGroups ? lines_[index].free_units : group_lines_[index - kFirstOfGroups].free_units;
  }
  int64_t Free(size_t index) const { return const_cast<ResourceLedger*>(this)->Free(index); }
  GroupNames& ChangeNames();
  std::string WhatDevicesLack(const ResourceSet& request) const;

  std::vector<Line> lines_;
  size_t cpu_index_ = kNone;
  size_t gpu_index_ = kNone;
  DevicesTable devices_;
  int64_t cpu_total_ = 0;
  uint64_t gives_ = 0;
  std::vector<GroupLine> group_lines_;
  std::shared_ptr<GroupNames> group_names_ = std::make_shared<GroupNames>();
};

}  // namespace raylet
